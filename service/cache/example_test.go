package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/eko/gocache/lib/v4/store"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/cache"
)

// A backend makes the cache for a plugin that asks for a service.Cache.
func Example() {
	ctx := context.Background()
	var stop lifecycle
	manager, err := cache.NewManager(
		configuration(nil), // nothing configured: in memory
		service.RootLogger{Logger: slog.Default()}, &stop)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop.stop(ctx)
	c := manager.Cache("todo")

	if err := c.Set(ctx, "answer", []byte("42"), store.WithExpiration(time.Minute)); err != nil {
		fmt.Println(err)
	}
	value, err := c.Get(ctx, "answer")
	fmt.Println(string(value), err)

	_, err = c.Get(ctx, "question")
	fmt.Println(errors.Is(err, store.NotFound{}))
	// Output:
	// 42 <nil>
	// true
}

// lifecycle stands for the fx.Lifecycle of a backend.
type lifecycle struct{ hooks []fx.Hook }

func (l *lifecycle) Append(hook fx.Hook) { l.hooks = append(l.hooks, hook) }

func (l *lifecycle) stop(ctx context.Context) {
	for _, hook := range l.hooks {
		if err := hook.OnStop(ctx); err != nil {
			fmt.Println(err)
		}
	}
}
