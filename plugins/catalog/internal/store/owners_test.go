package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// form is how somebody brings an entity.
type form struct{ key, title string }

// owners is a store, and who brings what into it.
type owners struct {
	t      *rapid.T
	db     *bun.DB
	store  *store.Store
	now    time.Time
	brings map[string]map[string]form // by provider or Location, and by target
	titles map[string]string          // of what is served, by ref
}

var (
	providers = []string{"p", "q"}
	locations = []string{"component:default/l1", "component:default/l2", "component:default/l3"}
	targets   = []string{"component:default/x1", "component:default/x2", "component:default/x3"}
)

// TestOwners has providers and Locations bring the same entities, by the same and by other location keys, one after the other and at the same time.
// In the end each entity that somebody brings is there, in a form of those who share its key, who are known to bring it; others are not there.
func TestOwners(t *testing.T) {
	t.Parallel()
	db := open(t)
	rapid.Check(t, func(t *rapid.T) {
		for _, table := range []string{"refresh_state", "refresh_state_references", "ingested_entities", "processed_entities", "final_entities", "stitch_queue", "orphans"} {
			if _, err := db.NewRaw("DELETE FROM " + table).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		o := &owners{t: t, db: db, now: time.UnixMilli(1_000_000), brings: map[string]map[string]form{}, titles: map[string]string{}}
		o.store = store.New(db, func() time.Time { return o.now }, o.follow)
		o.replace("base", map[string]form{locations[0]: {}, locations[1]: {}, locations[2]: {}})
		t.Repeat(map[string]func(*rapid.T){
			"provider": func(t *rapid.T) {
				provider := rapid.SampledFrom(providers).Draw(t, "provider")
				o.brings[provider] = draw(t, provider)
				o.replace(provider, o.brings[provider])
			},
			"locations": func(t *rapid.T) {
				for _, ref := range locations {
					if rapid.Bool().Draw(t, ref) {
						o.brings[ref] = draw(t, ref)
						o.must(o.store.Due(t.Context(), []string{ref}))
					}
				}
				o.process()
			},
			"orphans": func(t *rapid.T) { o.must(o.store.DeleteOrphans(t.Context())) },
		})
		o.settle()
		o.check()
	})
}

// draw makes up what somebody brings.
func draw(t *rapid.T, source string) map[string]form {
	brings := map[string]form{}
	for _, target := range targets {
		if rapid.Bool().Draw(t, target) {
			key := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "key")
			brings[target] = form{key, fmt.Sprintf("%s by %s, %d", key, source, rapid.IntRange(0, 2).Draw(t, "version"))}
		}
	}
	return brings
}

func (o *owners) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// ingested are entities as a source brings them.
func (o *owners) ingested(brings map[string]form) []store.Ingested {
	var all []store.Ingested
	for _, target := range slices.Sorted(maps.Keys(brings)) {
		name := target[len("component:default/"):]
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": name, "title": brings[target].title}})
		o.must(err)
		all = append(all, store.Ingested{Entity: e, LocationKey: brings[target].key})
	}
	return all
}

func (o *owners) replace(provider string, brings map[string]form) {
	_, err := o.store.Replace(o.t.Context(), provider, slices.Values(o.ingested(brings)))
	o.must(err)
}

// process processes at once all that is due.
func (o *owners) process() {
	for {
		work, _, err := o.store.Claim(o.t.Context(), 100, o.now.Add(time.Minute), nil)
		o.must(err)
		if len(work) == 0 {
			return
		}
		var results []store.Result
		for _, w := range work {
			results = append(results, store.Result{Work: w, JSON: w.JSON, Emitted: o.ingested(o.brings[w.Ref])})
		}
		_, _, err = o.store.Save(o.t.Context(), results, time.Time{})
		o.must(err)
	}
}

// settle lets time pass, in which everybody brings what they bring once more.
func (o *owners) settle() {
	for range 4 {
		o.now = o.now.Add(time.Hour)
		for _, provider := range providers {
			o.replace(provider, o.brings[provider])
		}
		o.process()
		o.must(o.store.DeleteOrphans(o.t.Context()))
	}
	o.must(o.store.Stitch(o.t.Context(), 100))
}

// follow notes what is served.
func (o *owners) follow(_ context.Context, changes []store.Change) {
	for _, c := range changes {
		var e struct {
			Metadata struct {
				Title       string
				Annotations map[string]string
			}
		}
		if c.JSON == nil {
			delete(o.titles, c.Ref)
			continue
		}
		o.must(json.Unmarshal(c.JSON, &e))
		o.titles[c.Ref] = e.Metadata.Title
		if e.Metadata.Annotations[catalogmodel.AnnotationOrphan] != "" {
			o.titles[c.Ref] += " (orphan)"
		}
	}
}

func (o *owners) check() {
	for _, target := range targets {
		var keys, sources []string
		o.must(o.db.NewRaw("SELECT location_key FROM refresh_state WHERE entity_ref = ?", target).Scan(o.t.Context(), &keys))
		o.must(o.db.NewRaw("SELECT source FROM refresh_state_references WHERE target_entity_ref = ? ORDER BY source", target).Scan(o.t.Context(), &sources))
		var brought bool
		var want, forms []string
		for source, brings := range o.brings {
			f, ok := brings[target]
			brought = brought || ok
			if !ok || len(keys) == 0 || f.key != keys[0] {
				continue
			}
			forms = append(forms, f.title)
			if slices.Contains(providers, source) {
				source = "@" + source
			}
			want = append(want, source)
		}
		slices.Sort(want)
		title, served := o.titles[target]
		if len(keys) == 1 != brought || served != brought {
			o.t.Errorf("%s: brought %t, there %t, served %t", target, brought, len(keys) == 1, served)
		}
		if !slices.Equal(sources, want) {
			o.t.Errorf("%s with the key %v is brought by %q, want %q", target, keys, sources, want)
		}
		if served && !slices.Contains(forms, title) {
			o.t.Errorf("%s is served as %q, want one of %q", target, title, forms)
		}
	}
}
