package extension_test

import (
	"fmt"

	"github.com/portico-dev/portico/extension"
)

// Sources is what modules of plugin todo see of it.
type Sources interface{ AddSource(name string) }

func ExampleNewPoint() {
	// In the public package of plugin todo, as a variable: var SourcesPoint = …
	point := extension.NewPoint[Sources]("todo.sources")
	fmt.Println(point.ID(), point.Type())
	// Output: todo.sources extension_test.Sources
}
