package catalogclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Query asks for entities. The zero Query asks for all.
type Query struct {
	// Filter are conditions of which one must hold, each in the form of the filter parameter of the catalog's API: "kind=component,spec.type=service".
	Filter []string
	// Where is a predicate, as a value that becomes JSON, or nil. It can't be combined with Filter.
	Where any
	// Text is what the entities have to contain, and TextFields where: by default in the field that is ordered by, or else in the uid.
	// Only [Client.Query] and [Client.All] know it.
	Text       string
	TextFields []string
	// Fields are the parts of entities to answer, such as "metadata.name". None: everything.
	Fields []string
	// Order are fields to order by, each with its direction: "asc:metadata.name".
	Order []string
	// Limit is the most entities to answer, on a page or at all; zero is no limit, or 20 a page. Offset is how many to pass over.
	Limit, Offset int
}

// Entities answers the entities that the query asks for, all at once.
func (c *Client) Entities(ctx context.Context, q Query) ([]catalogmodel.Entity, error) {
	if q.Where != nil || q.Text != "" {
		return nil, errors.New("catalog: asking for entities: predicates and texts are for Query and All")
	}
	values := url.Values{"filter": q.Filter, "order": q.Order}
	if len(q.Fields) > 0 {
		values.Set("fields", strings.Join(q.Fields, ","))
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Offset > 0 {
		values.Set("offset", strconv.Itoa(q.Offset))
	}
	var entities []catalogmodel.Entity
	if err := c.get(ctx, "/entities?"+values.Encode(), &entities); err != nil {
		return nil, fmt.Errorf("catalog: asking for entities: %w", err)
	}
	return entities, nil
}

// namePath is the path of an entity.
func namePath(ref catalogmodel.Ref) string { return "/entities/by-name/" + nameSegments(ref) }

// nameSegments are the segments of a path that name an entity.
func nameSegments(ref catalogmodel.Ref) string {
	namespace := ref.Namespace
	if namespace == "" {
		namespace = catalogmodel.DefaultNamespace
	}
	return url.PathEscape(ref.Kind) + "/" + url.PathEscape(namespace) + "/" + url.PathEscape(ref.Name)
}

// EntityByRef answers the entity with the ref. If there is none, errors.Is(err, service.NotFoundError) holds.
func (c *Client) EntityByRef(ctx context.Context, ref catalogmodel.Ref) (catalogmodel.Entity, error) {
	var e catalogmodel.Entity
	if err := c.get(ctx, namePath(ref), &e); err != nil {
		return e, fmt.Errorf("catalog: asking for %s: %w", ref, err)
	}
	return e, nil
}

// EntityByUID answers the entity with the uid. If there is none, errors.Is(err, service.NotFoundError) holds.
func (c *Client) EntityByUID(ctx context.Context, uid string) (catalogmodel.Entity, error) {
	var e catalogmodel.Entity
	if err := c.get(ctx, "/entities/by-uid/"+url.PathEscape(uid), &e); err != nil {
		return e, fmt.Errorf("catalog: asking for the entity with uid %s: %w", uid, err)
	}
	return e, nil
}

// maxRefs is how many refs a request may ask for.
const maxRefs = 1000

// EntitiesByRefs answers the entities with the refs, in their order. Where there is none, or none that the query asks for, the zero Entity
// is in its place. Of the query, Filter, Where and Fields count.
func (c *Client) EntitiesByRefs(ctx context.Context, refs []catalogmodel.Ref, q Query) ([]catalogmodel.Entity, error) {
	if err := q.oneCondition(); err != nil {
		return nil, fmt.Errorf("catalog: asking for entities by refs: %w", err)
	}
	path := "/entities/by-refs"
	if len(q.Filter) > 0 {
		path += "?" + url.Values{"filter": q.Filter}.Encode()
	}
	all := make([]catalogmodel.Entity, 0, len(refs))
	for chunk := range slices.Chunk(refs, maxRefs) {
		request := struct {
			EntityRefs []string `json:"entityRefs"`
			Fields     []string `json:"fields,omitempty"`
			Query      any      `json:"query,omitempty"`
		}{make([]string, len(chunk)), q.Fields, q.Where}
		for i, ref := range chunk {
			request.EntityRefs[i] = ref.String()
		}
		var answer struct {
			Items []*catalogmodel.Entity `json:"items"`
		}
		if err := c.post(ctx, path, request, &answer); err != nil {
			return nil, fmt.Errorf("catalog: asking for entities by refs: %w", err)
		}
		if len(answer.Items) != len(chunk) {
			return nil, fmt.Errorf("catalog: asking for entities by refs: %d were answered for %d refs", len(answer.Items), len(chunk))
		}
		for _, e := range answer.Items {
			if e == nil {
				e = &catalogmodel.Entity{}
			}
			all = append(all, *e)
		}
	}
	return all, nil
}

func (q Query) oneCondition() error {
	if q.Where != nil && len(q.Filter) > 0 {
		return errors.New("a query has a filter or a predicate, not both")
	}
	return nil
}

// EntitiesOwnedBy answers the entities that a user owns as the catalog has it: those owned by the user or by a group that the user is a direct
// member of. Credentials of others than users own nothing.
//
// What users own by their sign-in may be more, such as what groups above theirs own: for that, ask for the refs of service.UserInfo.
//
//	catalogclient.Query{Filter: []string{"relations.ownedBy=" + strings.Join(user.OwnershipEntityRefs, ",relations.ownedBy=")}}
func (c *Client) EntitiesOwnedBy(ctx context.Context, cred service.Credentials) ([]catalogmodel.Entity, error) {
	if cred.Kind != service.AllowUser {
		return nil, nil
	}
	ref, err := catalogmodel.ParseRef(cred.Subject, catalogmodel.RefDefaults{Kind: "User"})
	if err != nil {
		return nil, fmt.Errorf("catalog: the user's ref: %w", err)
	}
	owners := []string{"relations.ownedBy=" + ref.String()}
	user, err := c.EntityByRef(ctx, ref)
	switch {
	case errors.Is(err, service.NotFoundError): // someone may sign in without being in the catalog
	case err != nil:
		return nil, err
	}
	for _, relation := range user.Get("relations").Elements() {
		if relation.Get("type").Text() == catalogmodel.RelationMemberOf {
			owners = append(owners, "relations.ownedBy="+relation.Get("targetRef").Text())
		}
	}
	return c.Entities(ctx, Query{Filter: []string{strings.Join(owners, ",")}})
}

// Ancestry tells where an entity comes from.
type Ancestry struct {
	// Root is the ref of the entity.
	Root string `json:"rootEntityRef"`
	// Items are the entity and all that it comes from.
	Items []Ancestor `json:"items"`
}

// Ancestor is an entity, and those that it comes from.
type Ancestor struct {
	Entity catalogmodel.Entity `json:"entity"`
	// Parents are refs.
	Parents []string `json:"parentEntityRefs"`
}

// Ancestry answers where the entity with the ref comes from.
func (c *Client) Ancestry(ctx context.Context, ref catalogmodel.Ref) (Ancestry, error) {
	var a Ancestry
	if err := c.get(ctx, namePath(ref)+"/ancestry", &a); err != nil {
		return a, fmt.Errorf("catalog: asking where %s comes from: %w", ref, err)
	}
	return a, nil
}

// FacetCount is a value of a field, and how many entities have it.
type FacetCount struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Facets answers the values of fields among the entities that the query asks for, by field. Of the query, Filter and Where count.
func (c *Client) Facets(ctx context.Context, q Query, fields ...string) (map[string][]FacetCount, error) {
	err := q.oneCondition()
	var answer struct {
		Facets map[string][]FacetCount `json:"facets"`
	}
	switch {
	case err != nil:
	case q.Where != nil:
		err = c.post(ctx, "/entity-facets", map[string]any{"facets": fields, "query": q.Where}, &answer)
	default:
		err = c.get(ctx, "/entity-facets?"+url.Values{"filter": q.Filter, "facet": fields}.Encode(), &answer)
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: asking for facets: %w", err)
	}
	return answer.Facets, nil
}

// RemoveEntity removes the entity with the uid; that there is none is no error. It comes back if its source still has it.
func (c *Client) RemoveEntity(ctx context.Context, uid string) error {
	if _, err := c.do(ctx, http.MethodDelete, "/entities/by-uid/"+url.PathEscape(uid), nil, nil); err != nil {
		return fmt.Errorf("catalog: removing the entity with uid %s: %w", uid, err)
	}
	return nil
}

// Refresh has the entity with the ref read and processed as soon as possible.
func (c *Client) Refresh(ctx context.Context, ref catalogmodel.Ref) error {
	if err := c.post(ctx, "/refresh", map[string]string{"entityRef": ref.String()}, nil); err != nil {
		return fmt.Errorf("catalog: refreshing %s: %w", ref, err)
	}
	return nil
}
