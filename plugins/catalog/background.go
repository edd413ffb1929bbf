package catalog

import (
	"context"
	"fmt"
	"sync"
)

// background runs tasks from the start to the stop of the plugin.
type background struct {
	tasks   []func(context.Context)
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (b *background) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	for _, task := range b.tasks {
		b.running.Go(func() { task(ctx) })
	}
}

func (b *background) stop(ctx context.Context) error {
	if b.cancel == nil {
		return nil
	}
	b.cancel()
	done := make(chan struct{})
	go func() {
		b.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("catalog: background work goes on: %w", ctx.Err())
	}
}
