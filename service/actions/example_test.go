package actions_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

type greeting struct {
	Name string `json:"name" jsonschema:"who is greeted"`
}

type greeted struct {
	Text string `json:"text"`
}

// Plugin hello offers an action, and plugin agent invokes it.
func Example() {
	hello := plugin.New("hello", plugin.Init(func(registry service.ActionsRegistry) error {
		return registry.Register(service.NewAction(service.ActionInfo{
			Name: "greet", Title: "Greet somebody", Description: "Says hello to somebody by name.",
			Attributes: service.ActionAttributes{ReadOnly: true},
		}, func(_ context.Context, in greeting) (greeted, error) {
			return greeted{Text: "Hello " + in.Name}, nil
		}))
	}))
	agent := plugin.New("agent", plugin.Init(func(actions service.Actions, auth service.Auth, life service.RootLifecycle) {
		life.OnStarted(func(ctx context.Context) error {
			who := auth.OwnCredentials()
			offered, err := actions.List(ctx, who)
			if err != nil {
				return err
			}
			for _, a := range offered {
				fmt.Println(a.ID, "-", a.Description)
			}
			output, err := actions.Invoke(ctx, who, service.ActionCall{ID: "hello:greet", Input: greeting{Name: "Ada"}})
			fmt.Println(string(output))
			if _, err := actions.Invoke(ctx, who, service.ActionCall{ID: "hello:greet", Input: map[string]any{"name": 42}}); err != nil {
				fmt.Println(err)
			}
			return err
		})
	}))
	b := backend.New(backend.Options{Config: config.Options{Overrides: map[string]any{"backend": map[string]any{
		"listen":  "127.0.0.1:0",
		"actions": map[string]any{"pluginSources": []any{"hello"}},
	}}}})
	b.Add(hello, agent, service.Root[service.RootLogger](func() service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
	}))
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
	}
	if err := b.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// hello:greet - Says hello to somebody by name.
	// {"text":"Hello Ada"}
	// invoking action hello:greet: Invalid input to action "greet": name: expected string, but got number
}
