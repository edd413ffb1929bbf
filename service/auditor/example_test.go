package auditor_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// A plugin records what it does in the log of the backend.
func Example() {
	shop := plugin.New("shop", plugin.Init(func(ctx context.Context, auditor service.Auditor) error {
		event, err := auditor.Event(ctx, service.AuditEvent{ID: "prices-change", Severity: service.SeverityMedium})
		if err != nil {
			return err
		}
		event.Succeed(ctx, slog.Int("items", 12))
		return nil
	}))

	b := backend.New(backend.Options{Config: config.Options{Overrides: map[string]any{"backend": map[string]any{
		"listen":  "127.0.0.1:0",
		"auditor": map[string]any{"severityLogLevelMappings": map[string]any{"medium": "error"}},
	}}}})
	b.Add(shop, service.Root[service.RootLogger](errorLog))
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
	}
	if err := b.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// msg=shop.prices-change plugin=shop isAuditEvent=true eventId=prices-change severityLevel=medium actor.actorId=plugin:shop status=initiated
	// msg=shop.prices-change plugin=shop isAuditEvent=true eventId=prices-change severityLevel=medium actor.actorId=plugin:shop meta=map[items:12] status=succeeded
}

// errorLog is a logger for errors only, without their times.
func errorLog() service.RootLogger {
	return service.RootLogger{Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelError,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
}
