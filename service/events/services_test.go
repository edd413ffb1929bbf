package events_test

import (
	"context"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// listener is a plugin that subscribes.
func listener(id string, s service.Subscription) plugin.Plugin {
	return plugin.New(id, plugin.Init(func(e service.Events) error { return e.Subscribe(s) }))
}

func TestPluginsGetEventsOfTests(t *testing.T) {
	t.Parallel()
	all := newRecorder()
	b := backendtest.Start(t, listener("a", all.subscription("all", true, "push")), listener("b", all.subscription("all", false, "push")))
	b.Publish(t, "push", map[string]int{"commits": 2})
	expect(t, all.got, `push {"commits":2}`, `push {"commits":2}`)
}

func TestPluginsGetEventsOfOthers(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		for _, mode := range []string{"auto", "never"} {
			all := newRecorder()
			var publisher service.Events
			b := backend.New(backend.Options{Config: config.Options{Dir: t.TempDir(), Overrides: map[string]any{
				"backend": map[string]any{"listen": map[string]any{"host": "127.0.0.1", "port": 0}, "database": section,
					"logger": map[string]any{"level": "error"}},
				"events": map[string]any{"useEventBus": mode},
			}}})
			b.Add(listener("todo", all.subscription("all", true, "push")), plugin.New("source", plugin.Init(func(e service.Events) { publisher = e })))
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			e, err := service.NewEvent("push", mode)
			if err == nil {
				err = publisher.Publish(t.Context(), e)
			}
			if err != nil {
				t.Error(err)
			}
			expect(t, all.await(t, 1), `push "`+mode+`"`)
			if err := b.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
	})
}
