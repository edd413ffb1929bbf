package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/access"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Locations answers requests about registered locations.
type Locations struct {
	Store *store.Store
	// Process processes an entity without storing anything.
	Process func(ctx context.Context, work store.Work) store.Result
	// Changed is called after a change.
	Changed func()
	// Origin is the location that led to an entity. An unknown one is a NotFoundError.
	Origin func(ref catalogmodel.Ref) (catalogmodel.LocationRef, error)
	// Types are the types of locations that may be registered.
	Types []string
	// Readonly refuses all changes.
	Readonly bool
	// RefreshExisting has a location that is registered once more refreshed, instead of refusing it.
	RefreshExisting bool
	// Access tells what callers may do.
	Access *access.Control
}

// Register adds the routes.
func (l Locations) Register(router Router) {
	router.POST("/locations", l.create)
	router.GET("/locations", l.list)
	router.POST("/locations/by-query", l.byQuery)
	router.GET("/locations/:id", l.get)
	router.PUT("/locations/:id", l.update)
	router.DELETE("/locations/:id", l.delete)
	router.GET("/locations/by-entity/:kind/:namespace/:name", l.byEntity)
}

// input is the location in the body of a request. White space around its target, as it is left by copying, does not count.
func (l Locations) input(c echo.Context) (in catalogmodel.LocationSpec, err error) {
	if err := decode(c, body{"type": &in.Type, "target": &in.Target, "presence": &in.Presence}); err != nil {
		return in, err
	}
	in.Target = strings.TrimSpace(in.Target)
	if !slices.Contains(l.Types, in.Type) {
		types, err := json.Marshal(l.Types)
		if err != nil {
			return in, err
		}
		return in, service.InputError.Errorf("Registered locations must be of an allowed type %s", types)
	}
	return in, nil
}

func (l Locations) writable() error {
	if l.Readonly {
		return service.NotAllowedError.Errorf("This operation not allowed in readonly mode")
	}
	return nil
}

func (l Locations) create(c echo.Context) error {
	params := parameters(c)
	dryRun := params.Bool("dryRun")
	again := l.RefreshExisting
	if strategy, set := params.Get("onConflict"); set {
		again = strategy == "refresh"
	}
	if !dryRun {
		if err := l.writable(); err != nil {
			return err
		}
	}
	in, err := l.input(c)
	if err != nil {
		return err
	}
	if err := l.Access.Require(c.Request(), catalogpermission.LocationCreate); err != nil {
		return err
	}
	at := catalogmodel.LocationRef{Type: in.Type, Target: in.Target}
	if dryRun {
		return l.tryOut(c, at, in.Presence)
	}
	location := store.RegisteredLocation{Type: in.Type, Target: in.Target, EntityRef: ingest.LocationEntityRef(at)}
	location, err = l.Store.Register(c.Request().Context(), location, again, ingest.RegisteredEntity)
	if err != nil {
		return err
	}
	l.Changed()
	return c.JSON(http.StatusCreated, map[string]any{"location": location, "entities": []any{}})
}

// tryOut answers what a location would lead to, without registering it.
func (l Locations) tryOut(c echo.Context, at catalogmodel.LocationRef, presence string) error {
	exists, entities, err := l.Explore(c.Request().Context(), at)
	if err != nil {
		return err
	}
	location := struct {
		store.RegisteredLocation
		Presence string `json:"presence,omitempty"` // as it was asked for; it is not stored
	}{store.RegisteredLocation{ID: at.String(), Type: at.Type, Target: at.Target, EntityRef: ingest.LocationEntityRef(at)}, presence}
	return c.JSON(http.StatusCreated, map[string]any{"exists": exists, "location": location, "entities": entities})
}

// maxExplored is how many entities a dry run looks at.
const maxExplored = 10_000

// Explore tells whether a location is registered, and answers the entity that stands for it and all that it leads to.
func (l Locations) Explore(ctx context.Context, at catalogmodel.LocationRef) (registered bool, entities []json.RawMessage, err error) {
	all, err := l.Store.Locations(ctx)
	if err != nil {
		return false, nil, err
	}
	registered = slices.ContainsFunc(all, func(other store.RegisteredLocation) bool {
		return other.Type == at.Type && other.Target == at.Target
	})
	first, err := ingest.RegisteredEntity(store.RegisteredLocation{Type: at.Type, Target: at.Target, EntityRef: ingest.LocationEntityRef(at)})
	if err != nil {
		return registered, nil, err
	}
	entities, err = l.processAll(ctx, first)
	return registered, entities, err
}

// processAll processes an entity and all that it leads to.
func (l Locations) processAll(ctx context.Context, first store.Ingested) ([]json.RawMessage, error) {
	entities := []json.RawMessage{}
	seen := map[string]bool{}
	for todo := []store.Ingested{first}; len(todo) > 0; {
		last := len(todo) - 1
		e, place := todo[last].Entity, todo[last].Place
		todo = todo[:last]
		ref := e.Ref().String()
		if seen[ref] {
			return nil, service.InputError.Errorf("Duplicate nested entity: %s", ref)
		}
		seen[ref] = true
		if len(seen) > maxExplored {
			return nil, service.InputError.Errorf("The location leads to more than %d entities, which is too much for a dry run", maxExplored)
		}
		result := l.Process(ctx, store.Work{Ref: ref, JSON: e.AppendJSON(nil), Place: place})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(result.Errors) > 0 {
			messages := make([]string, len(result.Errors))
			for i, failure := range result.Errors {
				messages[i] = failure.Name + ": " + failure.Message
			}
			return nil, service.InputError.Errorf("%s", strings.Join(messages, ", "))
		}
		entities = append(entities, result.JSON)
		todo = append(todo, result.Emitted...)
	}
	return entities, nil
}

func (l Locations) list(c echo.Context) error {
	all, err := l.readable(c)
	if err != nil {
		return err
	}
	type item struct {
		Data store.RegisteredLocation `json:"data"`
	}
	items := make([]item, len(all))
	for i, location := range all {
		items[i] = item{location}
	}
	return c.JSON(http.StatusOK, items)
}

// readable are the registered locations as far as the caller may see them: all or none.
func (l Locations) readable(c echo.Context) ([]store.RegisteredLocation, error) {
	if allowed, err := l.Access.Allowed(c.Request(), catalogpermission.LocationRead); err != nil || !allowed {
		return nil, err
	}
	return l.Store.Locations(c.Request().Context())
}

// locationQuery is what POST /locations/by-query asks for, or the cursor of its answer.
type locationQuery struct {
	Limit   int             `json:"limit"`
	AfterID string          `json:"afterId,omitempty"`
	Query   json.RawMessage `json:"query,omitempty"`
}

const defaultLocationLimit = 1000

func (l Locations) byQuery(c echo.Context) error {
	q, err := locationQueryOf(c)
	if err != nil {
		return err
	}
	where, err := query.ParsePredicate(q.Query)
	if err != nil {
		return err
	}
	if err := locationKeys(where); err != nil {
		return err
	}
	all, err := l.readable(c)
	if err != nil {
		return err
	}
	items, total, more := []store.RegisteredLocation{}, 0, false
	for _, location := range all {
		if !query.Match(where, locationTerms(location)) {
			continue
		}
		total++
		switch {
		case location.ID <= q.AfterID:
		case len(items) == q.Limit:
			more = true
		default:
			items = append(items, location)
		}
	}
	info := map[string]string{}
	if more {
		q.AfterID = items[len(items)-1].ID
		text, err := json.Marshal(q)
		if err != nil {
			return err
		}
		info["nextCursor"] = base64.StdEncoding.EncodeToString(text)
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items, "totalItems": total, "pageInfo": info})
}

func locationQueryOf(c echo.Context) (q locationQuery, err error) {
	limit := float64(defaultLocationLimit) // 20.0 is an integer in JSON
	var cursor string
	if err := decode(c, body{"cursor": &cursor, "limit": &limit, "query": &q.Query}); err != nil {
		return q, err
	}
	q.Limit = int(limit)
	if cursor == "" {
		return q, nil
	}
	text, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil {
		return q, service.InputError.Errorf("Malformed cursor, unknown encoding")
	}
	q = locationQuery{}
	if err := json.Unmarshal(text, &q); err != nil {
		return q, service.InputError.Errorf("Malformed cursor: %w", err)
	}
	if q.Limit < 1 {
		return q, service.InputError.Errorf("Malformed cursor: its limit is %d", q.Limit)
	}
	return q, nil
}

func locationTerms(l store.RegisteredLocation) []query.Term {
	terms := make([]query.Term, 0, 4)
	for _, field := range [][2]string{{"id", l.ID}, {"type", l.Type}, {"target", l.Target}, {"entityref", l.EntityRef}} {
		terms = append(terms, query.Term{Key: field[0], Value: strings.ToLower(field[1])})
	}
	return terms
}

// locationKeys checks that a predicate asks for what locations have.
func locationKeys(p query.Predicate) error {
	for key := range query.Keys(p) {
		if !slices.Contains([]string{"id", "type", "target", "entityref"}, key) {
			return service.InputError.Errorf("Invalid filter predicate, expected key to be 'id', 'type', 'target', or 'entityRef', got '%s'", key)
		}
	}
	return nil
}

func (l Locations) get(c echo.Context) error {
	if allowed, err := l.Access.Allowed(c.Request(), catalogpermission.LocationRead); err != nil {
		return err
	} else if !allowed {
		return service.NotFoundError.Errorf("Found no location with ID %s", c.Param("id"))
	}
	location, err := l.Store.Location(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, location)
}

func (l Locations) update(c echo.Context) error {
	if err := l.writable(); err != nil {
		return err
	}
	in, err := l.input(c)
	if err != nil {
		return err
	}
	if err := l.Access.Require(c.Request(), catalogpermission.LocationCreate); err != nil {
		return err
	}
	location, err := l.Store.Move(c.Request().Context(), c.Param("id"), in.Type, in.Target, ingest.RegisteredEntity)
	if err != nil {
		return err
	}
	l.Changed()
	return c.JSON(http.StatusOK, location)
}

func (l Locations) delete(c echo.Context) error {
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.Access.Require(c.Request(), catalogpermission.LocationDelete); err != nil {
		return err
	}
	if _, err := l.Store.Unregister(c.Request().Context(), c.Param("id")); err != nil {
		return err
	}
	l.Changed()
	return c.NoContent(http.StatusNoContent)
}

// byEntity answers the registered location that led to an entity.
func (l Locations) byEntity(c echo.Context) error {
	all, err := l.readable(c)
	if err != nil {
		return err
	}
	origin, err := l.Origin(pathRef(c))
	if err != nil {
		return err
	}
	for _, location := range all {
		if location.Type == origin.Type && location.Target == origin.Target {
			return c.JSON(http.StatusOK, location)
		}
	}
	return service.NotFoundError.Errorf("Found no location with type %s and target %s", origin.Type, origin.Target)
}

// OriginOf is the registered location that led to an entity, by its annotation.
func (a *API) OriginOf(ref catalogmodel.Ref) (origin catalogmodel.LocationRef, err error) {
	found := a.index.ByRef([]string{ref.String()}, nil)[0]
	if !found.Exists() {
		return origin, service.NotFoundError.Errorf("found no entity for ref %s", ref)
	}
	e, err := catalogmodel.ParseJSON(found.JSON())
	if err != nil {
		return origin, fmt.Errorf("catalog: the entity %s: %w", ref, err)
	}
	text := e.Annotation(catalogmodel.AnnotationManagedByOriginLocation)
	if text == "" {
		return origin, service.NotFoundError.Errorf("found no origin annotation for ref %s", ref)
	}
	return catalogmodel.ParseLocationRef(text)
}
