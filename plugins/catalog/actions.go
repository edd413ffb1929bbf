package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

// actions are what the catalog does for programs and language models, by the names and inputs of Backstage. They go through the REST API, on
// behalf of whoever invokes them: what that allows, refuses and records holds for them too.
type actions struct {
	client *catalogclient.Client
	// model describes the kinds of entities that there are.
	model string
}

func (a actions) register(registry service.ActionsRegistry) error {
	reads := service.ActionAttributes{ReadOnly: true, Idempotent: true}
	return registry.Register(
		service.NewAction(service.ActionInfo{
			Name: "get-catalog-entity", Title: "Get Catalog Entity", Attributes: reads,
			Description: "Gets one entity of the software catalog by its name; kind and namespace tell it from others of that name.",
		}, a.entity),
		service.NewAction(service.ActionInfo{
			Name: "get-catalog-model-description", Title: "Get a Catalog Model Description", Attributes: reads,
			Description: "Describes, as Markdown, which kinds of entities the software catalog has, their fields, and how they relate.",
		}, a.describe),
		service.NewAction(service.ActionInfo{
			Name: "query-catalog-entities", Title: "Query Catalog Entities", Attributes: reads,
			Description: "Finds entities of the software catalog: by a predicate over their fields, by text, in any order, page by page.\n\n" + predicates,
		}, a.query),
		service.NewAction(service.ActionInfo{
			Name: "refresh-catalog-entity", Title: "Refresh Catalog Entity", Attributes: service.ActionAttributes{Additive: true, Idempotent: true},
			Description: "Has an entity read again from where it is declared, soon, instead of at the next regular time.",
		}, a.refresh),
		service.NewAction(service.ActionInfo{
			Name: "register-entity", Title: "Register entity in the Catalog", Attributes: service.ActionAttributes{Additive: true},
			Description: "Registers the URL of a catalog-info.yaml file. The entities that it declares, and those of files it points to, come to the catalog soon.",
		}, a.registerLocation),
		service.NewAction(service.ActionInfo{
			Name: "unregister-entity", Title: "Unregister entity from the Catalog",
			Attributes:  service.ActionAttributes{Idempotent: true},
			Description: "Forgets a registered location, by its id or URL, and deletes the entities that came from there.",
		}, a.unregisterLocation),
		service.NewAction(service.ActionInfo{
			Name: "validate-entity", Title: "Validate Catalog Entity", Attributes: reads,
			Description: "Tells whether the YAML text of an entity is valid, and what is wrong with it, without storing anything.",
		}, a.validate),
	)
}

const predicates = `A predicate is an object of fields and what they must be: {"kind": "Component", "spec.type": "service"}. In the place of a value may
stand {"$in": […]}, {"$exists": true}, {"$hasPrefix": "a"} or {"$contains": "a"}. Predicates are combined by {"$all": […]}, {"$any": […]} and {"$not": …}.
Relations are fields too: {"relations.ownedby": "group:default/team-a"} finds what a team owns. References have the form kind:namespace/name.`

type entityName struct {
	Kind      string `json:"kind,omitempty" jsonschema:"the kind of the entity, if it is known"`
	Namespace string `json:"namespace,omitempty" jsonschema:"the namespace of the entity, if it is known"`
	Name      string `json:"name" jsonschema:"the name of the entity"`
}

func (a actions) entity(ctx context.Context, in entityName) (map[string]any, error) {
	e, err := a.find(ctx, in)
	if err != nil {
		return nil, err
	}
	return asMap(e)
}

// find is the one entity with a name.
func (a actions) find(ctx context.Context, in entityName) (found catalogmodel.Entity, err error) {
	where := map[string]any{"metadata.name": strings.TrimSpace(in.Name)}
	if in.Kind != "" {
		where["kind"] = in.Kind
	}
	if in.Namespace != "" {
		where["metadata.namespace"] = in.Namespace
	}
	page, err := a.client.Query(ctx, catalogclient.Query{Where: where})
	if err != nil {
		return found, err
	}
	switch len(page.Items) {
	case 0:
		return found, service.InputError.Errorf("No entity found with name %q", in.Name)
	case 1:
		return page.Items[0], nil
	}
	refs := make([]string, len(page.Items))
	for i, e := range page.Items {
		refs[i] = e.Ref().String()
	}
	return found, service.ConflictError.Errorf("Multiple entities found with name %q, please provide more specific filters. Entities found: %s",
		in.Name, strings.Join(refs, ", "))
}

type modelDescription struct {
	Description string `json:"description" jsonschema:"the model of the catalog, as Markdown"`
}

func (a actions) describe(context.Context, struct{}) (modelDescription, error) {
	return modelDescription{a.model}, nil
}

type entityQuery struct {
	Query          map[string]any  `json:"query,omitempty" jsonschema:"a predicate over the fields of entities"`
	Fields         []string        `json:"fields,omitempty" jsonschema:"the fields to answer, such as spec.type; without any, all"`
	Limit          int             `json:"limit,omitempty" jsonschema:"how many entities to answer at a time"`
	Offset         int             `json:"offset,omitempty" jsonschema:"how many entities to pass over"`
	OrderFields    json.RawMessage `json:"orderFields,omitempty" jsonschema:"what to order by: objects of field, such as metadata.name, and order, asc or desc; one of them need not be in a list"`
	FullTextFilter *textFilter     `json:"fullTextFilter,omitempty" jsonschema:"a text that entities contain"`
	Cursor         string          `json:"cursor,omitempty" jsonschema:"the nextPageCursor of the answer before: goes on there"`
}

// orders are the orders of a list of objects with field and order, or of one of them, in the form of the client.
func orders(in json.RawMessage) (orders []string, err error) {
	if len(in) == 0 {
		return nil, nil
	}
	if in[0] != '[' {
		in = append(append(json.RawMessage{'['}, in...), ']')
	}
	var list []struct{ Field, Order string }
	if err := json.Unmarshal(in, &list); err != nil {
		return nil, service.InputError.Errorf("orderFields must be an object of field and order, or a list of such: %w", err)
	}
	for _, o := range list {
		orders = append(orders, o.Order+":"+o.Field)
	}
	return orders, nil
}

type textFilter struct {
	Term   string   `json:"term" jsonschema:"what to look for"`
	Fields []string `json:"fields,omitempty" jsonschema:"the fields to look in"`
}

type entityPage struct {
	Items      []map[string]any `json:"items"`
	TotalItems int              `json:"totalItems"`
	More       bool             `json:"hasMoreEntities"`
	Next       string           `json:"nextPageCursor,omitempty"`
}

func (a actions) query(ctx context.Context, in entityQuery) (entityPage, error) {
	if in.Limit < 0 || in.Offset < 0 {
		return entityPage{}, service.InputError.Errorf("limit and offset must not be negative")
	}
	q := catalogclient.Query{Fields: in.Fields, Limit: in.Limit, Offset: in.Offset}
	if in.Query != nil {
		q.Where = in.Query
	}
	if in.FullTextFilter != nil {
		q.Text, q.TextFields = in.FullTextFilter.Term, in.FullTextFilter.Fields
	}
	var err error
	if q.Order, err = orders(in.OrderFields); err != nil {
		return entityPage{}, err
	}
	var found catalogclient.Page
	if in.Cursor != "" {
		found, err = a.client.Page(ctx, in.Cursor, q)
	} else {
		found, err = a.client.Query(ctx, q)
	}
	if err != nil {
		return entityPage{}, err
	}
	page := entityPage{Items: make([]map[string]any, len(found.Items)), TotalItems: found.Total, More: found.PageInfo.Next != "", Next: found.PageInfo.Next}
	for i, e := range found.Items {
		if page.Items[i], err = asMap(e); err != nil {
			return entityPage{}, err
		}
	}
	return page, nil
}

type refreshed struct {
	EntityRef string `json:"entityRef" jsonschema:"the entity that is read again"`
}

func (a actions) refresh(ctx context.Context, in entityName) (refreshed, error) {
	e, err := a.find(ctx, in)
	if err != nil {
		return refreshed{}, err
	}
	return refreshed{EntityRef: e.Ref().String()}, a.client.Refresh(ctx, e.Ref())
}

type newLocation struct {
	URL string `json:"locationUrl" jsonschema:"the URL of a catalog-info.yaml file"`
}

type registered struct {
	ID string `json:"locationId" jsonschema:"the id of the location"`
}

func (a actions) registerLocation(ctx context.Context, in newLocation) (registered, error) {
	if parsed, err := url.Parse(strings.TrimSpace(in.URL)); err != nil || !parsed.IsAbs() {
		return registered{}, service.InputError.Errorf("%s is an invalid URL", in.URL)
	}
	done, err := a.client.Register(ctx, catalogmodel.LocationRef{Type: "url", Target: in.URL}, catalogclient.RegisterOptions{})
	return registered{ID: done.Location.ID}, err
}

type unregister struct {
	Type struct {
		ID  string `json:"locationId,omitempty" jsonschema:"the id of the location"`
		URL string `json:"locationUrl,omitempty" jsonschema:"the URL that was registered"`
	} `json:"type" jsonschema:"the location: by its id or its URL"`
}

func (a actions) unregisterLocation(ctx context.Context, in unregister) (struct{}, error) {
	if in.Type.ID != "" {
		return struct{}{}, a.client.RemoveLocation(ctx, in.Type.ID)
	}
	if in.Type.URL == "" {
		return struct{}{}, service.InputError.Errorf("type: it needs locationId or locationUrl")
	}
	found := false
	for l, err := range a.client.AllLocations(ctx, map[string]any{"target": in.Type.URL}) {
		if err == nil {
			err = a.client.RemoveLocation(ctx, l.ID)
		}
		if err != nil {
			return struct{}{}, err
		}
		found = true
	}
	if !found {
		return struct{}{}, service.NotFoundError.Errorf("Location with URL %s not found", in.Type.URL)
	}
	return struct{}{}, nil
}

type candidate struct {
	Entity   string `json:"entity" jsonschema:"the YAML text of an entity"`
	Location string `json:"location,omitempty" jsonschema:"the URL at which it would be declared"`
}

type verdict struct {
	Valid     bool           `json:"isValid" jsonschema:"whether the entity is valid"`
	ValidYAML bool           `json:"isValidYaml" jsonschema:"whether the text is YAML"`
	Errors    []string       `json:"errors" jsonschema:"what is wrong"`
	Entity    map[string]any `json:"entity,omitempty" jsonschema:"the entity, if it is valid"`
}

func (a actions) validate(ctx context.Context, in candidate) (verdict, error) {
	e, err := one(in.Entity)
	if err != nil {
		return verdict{Errors: []string{err.Error()}}, nil
	}
	if in.Location == "" {
		in.Location = "https://example.com/catalog-info.yaml"
	}
	at := catalogmodel.LocationRef{Type: "url", Target: strings.TrimPrefix(in.Location, "url:")} // Backstage wants it with the type
	mistakes, err := a.client.Validate(ctx, e, at)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{Valid: len(mistakes) == 0, ValidYAML: true, Errors: []string{}}
	for _, m := range mistakes {
		v.Errors = append(v.Errors, fmt.Sprintf("%s: %s", m.Name, m.Message))
	}
	if v.Valid {
		v.Entity, err = asMap(e)
	}
	return v, err
}

func asMap(e catalogmodel.Entity) (fields map[string]any, err error) {
	return fields, json.Unmarshal(e.AppendJSON(nil), &fields)
}

// one is the one entity of a YAML text.
func one(text string) (found catalogmodel.Entity, err error) {
	n := 0
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(text), "entity") {
		if err != nil {
			return found, err
		}
		found, n = e, n+1
	}
	if n != 1 {
		return found, errors.New("the text must have one YAML document")
	}
	return found, nil
}
