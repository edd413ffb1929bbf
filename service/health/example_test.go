package health_test

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// A plugin takes part in readiness. Its check appears as "todo/upstream" when it fails.
func Example() {
	todo := plugin.New("todo", plugin.Init(func(checks service.Health) {
		checks.AddCheck("upstream", func(ctx context.Context) error { return ctx.Err() })
	}))
	fmt.Println(todo)
	// Output: plugin todo
}
