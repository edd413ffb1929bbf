package unprocessed_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is an entity provider, and a processor that takes its time for entities with the name slow.
type source struct {
	conn    catalog.EntityProviderConnection
	release chan struct{} // closed when the slow ones may go on
}

func (s *source) Name() string { return "source" }

func (s *source) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	s.conn = conn
	return nil
}

func (s *source) PreProcess(ctx context.Context, e catalogmodel.Entity, _ processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	if e.Name() == "slow" {
		select {
		case <-s.release:
		case <-ctx.Done():
		}
	}
	return e, ctx.Err()
}

func (s *source) bring(t *testing.T, texts ...string) {
	t.Helper()
	var entities []catalogmodel.Entity
	for _, text := range texts {
		for e, err := range catalogmodel.ReadYAML(strings.NewReader(text), "test") {
			if err != nil {
				t.Fatal(err)
			}
			entities = append(entities, e)
		}
	}
	if err := s.conn.ApplyMutation(t.Context(), catalog.FullMutation(entities...)); err != nil {
		t.Fatal(err)
	}
}

func component(name, lifecycle, owner string) string {
	return "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: " + name + " }\nspec: { type: service, lifecycle: " + lifecycle + ", owner: " + owner + " }\n"
}

type answer struct {
	Type     string
	Entities []struct {
		ID          string `json:"entity_id"`
		Ref         string `json:"entity_ref"`
		Unprocessed struct {
			Spec struct{ Owner string }
		} `json:"unprocessed_entity"`
		Processed     *json.RawMessage `json:"processed_entity"`
		Due           time.Time        `json:"next_update_at"`
		LastDiscovery time.Time        `json:"last_discovery_at"`
		Errors        []struct{ Name, Message string }
		LocationKey   string `json:"location_key"`
	}
}

func (a answer) refs() string {
	var refs []string
	for _, e := range a.Entities {
		refs = append(refs, e.Ref)
	}
	return strings.Join(refs, " ")
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		s := &source{release: make(chan struct{})}
		b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(),
			plugin.NewModule("catalog", "source", plugin.Init(func(providers catalog.EntityProviders, processing catalog.Processing) {
				providers.AddEntityProvider(s)
				processing.AddProcessor(s)
			})),
			backendtest.Config(map[string]any{"backend": map[string]any{"database": config}}),
			backendtest.Permissions(func(user service.Credentials, p service.Permission) service.Decision {
				if user.Subject == "user:default/reader" && p.Name != "catalog.entities.unprocessed.read" || user.Subject == "user:default/nobody" {
					return service.Decision{Result: service.ResultDeny}
				}
				return service.Decision{Result: service.ResultAllow}
			}))
		c := b.As(t, "user:default/operator")
		get := func(path string) answer {
			t.Helper()
			return backendtest.JSON[answer](t, c.Get("/api/catalog/entities/unprocessed/"+path))
		}
		await := func(what string, holds func() bool) {
			t.Helper()
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for deadline := time.After(time.Minute); !holds(); {
				select {
				case <-ticker.C:
					b.Clock.Advance(time.Second)
				case <-deadline:
					t.Fatalf("waited in vain for %s: failed are %s, pending %s", what, get("failed").refs(), get("pending").refs())
				}
			}
		}

		s.bring(t, component("good", "production", "a"), component("soon-bad", "production", "a"), component("bad", "7", "b"))
		await("the bad one", func() bool { return get("failed").refs() == "component:default/bad" && get("pending").refs() == "" })
		found := get("failed")
		e := found.Entities[0]
		if found.Type != "failed" || len(e.ID) != 36 || e.Unprocessed.Spec.Owner != "b" || e.Processed != nil || e.LocationKey != "provider:source" ||
			len(e.Errors) != 1 || e.Errors[0].Name != "InputError" || !strings.Contains(e.Errors[0].Message, "lifecycle") || e.Due.IsZero() || e.LastDiscovery.IsZero() {
			t.Errorf("the answer is %+v", found)
		}

		// One that was good stays in the catalog as it was; one that is being processed is pending.
		s.bring(t, component("good", "production", "a"), component("soon-bad", "7", "a"), component("bad", "7", "b"), component("slow", "production", "c"))
		await("the second bad one", func() bool { return get("failed").refs() == "component:default/bad component:default/soon-bad" })
		if refs := get("pending").refs(); refs != "component:default/slow" {
			t.Errorf("pending are %s", refs)
		}
		if refs := get("failed?owner=a").refs(); refs != "component:default/soon-bad" {
			t.Errorf("of a are %s", refs)
		}
		if found := get("failed?owner=a"); found.Entities[0].Processed == nil {
			t.Errorf("the answer is %+v, without what the entity was before", found)
		}
		if refs := get("pending?owner=a").refs(); refs != "" {
			t.Errorf("pending of a are %s", refs)
		}

		path := "/api/catalog/entities/unprocessed/delete/" + e.ID
		if res := b.As(t, "user:default/reader").Do("DELETE", path, nil); res.StatusCode != http.StatusForbidden {
			t.Errorf("a reader may delete: status %d", res.StatusCode)
		}
		if res := b.As(t, "user:default/nobody").Get("/api/catalog/entities/unprocessed/failed"); res.StatusCode != http.StatusForbidden {
			t.Errorf("nobody may read: status %d", res.StatusCode)
		}
		if res := b.Anonymous(t).Get("/api/catalog/entities/unprocessed/pending"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("without credentials: status %d", res.StatusCode)
		}
		for range 2 { // the second time, it is gone already
			if res := c.Do("DELETE", path, nil); res.StatusCode != http.StatusNoContent {
				t.Errorf("deleting: status %d", res.StatusCode)
			}
		}
		if refs := get("failed").refs(); refs != "component:default/soon-bad" {
			t.Errorf("failed are %s", refs)
		}
		close(s.release)
		await("the slow one", func() bool { return get("pending").refs() == "" })
	})
}
