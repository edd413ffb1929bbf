package catalogclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Location is a registered location.
type Location struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Target string `json:"target"`
	// EntityRef is the ref of the Location entity that stands for it.
	EntityRef string `json:"entityRef"`
}

// Locations answers all registered locations.
func (c *Client) Locations(ctx context.Context) ([]Location, error) {
	var items []struct {
		Data Location `json:"data"`
	}
	if err := c.get(ctx, "/locations", &items); err != nil {
		return nil, fmt.Errorf("catalog: asking for locations: %w", err)
	}
	all := make([]Location, len(items))
	for i, item := range items {
		all[i] = item.Data
	}
	return all, nil
}

// LocationPage is some of the registered locations.
type LocationPage struct {
	Items []Location `json:"items"`
	// Total is how many there are in all.
	Total    int      `json:"totalItems"`
	PageInfo PageInfo `json:"pageInfo"`
}

// QueryLocations answers the first limit registered locations for which the predicate holds, which may ask for id, type, target and
// entityRef. A nil predicate asks for all; limit zero is 1000.
func (c *Client) QueryLocations(ctx context.Context, where any, limit int) (LocationPage, error) {
	body := map[string]any{}
	if where != nil {
		body["query"] = where
	}
	if limit > 0 {
		body["limit"] = limit
	}
	return c.locationPage(ctx, body)
}

// LocationPage answers the page that the cursor of another one leads to.
func (c *Client) LocationPage(ctx context.Context, cursor string) (LocationPage, error) {
	return c.locationPage(ctx, map[string]any{"cursor": cursor})
}

func (c *Client) locationPage(ctx context.Context, body map[string]any) (LocationPage, error) {
	var page LocationPage
	if err := c.post(ctx, "/locations/by-query", body, &page); err != nil {
		return page, fmt.Errorf("catalog: querying locations: %w", err)
	}
	return page, nil
}

// AllLocations answers the registered locations for which the predicate holds, one after the other. An error ends it.
func (c *Client) AllLocations(ctx context.Context, where any) iter.Seq2[Location, error] {
	return func(yield func(Location, error) bool) {
		page, err := c.QueryLocations(ctx, where, 0)
		for {
			if err != nil {
				yield(Location{}, err)
				return
			}
			for _, l := range page.Items {
				if !yield(l, nil) {
					return
				}
			}
			if page.PageInfo.Next == "" {
				return
			}
			page, err = c.LocationPage(ctx, page.PageInfo.Next)
		}
	}
}

// Location answers the registered location with the id. If there is none, errors.Is(err, service.NotFoundError) holds.
func (c *Client) Location(ctx context.Context, id string) (Location, error) {
	var l Location
	if err := c.get(ctx, "/locations/"+url.PathEscape(id), &l); err != nil {
		return l, fmt.Errorf("catalog: asking for location %s: %w", id, err)
	}
	return l, nil
}

// LocationByRef answers the registered location with the type and target. If there is none, errors.Is(err, service.NotFoundError) holds.
func (c *Client) LocationByRef(ctx context.Context, ref catalogmodel.LocationRef) (Location, error) {
	where := map[string]any{"$all": []any{map[string]any{"type": ref.Type}, map[string]any{"target": ref.Target}}}
	for l, err := range c.AllLocations(ctx, where) {
		if err != nil {
			return l, err
		}
		if l.Type == ref.Type && l.Target == ref.Target { // predicates don't look at upper and lower case
			return l, nil
		}
	}
	return Location{}, fmt.Errorf("catalog: %w", service.NotFoundError.Errorf("No location %s is registered", ref))
}

// LocationByEntity answers the registered location that an entity comes from. If there is none, errors.Is(err, service.NotFoundError)
// holds.
func (c *Client) LocationByEntity(ctx context.Context, ref catalogmodel.Ref) (Location, error) {
	var l Location
	if err := c.get(ctx, "/locations/by-entity/"+nameSegments(ref), &l); err != nil {
		return l, fmt.Errorf("catalog: asking for the location of %s: %w", ref, err)
	}
	return l, nil
}

// Registration is what came of registering a location.
type Registration struct {
	Location Location `json:"location"`
	// Entities are what a dry run has found.
	Entities []catalogmodel.Entity `json:"entities"`
	// Exists tells of a dry run whether the location was registered already.
	Exists bool `json:"exists"`
}

// RegisterOptions tells how to register a location.
type RegisterOptions struct {
	// DryRun tells what would come of it, and registers nothing.
	DryRun bool
	// OnConflict is what happens if the location is registered already: "refresh" or "reject". By default, the catalog decides.
	OnConflict string
}

// Register registers a location.
func (c *Client) Register(ctx context.Context, ref catalogmodel.LocationRef, o RegisterOptions) (Registration, error) {
	values := url.Values{}
	if o.DryRun {
		values.Set("dryRun", "true")
	}
	if o.OnConflict != "" {
		values.Set("onConflict", o.OnConflict)
	}
	var r Registration
	if err := c.post(ctx, "/locations?"+values.Encode(), map[string]string{"type": ref.Type, "target": ref.Target}, &r); err != nil {
		return r, fmt.Errorf("catalog: registering %s: %w", ref, err)
	}
	return r, nil
}

// MoveLocation changes the type and target of a registered location.
func (c *Client) MoveLocation(ctx context.Context, id string, to catalogmodel.LocationRef) (Location, error) {
	var l Location
	body := map[string]string{"type": to.Type, "target": to.Target}
	if _, err := c.do(ctx, http.MethodPut, "/locations/"+url.PathEscape(id), body, &l); err != nil {
		return l, fmt.Errorf("catalog: moving location %s to %s: %w", id, to, err)
	}
	return l, nil
}

// RemoveLocation unregisters a location, and removes what came from it.
func (c *Client) RemoveLocation(ctx context.Context, id string) error {
	if _, err := c.do(ctx, http.MethodDelete, "/locations/"+url.PathEscape(id), nil, nil); err != nil {
		return fmt.Errorf("catalog: removing location %s: %w", id, err)
	}
	return nil
}

// Mistake is something that is wrong with an entity.
type Mistake struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Validate tells what would be wrong with the entity if it came from the location, of which the type must be url. Nothing: it is good.
func (c *Client) Validate(ctx context.Context, e catalogmodel.Entity, location catalogmodel.LocationRef) ([]Mistake, error) {
	err := c.post(ctx, "/validate-entity", map[string]any{"entity": e, "location": location.String()}, nil)
	var answer struct {
		Errors []Mistake `json:"errors"`
	}
	if refused := (*failureError)(nil); errors.As(err, &refused) && json.Unmarshal(refused.body, &answer) == nil && len(answer.Errors) > 0 {
		return answer.Errors, nil
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: validating %s: %w", e.Ref(), err)
	}
	return nil, nil
}

// Analysis is what the catalog makes of a location that may have no catalog-info.yaml.
type Analysis struct {
	// Existing are the files with entities that are there.
	Existing []ExistingFile `json:"existingEntityFiles"`
	// Generated are entities that could be written down.
	Generated []GeneratedEntity `json:"generateEntities"`
}

// ExistingFile is a file that describes an entity.
type ExistingFile struct {
	Location     catalogmodel.LocationSpec `json:"location"`
	IsRegistered bool                      `json:"isRegistered"`
	Entity       catalogmodel.Entity       `json:"entity"`
}

// GeneratedEntity is an entity that could be written down.
type GeneratedEntity struct {
	Entity catalogmodel.Entity `json:"entity"`
	// Fields tells of its fields how sure they are.
	Fields []GeneratedField `json:"fields"`
}

// GeneratedField tells how sure a field of a generated entity is.
type GeneratedField struct {
	// Field is the name of the field: "owner".
	Field string `json:"field"`
	// State is "analysisSuggestedValue", "analysisSuggestedNoValue" or "needsUserInput".
	State string `json:"state"`
	// Value is the value, or nil if there is none.
	Value       *string `json:"value"`
	Description string  `json:"description"`
}

// Analyze answers what the catalog makes of a location. The file name is that of descriptions; it may be empty.
func (c *Client) Analyze(ctx context.Context, ref catalogmodel.LocationRef, filename string) (Analysis, error) {
	body := map[string]any{"location": map[string]string{"type": ref.Type, "target": ref.Target}}
	if filename != "" {
		body["catalogFilename"] = filename
	}
	var a Analysis
	if err := c.post(ctx, "/analyze-location", body, &a); err != nil {
		return a, fmt.Errorf("catalog: analyzing %s: %w", ref, err)
	}
	return a, nil
}
