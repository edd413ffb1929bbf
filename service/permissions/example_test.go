package permissions_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// What a plugin declares: its permissions, the type of things that some of them are about, and the rules that policies can use for things
// of that type.
var (
	createItem = service.Permission{Name: "todo.item.create", Action: service.ActionCreate}
	readItem   = service.Permission{Name: "todo.item.read", Action: service.ActionRead, ResourceType: "todo-item"}
	deleteItem = service.Permission{Name: "todo.item.delete", Action: service.ActionDelete, ResourceType: "todo-item"}

	items = service.ResourceType[*item, where]{
		Name:        "todo-item",
		Permissions: []service.Permission{readItem, deleteItem},
		Rules: []service.PermissionRule[*item, where]{
			service.NewPermissionRule("IS_OWNER", "Allow items with one of the owners",
				func(i *item, p owners) bool { return slices.Contains(p.Owners, i.Owner) },
				func(p owners) where { return where("owner IN ('" + strings.Join(p.Owners, "', '") + "')") }), // a real one has placeholders
			service.NewPermissionRule("IS_DONE", "Allow items that are done",
				func(i *item, _ struct{}) bool { return i.Done },
				func(struct{}) where { return "done" }),
		},
		AllOf: func(parts []where) where { return join(parts, " AND ", "TRUE") },
		AnyOf: func(parts []where) where { return join(parts, " OR ", "FALSE") },
		Not:   func(part where) where { return "NOT " + part },
	}
)

type item struct {
	Owner string `json:"owner"`
	Done  bool   `json:"done"`
}

type owners struct {
	Owners []string `json:"owners" doc:"Entity refs of which one must own the item"`
}

// where is a condition in SQL.
type where string

func join(parts []where, with, none string) where {
	if len(parts) == 0 {
		return where(none)
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = string(p)
	}
	return where("(" + strings.Join(texts, with) + ")")
}

// How the plugin uses them: it adds them to its registry, and asks before it does something for somebody.
func start(router *echo.Group, auth service.HTTPAuth, permissions service.Permissions, registry service.PermissionsRegistry, store *store) error {
	if err := registry.AddPermissions(createItem); err != nil {
		return err
	}
	if err := registry.AddResourceType(items.LoadedBy(store.load)); err != nil {
		return err
	}

	router.POST("/items", func(c echo.Context) error {
		who, err := auth.Credentials(c.Request(), service.AllowUser, service.AllowService)
		if err != nil {
			return err
		}
		if err := service.RequirePermission(c.Request().Context(), permissions, who, createItem); err != nil {
			return err // 403
		}
		return c.NoContent(http.StatusCreated)
	})

	router.DELETE("/items/:ref", func(c echo.Context) error {
		who, err := auth.Credentials(c.Request(), service.AllowUser, service.AllowService)
		if err != nil {
			return err
		}
		if err := service.RequirePermission(c.Request().Context(), permissions, who, deleteItem, c.Param("ref")); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})

	router.GET("/items", func(c echo.Context) error {
		who, err := auth.Credentials(c.Request(), service.AllowUser, service.AllowService)
		if err != nil {
			return err
		}
		decisions, err := permissions.AuthorizeConditional(c.Request().Context(), who, readItem)
		if err != nil {
			return err
		}
		readable, err := items.Query(decisions[0])
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]where{"query": "SELECT * FROM items WHERE " + readable})
	})
	return nil
}

// store has the items.
type store struct{ byRef map[string]*item }

func (s *store) load(_ context.Context, refs []string) (map[string]*item, error) {
	found := map[string]*item{}
	for _, ref := range refs {
		if i, ok := s.byRef[ref]; ok {
			found[ref] = i
		}
	}
	return found, nil
}

func todo(s *store) plugin.Plugin {
	return plugin.New("todo", plugin.Init(
		func(router *echo.Group, auth service.HTTPAuth, p service.Permissions, r service.PermissionsRegistry) error {
			return start(router, auth, p, r, s)
		}))
}

// A decision of a policy becomes a check of things that are at hand, or a query for those that are allowed.
func Example() {
	decision := service.Decision{
		Result: service.ResultConditional, PluginID: "todo", ResourceType: items.Name,
		Conditions: &service.Criteria{AnyOf: []service.Criteria{
			{ResourceType: items.Name, Rule: "IS_OWNER", Params: map[string]any{"owners": []string{"user:default/jane"}}},
			{Not: &service.Criteria{ResourceType: items.Name, Rule: "IS_DONE"}},
		}},
	}

	allowed, err := items.Check(decision)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(allowed(&item{Owner: "user:default/jane", Done: true}), allowed(&item{Owner: "user:default/joe", Done: true}))

	query, err := items.Query(decision)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(query)
	// Output:
	// true false
	// (owner IN ('user:default/jane') OR NOT done)
}
