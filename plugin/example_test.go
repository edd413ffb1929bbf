package plugin_test

import (
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
)

// Sources is what modules of plugin todo see of it.
type Sources interface{ AddSource(name string) }

// SourcesPoint is the extension point for Sources.
var SourcesPoint = extension.NewPoint[Sources]("todo.sources")

// sources is what the plugin itself sees: everything that was added.
type sources struct{ all []string }

func (s *sources) AddSource(name string) { s.all = append(s.all, name) }

func newSources() *sources { return &sources{} }

func ExampleNew() {
	todo := plugin.New("todo",
		plugin.Provide(SourcesPoint, newSources),
		plugin.Init(func(router *echo.Group, found *sources) {
			router.GET("/sources", func(c echo.Context) error { return c.JSON(200, found.all) })
		}),
	)
	fmt.Println(todo, "provides", todo.Spec().Points[0].ID)
	// Output: plugin todo provides todo.sources
}

func ExampleNewModule() {
	jira := plugin.NewModule("todo", "jira",
		plugin.Init(func(s Sources) { s.AddSource("jira") }),
	)
	fmt.Println(jira)
	// Output: module todo/jira
}
