package catalogclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Client calls the catalog. It is safe for concurrent use. Errors are *service.Error with the name that the catalog answered, or tell why
// there was no answer.
type Client struct {
	discovery service.Discovery
	http      *http.Client
}

// timeout bounds a call, unless the HTTP client brings its own.
const timeout = 30 * time.Second

// New returns a client that finds the catalog by discovery. Without an HTTP client it uses one of its own.
func New(discovery service.Discovery, client *http.Client) *Client {
	if client == nil {
		client = &http.Client{Timeout: timeout}
	}
	return &Client{discovery: discovery, http: client}
}

// DefaultService implements service.Defaulter: each plugin that asks for a *Client gets one.
func (*Client) DefaultService() service.Service {
	type deps struct {
		fx.In

		Discovery service.Discovery
		HTTP      *http.Client `optional:"true"`
	}
	return service.PerPlugin[*Client](func(d deps) *Client { return New(d.Discovery, d.HTTP) })
}

// Query asks for entities. The zero Query asks for all.
type Query struct {
	// Filter are conditions of which one must hold, each in the form of the filter parameter of the catalog's API: "kind=component,spec.type=service".
	Filter []string
	// Fields are the parts of entities to answer, such as "metadata.name". None: everything.
	Fields []string
	// Order are fields to order by, each with its direction: "asc:metadata.name".
	Order []string
	// Limit is the most entities to answer; zero is no limit. Offset is how many to pass over.
	Limit, Offset int
}

// Entities answers the entities that the query asks for.
func (c *Client) Entities(ctx context.Context, q Query) ([]catalogmodel.Entity, error) {
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

// EntityByRef answers the entity with the ref. If there is none, errors.Is(err, service.NotFoundError) holds.
func (c *Client) EntityByRef(ctx context.Context, ref catalogmodel.Ref) (catalogmodel.Entity, error) {
	namespace := ref.Namespace
	if namespace == "" {
		namespace = catalogmodel.DefaultNamespace
	}
	path := "/entities/by-name/" + url.PathEscape(ref.Kind) + "/" + url.PathEscape(namespace) + "/" + url.PathEscape(ref.Name)
	var e catalogmodel.Entity
	if err := c.get(ctx, path, &e); err != nil {
		return e, fmt.Errorf("catalog: asking for %s: %w", ref, err)
	}
	return e, nil
}

// EntitiesOwnedBy answers the entities that a user owns: those owned by the user or by a group that the user is a direct member of. Credentials
// of others than users own nothing.
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

// maxAnswer is the size up to which answers are read.
const maxAnswer = 1 << 30

// get requests a path of the catalog and decodes the answer.
func (c *Client) get(ctx context.Context, path string, answer any) (err error) {
	base, err := c.discovery.BaseURL(ctx, "catalog")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body := io.LimitReader(res.Body, maxAnswer)
	if res.StatusCode != http.StatusOK {
		return failure(res, body)
	}
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("the answer can't be read: %w", err)
	}
	return nil
}

// failure is the error that the catalog has answered.
func failure(res *http.Response, body io.Reader) error {
	var answer struct {
		Error struct {
			Name    service.ErrorName `json:"name"`
			Message string            `json:"message"`
		} `json:"error"`
	}
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil || answer.Error.Name == "" {
		return fmt.Errorf("it answered %s", res.Status)
	}
	return answer.Error.Name.Errorf("%s", answer.Error.Message)
}
