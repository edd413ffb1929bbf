package backend

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// Feature is what a backend is put together from: a plugin.Plugin, a plugin.Module, a service.Service or a [Loader].
type Feature interface {
	fmt.Stringer
	// Feature marks the type.
	Feature()
}

// Loader returns features that depend on the configuration. It is called once at start, before anything is wired, and may return other
// loaders.
type Loader func(ctx context.Context, config service.Config) ([]Feature, error)

// String is how messages name the loader.
func (l Loader) String() string { return "feature loader" }

// Feature marks a Loader as something that can be added to a backend.
func (l Loader) Feature() {}

// maxLoaders is how many loaders a start calls at most: more are taken for loaders that return each other.
const maxLoaders = 1000

// expand calls the loaders and sorts the features by kind.
func expand(ctx context.Context, cfg service.Config, features []Feature) (wiring.Features, error) {
	var sorted wiring.Features
	calls := 0
	for queue := features; len(queue) > 0; queue = queue[1:] {
		switch f := queue[0].(type) {
		case plugin.Plugin:
			sorted.Plugins = append(sorted.Plugins, f)
		case plugin.Module:
			sorted.Modules = append(sorted.Modules, f)
		case service.Service:
			sorted.Services = append(sorted.Services, f)
		case Loader:
			if calls++; calls > maxLoaders {
				return sorted, fmt.Errorf("more than %d feature loaders: do they return each other?", maxLoaders)
			}
			loaded, err := call(ctx, cfg, f)
			if err != nil {
				return sorted, fmt.Errorf("feature loader: %w", err)
			}
			queue = append(queue[:1:1], append(loaded, queue[1:]...)...)
		default:
			return sorted, fmt.Errorf("%v (%T) is not a plugin, module, service or feature loader", f, f)
		}
	}
	return sorted, nil
}

func call(ctx context.Context, cfg service.Config, l Loader) (features []Feature, err error) {
	defer panics.Recover(&err)
	return l(ctx, cfg)
}
