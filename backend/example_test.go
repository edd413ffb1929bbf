package backend_test

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// What is wrong with how features fit together is reported before anything starts, all of it at once.
func ExampleBackend_Start() {
	b := backend.New(backend.Options{})
	b.Add(
		plugin.New("todo"),
		plugin.NewModule("tood", "jira"),
		plugin.New("Notes"),
	)
	fmt.Println(b.Start(context.Background()))
	// Output:
	// backend: the backend can't be wired, nothing was started; 2 mistakes:
	//   - plugin Notes has the invalid id "Notes"
	//     fix: use lower-case letters, digits and single dashes, beginning with a letter
	//   - module tood/jira extends plugin tood, which is not in this backend
	//     fix: add the plugin, or leave the module out (did you mean "todo"?)
}

// A loader decides by the configuration what is added.
func ExampleLoader() {
	betas := backend.Loader(func(_ context.Context, cfg service.Config) ([]backend.Feature, error) {
		if !cfg.Has("beta") {
			return nil, nil
		}
		return []backend.Feature{plugin.New("notes")}, nil
	})
	b := backend.New(backend.Options{})
	b.Add(plugin.New("todo"), betas)
}
