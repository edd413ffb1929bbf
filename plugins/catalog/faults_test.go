package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
	"github.com/portico-dev/portico/service"
)

// TestLocationsInCircles has Locations that lead to each other, and to themselves.
func TestLocationsInCircles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	location := func(name string, targets ...string) string {
		return "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: " + name + " }\nspec: { targets: [" + strings.Join(targets, ", ") + "] }\n"
	}
	file := write(t, dir, "a.yaml", location("a", "./b.yaml", "./a.yaml"))
	write(t, dir, "b.yaml", location("b", "./a.yaml", "./b.yaml")+component("c", "team"))
	b := backendtest.Start(t, catalog.Plugin(), located(file))
	c := settle(t, b, 4) // the configured location, a, b and c
	entity(t, c, "component/default/c")
}

// TestLocationsInCirclesAtURLs has the same of files at URLs. The circles don't turn.
func TestLocationsInCirclesAtURLs(t *testing.T) {
	t.Parallel()
	location := func(name, targets string) string {
		return "---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: " + name + " }\nspec: { targets: [" + targets + "] }\n"
	}
	s, other := newSite(t), newSite(t)
	one := s.put("/a.yaml", location("a", "./b.yaml"))
	s.put("/b.yaml", location("b", "./a.yaml")+component("c", "team"))
	self := s.put("/self.yaml", location("self", "./self.yaml, "+s.URL+"/self.yaml")+component("d", "team"))
	b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), backendtest.Config(map[string]any{"backend": map[string]any{"reading": map[string]any{"allow": []any{
		map[string]any{"host": strings.TrimPrefix(s.URL, "http://")}, map[string]any{"host": strings.TrimPrefix(other.URL, "http://")},
	}}}}))
	c := b.As(t, "user:default/guest")
	register(t, c, one)
	register(t, c, self)
	settle(t, b, 7) // two registered locations, a, b, self, c and d
	entity(t, c, "component/default/c")
	entity(t, c, "component/default/d")
	processed := func() bool {
		return len(backendtest.JSON[struct{ Entities []any }](t, c.Get("/api/catalog/entities/unprocessed/pending")).Entities) == 0
	}
	await(t, "all to be processed", processed)
	asked, _ := s.counts()
	register(t, c, other.put("/e.yaml", component("e", "team")))
	settle(t, b, 9)
	await(t, "all to be processed", processed)
	if again, _ := s.counts(); again != asked {
		t.Errorf("the files of the circles were asked for %d times more, with nothing new about them", again-asked)
	}
}

// TestLargeEntities has an entity with 12,000 relations, and a group with 10,000 members, which is stitched once for all of them, and once
// when all of them leave. As many final entities are made as there are entities to make: so each of them is made once.
func TestLargeEntities(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes with the race detector")
	}
	t.Parallel()
	const members, relations = 10_000, 12_000
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		if config["connection"] == ":memory:" {
			t.Skip("not unlike files")
		}
		one := &source{name: "one"}
		b := backendtest.Start(t, catalog.Plugin(), module(one),
			backendtest.Config(map[string]any{"backend": map[string]any{"database": config}}), all(), measured())
		group, err := catalogmodel.Group.New("all", catalogmodel.GroupSpec{Type: "team", Children: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		uses := make([]string, relations-1) // and one owner
		for i := range uses {
			uses[i] = fmt.Sprint("component:part-", i)
		}
		hub, err := catalogmodel.Component.New("hub", catalogmodel.ComponentSpec{Type: "service", Lifecycle: "production", Owner: "user-0", DependsOn: uses})
		if err != nil {
			t.Fatal(err)
		}
		bring := func(groups ...string) {
			entities := []catalogmodel.Entity{group, hub}
			for i := range members {
				e, err := catalogmodel.User.New(fmt.Sprint("user-", i), catalogmodel.UserSpec{MemberOf: append([]string{}, groups...)})
				if err != nil {
					t.Fatal(err)
				}
				entities = append(entities, e)
			}
			one.full(t, entities...)
		}
		c := b.As(t, "user:default/guest")
		count := func(path string) int {
			all, _ := entity(t, c, path)["relations"].([]any)
			return len(all)
		}
		stitched := func(times, members int) {
			t.Helper()
			var scraped string
			await(t, fmt.Sprintf("%d final entities to be made, and the group to have %d members", times, members), func() bool {
				scraped = scrape(t, b)
				return sum(t, scraped, "catalog_stitched_entities_count_total") >= times && sum(t, scraped, "catalog_stitching_queue_length") == 0 &&
					count("group/default/all") == members
			})
			if n := sum(t, scraped, "catalog_stitched_entities_count_total"); n != times {
				t.Errorf("%d final entities were made, not %d", n, times)
			}
		}
		bring("all")
		settle(t, b, members+2)
		stitched(members+2, members)
		if n := count("component/default/hub"); n != relations {
			t.Errorf("the hub has %d relations", n)
		}
		bring()
		stitched(members+2+members+1, 0) // all but the hub once more
	})
}

// panicking is a provider with a mistake in it.
type panicking struct{ source }

func (p *panicking) Connect(context.Context, catalog.EntityProviderConnection) error {
	panic("no such table of contents")
}

// TestProvidersThatPanic has one provider fail while the backend starts: its mistake is told, and doesn't take down the process.
func TestProvidersThatPanic(t *testing.T) {
	t.Parallel()
	b, err := backendtest.TryStart(t, catalog.Plugin(), plugin.NewModule("catalog", "panicking", plugin.Init(func(providers catalog.EntityProviders) {
		providers.AddEntityProvider(&panicking{source{name: "mistaken"}})
	})))
	if want := "catalog: connecting the entity provider mistaken: panic: no such table of contents"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
	if !strings.Contains(b.Log.String(), "panicking).Connect") {
		t.Error("where it panicked isn't logged")
	}
}

// careless is a processor with a mistake in it.
type careless struct{}

func (careless) Name() string { return "careless" }

func (careless) PreProcess(_ context.Context, e catalogmodel.Entity, _ processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	if e.Name() == "bad" {
		panic("no such rule")
	}
	return e, nil
}

// TestProcessorsThatPanic has a processor fail over one of two entities. The other one arrives, and the mistake is told with where it is.
func TestProcessorsThatPanic(t *testing.T) {
	t.Parallel()
	one := &source{name: "one"}
	b := backendtest.Start(t, catalog.Plugin(), module(one), unprocessed.Module(), plugin.NewModule("catalog", "careless",
		plugin.Init(func(processing catalog.Processing) { processing.AddProcessor(careless{}) })))
	one.full(t, parse(t, component("bad", "team")), parse(t, component("good", "team")))
	c := settle(t, b, 1)
	await(t, "the error", func() bool { return strings.Contains(failures(t, c)["component:default/bad"], "panic: no such rule") })
	for line := range strings.Lines(b.Log.String()) {
		if strings.Contains(line, `"level":"error"`) && strings.Contains(line, "component:default/bad") && strings.Contains(line, "careless.PreProcess") {
			return
		}
	}
	t.Error("where it panicked isn't logged")
}

// TestProvidersThatPanicLater has a provider fail in a task and in a subscription, and a module when it is told of an error. Everything else goes
// on.
func TestProvidersThatPanicLater(t *testing.T) {
	t.Parallel()
	one, two := &source{name: "mistaken"}, &source{name: "good"}
	var events service.Events
	b := backendtest.Start(t, catalog.Plugin(), module(one, two), plugin.NewModule("catalog", "panicking",
		plugin.Init(func(scheduler service.Scheduler, bus service.Events, processing catalog.Processing) error {
			events = bus
			processing.OnProcessingError(func(context.Context, catalogmodel.Entity, catalog.ProcessingErrors) { panic("no such channel") })
			return errors.Join(
				bus.Subscribe(service.Subscription{ID: "mistaken", Topics: []string{"files"}, OnEvent: func(context.Context, service.Event) error { panic("no such file") }}),
				scheduler.Schedule(service.Task{ID: "mistaken-refresh", Every: time.Hour, Run: func(context.Context) error { panic("no such page") }}),
			)
		})))
	logged := func(parts ...string) {
		t.Helper()
		await(t, "the log to have "+strings.Join(parts, " and "), func() bool {
			for line := range strings.Lines(b.Log.String()) {
				if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
					return true
				}
			}
			return false
		})
	}
	logged("mistaken-refresh", "no such page")
	event, err := service.NewEvent("files", "a")
	if err == nil {
		err = events.Publish(t.Context(), event)
	}
	if err != nil {
		t.Fatal(err)
	}
	logged("mistaken", "no such file")
	one.full(t, parse(t, component("bad", "7")))
	logged("no such channel")
	two.full(t, parse(t, component("good", "team")))
	settle(t, b, 1)
	one.full(t, parse(t, component("mended", "team")))
	settle(t, b, 2)
}
