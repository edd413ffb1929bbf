package events_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/events"
)

// A plugin asks for service.Events, and subscribes when it starts. The bus itself is made by the backend; here it stands alone, without a
// database, and so passes events on within this process.
func Example() {
	ctx := context.Background()
	bus := events.New(events.Options{Log: slog.Default()})

	catalog := bus.ForPlugin("catalog", slog.Default())
	err := catalog.Subscribe(service.Subscription{
		ID:     "refresh",
		Topics: []string{"github.push"},
		OnEvent: func(_ context.Context, e service.Event) error {
			var push struct{ Repository string }
			if err := e.Decode(&push); err != nil {
				return err
			}
			fmt.Println("refreshing what comes from", push.Repository)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
	}
	if err := catalog.Start(ctx); err != nil {
		fmt.Println(err)
	}

	github := bus.ForPlugin("events", slog.Default())
	push, err := service.NewEvent("github.push", map[string]string{"repository": "acme/website"})
	if err != nil {
		fmt.Println(err)
	}
	if err := github.Publish(ctx, push); err != nil {
		fmt.Println(err)
	}

	if err := catalog.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	if err := bus.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: refreshing what comes from acme/website
}
