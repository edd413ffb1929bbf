package discovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

func Example() {
	b := backend.New(backend.Options{Config: config.Options{
		Overrides: map[string]any{"backend": map[string]any{"listen": "127.0.0.1:0"}},
	}})
	b.Add(
		service.Root[service.RootLogger](func() service.RootLogger { return service.RootLogger{Logger: slog.New(slog.DiscardHandler)} }),
		plugin.New("shop", plugin.Init(func(life service.RootLifecycle, discovery service.Discovery) {
			life.OnStarted(func(ctx context.Context) error {
				url, err := discovery.BaseURL(ctx, "stock")
				fmt.Println(url[strings.Index(url, "/api"):])
				return err
			})
		})),
	)
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
	}
	if err := b.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: /api/stock
}
