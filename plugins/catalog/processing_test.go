package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
)

// stamp is a processor that takes part in all phases.
type stamp struct {
	name     string
	priority float64
	content  func() string // what is at locations of type stamp
}

func (s stamp) Name() string      { return s.name }
func (s stamp) Priority() float64 { return s.priority }

func (s stamp) PreProcess(_ context.Context, e catalogmodel.Entity, from processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	seen := e.Annotation("stamps")
	if e.Annotation("backstage.io/view-url") != "" || from.Location.Type == "file" {
		seen += " after"
	}
	return e.WithAnnotation("stamps", strings.TrimSpace(seen+" "+s.name)), nil
}

func (s stamp) ValidateKind(_ context.Context, e catalogmodel.Entity) (bool, error) {
	if e.Kind() != "Stamp" {
		return false, nil
	}
	if e.Get("spec", "price").Type() != catalogmodel.Number {
		return true, service.InputError.Errorf("spec.price must be a number")
	}
	return true, nil
}

func (s stamp) ReadLocation(_ context.Context, location catalogmodel.LocationRef, _ bool, out *processor.Output) (bool, error) {
	if location.Type != "stamp" {
		return false, nil
	}
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(s.content()), location.Target) {
		if err != nil {
			return true, err
		}
		out.Emit(e, location)
	}
	out.RefreshKeys = append(out.RefreshKeys, location.String())
	return true, nil
}

func (s stamp) PostProcess(_ context.Context, e catalogmodel.Entity, _ processor.Source, out *processor.Output) (catalogmodel.Entity, error) {
	if e.Kind() == "Stamp" {
		collector := catalogmodel.Ref{Kind: "User", Namespace: "default", Name: "collector"}
		out.Relations = append(out.Relations, catalogmodel.Relation{Source: e.Ref(), Type: "ownedBy", Target: collector},
			catalogmodel.Relation{Source: collector, Type: "ownerOf", Target: e.Ref()})
	}
	return e, nil
}

// add is a module that adds to the processing.
func add(name string, fn func(catalog.Processing)) plugin.Module {
	return plugin.NewModule("catalog", name, plugin.Init(fn))
}

func anyKind() backend.Feature {
	return backendtest.Config(map[string]any{"catalog": map[string]any{"rules": []any{map[string]any{"allow": append([]any{"Stamp", "Letter"}, kinds...)}}}})
}

func TestProcessors(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		price := "1"
		content := func() string {
			return "apiVersion: acme/v1\nkind: Stamp\nmetadata: { name: blue }\nspec: { price: " + price + " }\n"
		}
		one := &source{name: "one"}
		b := backendtest.Start(t, catalog.Plugin(), database, anyKind(), module(one), add("stamps", func(p catalog.Processing) {
			p.AddProcessor(stamp{"late", 30, content})
			p.AddProcessor(stamp{"early", 1, content})
			p.AddProcessor(stamp{"disabled", 1, content})
		}), backendtest.Config(map[string]any{"catalog": map[string]any{"processorOptions": map[string]any{"disabled": map[string]any{"disabled": true}}}}))
		one.full(t, parse(t, "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: album }\nspec: { type: stamp, target: x }\n"),
			parse(t, "apiVersion: backstage.io/v1alpha1\nkind: User\nmetadata: { name: collector }\nspec: { memberOf: [] }\n"))
		c := settle(t, b, 3)
		if got := entity(t, c, "stamp/default/blue")["metadata"].(map[string]any)["annotations"].(map[string]any)["stamps"]; got != "early late" {
			t.Errorf("the processors came in the order %v", got)
		}
		relations := fmt.Sprint(entity(t, c, "user/default/collector")["relations"])
		if !strings.Contains(relations, "ownerOf") {
			t.Errorf("the relations are %v", relations)
		}

		price = "2"
		if err := one.conn.Refresh(t.Context(), "stamp:x", "stamp:other"); err != nil {
			t.Fatal(err)
		}
		await(t, "the refresh", func() bool {
			return entity(t, c, "stamp/default/blue")["spec"].(map[string]any)["price"] == 2.0
		})
		price = "free"
		if err := one.conn.Refresh(t.Context(), "stamp:x"); err != nil {
			t.Fatal(err)
		}
		await(t, "the error", func() bool { return entity(t, c, "stamp/default/blue")["status"] != nil })
		if got := entity(t, c, "stamp/default/blue"); got["spec"].(map[string]any)["price"] != 2.0 || !strings.Contains(fmt.Sprint(got["status"]), "spec.price must be a number") {
			t.Errorf("got %v", got)
		}
	})
}

func TestAddedKindsAndPlaceholders(t *testing.T) {
	t.Parallel()
	type spec struct {
		Subject string `json:"subject"`
	}
	letter := catalogmodel.NewKind[spec](catalogmodel.Definition{Kind: "Letter", APIVersions: []string{"acme/v1"}})
	dir := t.TempDir()
	file := write(t, dir, "all.yaml", "apiVersion: acme/v1\nkind: Letter\nmetadata: { name: a }\nspec: { subject: { $upper: hello } }\n"+
		"---\napiVersion: acme/v1\nkind: Letter\nmetadata: { name: b }\nspec: { subject: { $upper: fail } }\n")
	b := backendtest.Start(t, catalog.Plugin(), located(file), anyKind(), add("letters", func(p catalog.Processing) {
		p.AddKind(letter)
		p.AddPlaceholderResolver("upper", func(_ context.Context, p processor.Placeholder) (catalogmodel.Value, error) {
			if p.Value.Text() == "fail" {
				return catalogmodel.Value{}, errors.New("no more ink")
			}
			return catalogmodel.StringValue(strings.ToUpper(p.Value.Text())), nil
		})
	}))
	c := settle(t, b, 2) // the Location and one letter
	if got := entity(t, c, "letter/default/a")["spec"].(map[string]any)["subject"]; got != "HELLO" {
		t.Errorf("the subject is %v", got)
	}
	await(t, "the error", func() bool { return strings.Contains(b.Log.String(), "no more ink") })
}

func TestTwoProcessorsWithOneName(t *testing.T) {
	t.Parallel()
	_, err := backendtest.TryStart(t, catalog.Plugin(), add("twice", func(p catalog.Processing) {
		p.AddProcessor(stamp{name: "one"})
		p.AddProcessor(stamp{name: "one"})
	}))
	if err == nil || !strings.Contains(err.Error(), `its name is "one"`) {
		t.Errorf("got %v", err)
	}
}

func TestErrorEvents(t *testing.T) {
	t.Parallel()
	told := make(chan service.Event, 10)
	one, two := &source{name: "one"}, &source{name: "two"}
	listener := plugin.New("listener", plugin.Init(func(events service.Events) error {
		return events.Subscribe(service.Subscription{ID: "all", Topics: []string{catalog.ErrorsTopic, catalog.ConflictTopic},
			OnEvent: func(_ context.Context, e service.Event) error {
				told <- e
				return nil
			}})
	}))
	backendtest.Start(t, catalog.Plugin(), module(one, two), listener)
	one.full(t, parse(t, "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: a }\nspec: {}\n"))
	e := <-told
	var failed catalog.ProcessingErrors
	if err := e.Decode(&failed); err != nil || e.Topic != catalog.ErrorsTopic || failed.Entity != "component:default/a" || len(failed.Errors) != 1 || failed.Location == "" {
		t.Errorf("got %v %+v %v", e.Topic, failed, err)
	}
	two.full(t, parse(t, component("a", "x")))
	e = <-told
	var conflict catalog.EntityConflict
	if err := e.Decode(&conflict); err != nil || e.Topic != catalog.ConflictTopic || conflict.NewLocationKey != "provider:two" || conflict.ExistingLocationKey != "provider:one" {
		t.Errorf("got %v %+v %v", e.Topic, conflict, err)
	}
}

// thrifty is a processor that keeps what it has seen of a source, and how often.
type thrifty struct{ stamp }

type seen struct {
	ETag string `json:"etag"`
	Runs int    `json:"runs"`
}

func (p thrifty) PreProcess(_ context.Context, e catalogmodel.Entity, _ processor.Source, out *processor.Output) (catalogmodel.Entity, error) {
	var last seen
	if found, err := out.Cache.Get("seen", &last); err != nil || !found && last != (seen{}) {
		return e, fmt.Errorf("the cache has %v: %w", last, err)
	}
	if err := out.Cache.Set("seen", seen{"a", last.Runs + 1}); err != nil {
		return e, err
	}
	if err := out.Cache.Set("large", strings.Repeat("x", processor.MaxCache)); err == nil {
		return e, errors.New("there is no limit")
	}
	if p.content() == "fail" {
		return e, errors.New("out of order")
	}
	return e.WithAnnotation("runs", fmt.Sprint(last.Runs)), nil
}

// ReadLocation keeps something of each location.
func (p thrifty) ReadLocation(_ context.Context, location catalogmodel.LocationRef, _ bool, out *processor.Output) (bool, error) {
	var last string
	if _, err := out.Cache.Get("target", &last); err != nil || last != "" && last != location.Target {
		return true, fmt.Errorf("the cache of %s has %q: %w", location, last, err)
	}
	out.RefreshKeys = append(out.RefreshKeys, location.String())
	return true, out.Cache.Set("target", location.Target)
}

// TestProcessorCache has a processor find what it has kept the last time, also after it has failed.
func TestProcessorCache(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		content := &atomic.Value{}
		content.Store("")
		one := &source{name: "one"}
		b := backendtest.Start(t, catalog.Plugin(), database, module(one), add("thrift", func(p catalog.Processing) {
			p.AddProcessor(thrifty{stamp{"thrifty", 1, func() string { return content.Load().(string) }}})
		}))
		one.full(t, parse(t, "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: album }\nspec: { type: stamp, targets: [x, y] }\n"))
		c := settle(t, b, 1)
		await(t, "later runs to find what earlier ones have kept", func() bool {
			if err := one.conn.Refresh(t.Context(), "stamp:x"); err != nil {
				t.Fatal(err)
			}
			return runs(t, c) >= 3
		})
		content.Store("fail")
		await(t, "the failure", func() bool {
			if err := one.conn.Refresh(t.Context(), "stamp:x"); err != nil {
				t.Fatal(err)
			}
			return entity(t, c, "location/default/album")["status"] != nil
		})
		before := runs(t, c)
		content.Store("")
		await(t, "the end of it", func() bool {
			if err := one.conn.Refresh(t.Context(), "stamp:x"); err != nil {
				t.Fatal(err)
			}
			return entity(t, c, "location/default/album")["status"] == nil
		})
		if after := runs(t, c); after <= before {
			t.Errorf("after the failure the processor had run %d times, before %d", after, before)
		}
	})
}

// slow is a processor that tells when it begins, and waits until it may go on.
type slow struct {
	stamp
	began chan string
	goOn  chan struct{}
}

func (p slow) PreProcess(_ context.Context, e catalogmodel.Entity, _ processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	content := p.content()
	p.began <- content
	<-p.goOn
	return e.WithAnnotation("content", content), nil
}

// TestRefreshWhileProcessing has a source change to something and back while the former is being processed.
func TestRefreshWhileProcessing(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		content := &atomic.Value{}
		p := slow{stamp{"slow", 1, func() string { return content.Load().(string) }}, make(chan string, 100), make(chan struct{}, 100)}
		one := &source{name: "one"}
		content.Store("old")
		p.goOn <- struct{}{}
		b := backendtest.Start(t, catalog.Plugin(), database, module(one), add("slow", func(c catalog.Processing) { c.AddProcessor(p) }))
		one.full(t, parse(t, component("a", "x")))
		expect(t, "runs", []string{<-p.began}, "old")
		c := settle(t, b, 1)
		refresh := func() {
			t.Helper()
			if res := c.Post("/api/catalog/refresh", map[string]any{"entityRef": "component:default/a"}); res.StatusCode != http.StatusOK {
				t.Fatalf("status %d", res.StatusCode)
			}
		}
		content.Store("new")
		refresh()
		expect(t, "runs", []string{<-p.began}, "new")
		content.Store("old")
		refresh()
		for range 2 { // the one that has begun, and the one that was asked for meanwhile
			p.goOn <- struct{}{}
		}
		expect(t, "runs", []string{<-p.began}, "old")
		one.full(t, parse(t, component("a", "x")), parse(t, component("b", "x")))
		expect(t, "runs", []string{<-p.began}, "old")
		p.goOn <- struct{}{}
		settle(t, b, 2) // and what has changed before is served, too
		await(t, "the entity to be what its source is", func() bool {
			return entity(t, c, "component/default/a")["metadata"].(map[string]any)["annotations"].(map[string]any)["content"] == "old"
		})
	})
}

// runs is how often the processor had processed the entity, as it has kept it.
func runs(t *testing.T, c *backendtest.Client) int {
	t.Helper()
	n, err := strconv.Atoi(entity(t, c, "location/default/album")["metadata"].(map[string]any)["annotations"].(map[string]any)["runs"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
