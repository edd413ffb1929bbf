package permissions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const (
	permissionPlugin = "permission"
	authorizePath    = "/authorize"
	timeout          = 30 * time.Second
	maxAnswerLength  = 64 << 20
)

// client is the service.Permissions of a plugin.
type client struct {
	pluginID  string
	enabled   bool
	batched   bool // several resources in one item
	discovery service.Discovery
	http      *http.Client
}

func newClient(meta plugin.Metadata, cfg service.Config, discovery service.Discovery, http *http.Client) (service.Permissions, error) {
	c := &client{pluginID: meta.ID, discovery: discovery, http: http}
	err := errors.Join(
		cfg.Decode("permission.enabled", &c.enabled),
		cfg.Decode("permission.EXPERIMENTAL_enableBatchedRequests", &c.batched),
	)
	return c, err
}

// item is one of the requests for decisions.
type item struct {
	ID          string             `json:"id"`
	Permission  service.Permission `json:"permission"`
	ResourceRef any                `json:"resourceRef,omitempty"` // a ref or several
}

// Authorize implements service.Permissions.
func (c *client) Authorize(ctx context.Context, who service.Credentials, requests ...service.PermissionRequest) ([]bool, error) {
	allowed := make([]bool, len(requests))
	if decide := c.withoutPolicy(who); decide != nil {
		for i, r := range requests {
			allowed[i] = decide(r.Permission)
		}
		return allowed, nil
	}
	for _, r := range requests {
		if r.Permission.ResourceType != "" && r.ResourceRef == "" {
			return nil, fmt.Errorf("permissions: %s is about a %s; a decision needs to know which", r.Permission.Name, r.Permission.ResourceType)
		}
	}
	items, places := c.itemsFor(requests)
	answers, err := ask[results](ctx, c, who, items)
	if err != nil {
		return nil, err
	}
	for i, p := range places {
		if allowed[i], err = answers[p.item].at(p.ref); err != nil {
			return nil, fmt.Errorf("permissions: deciding about %s: %w", requests[i].Permission.Name, err)
		}
	}
	return allowed, nil
}

// AuthorizeConditional implements service.Permissions.
func (c *client) AuthorizeConditional(ctx context.Context, who service.Credentials, permissions ...service.Permission) ([]service.Decision, error) {
	decisions := make([]service.Decision, len(permissions))
	if decide := c.withoutPolicy(who); decide != nil {
		for i, p := range permissions {
			if decisions[i].Result = service.ResultDeny; decide(p) {
				decisions[i].Result = service.ResultAllow
			}
		}
		return decisions, nil
	}
	items := make([]item, len(permissions))
	for i, p := range permissions {
		items[i] = item{ID: strconv.Itoa(i), Permission: p}
	}
	answers, err := ask[service.Decision](ctx, c, who, items)
	if err != nil {
		return nil, err
	}
	for i, d := range answers {
		switch {
		case d.Result == service.ResultAllow, d.Result == service.ResultDeny, d.Result == service.ResultConditional && d.Conditions != nil:
			decisions[i] = d
		default:
			return nil, fmt.Errorf("permissions: deciding about %s: the permission plugin answered %q", permissions[i].Name, d.Result)
		}
	}
	return decisions, nil
}

// withoutPolicy decides about callers that the policy is not asked about. It is nil for others.
func (c *client) withoutPolicy(who service.Credentials) func(service.Permission) bool {
	switch {
	case who.Kind == service.AllowService && who.Restrictions != nil:
		restriction, included := who.Restrictions[c.pluginID]
		return func(p service.Permission) bool { return included && grants(restriction, p) }
	case who.Kind == service.AllowService, !c.enabled:
		return func(service.Permission) bool { return true }
	}
	return nil
}

func grants(r service.AccessRestriction, p service.Permission) bool {
	if len(r.Permissions) > 0 && !slices.Contains(r.Permissions, p.Name) {
		return false
	}
	return len(r.Actions) == 0 || p.Action != "" && slices.Contains(r.Actions, p.Action)
}

// place is where the answer to a request is found: in which item, and at which of its refs.
type place struct{ item, ref int }

// itemsFor asks about each permission and resource once.
func (c *client) itemsFor(requests []service.PermissionRequest) (items []item, places []place) {
	known := map[service.PermissionRequest]place{}
	lists := map[service.Permission]int{} // the item with several refs, by permission
	for _, r := range requests {
		p, ok := known[r]
		if !ok {
			listed, isListed := lists[r.Permission]
			if isListed {
				refs := items[listed].ResourceRef.([]string)
				p = place{listed, len(refs)}
				items[listed].ResourceRef = append(refs, r.ResourceRef)
			} else {
				p = place{item: len(items)}
				next := item{ID: strconv.Itoa(len(items)), Permission: r.Permission}
				switch {
				case r.Permission.ResourceType == "": // the ref of no resource means nothing
				case c.batched:
					next.ResourceRef = []string{r.ResourceRef}
					lists[r.Permission] = p.item
				default:
					next.ResourceRef = r.ResourceRef
				}
				items = append(items, next)
			}
			known[r] = p
		}
		places = append(places, p)
	}
	return items, places
}

// results are the definitive answers to an item: one for all of its refs, or one for each.
type results struct {
	all  service.AuthorizeResult
	each []service.AuthorizeResult
}

// UnmarshalJSON decodes the answer to an item.
func (r *results) UnmarshalJSON(data []byte) error {
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	if bytes.HasPrefix(answer.Result, []byte("[")) {
		return json.Unmarshal(answer.Result, &r.each)
	}
	return json.Unmarshal(answer.Result, &r.all)
}

// at tells whether the answer for a ref allows it. What is neither yes nor no must not pass for either.
func (r results) at(ref int) (bool, error) {
	result := r.all
	if r.each != nil {
		if ref >= len(r.each) {
			return false, errors.New("the permission plugin left out a resource")
		}
		result = r.each[ref]
	}
	switch result {
	case service.ResultAllow:
		return true, nil
	case service.ResultDeny:
		return false, nil
	}
	return false, fmt.Errorf("the permission plugin answered %q", result)
}

// ask asks the permission plugin, and returns an answer to each item.
func ask[T any](ctx context.Context, c *client, who service.Credentials, items []item) ([]T, error) {
	if len(items) == 0 {
		return nil, nil
	}
	answers, err := askFor[T](ctx, c, who, items)
	if err != nil {
		return nil, fmt.Errorf("permissions: asking the permission plugin: %w", err)
	}
	return answers, nil
}

func askFor[T any](ctx context.Context, c *client, who service.Credentials, items []item) (answers []T, err error) {
	ctx, cancel := context.WithTimeout(service.OnBehalfOf(ctx, who), timeout)
	defer cancel()
	base, err := c.discovery.BaseURL(ctx, permissionPlugin)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+authorizePath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerLength))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, failure(res, content)
	}
	return inOrder[T](content, len(items))
}

// inOrder decodes the answer to n items.
func inOrder[T any](content []byte, n int) ([]T, error) {
	var batch struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(content, &batch); err != nil {
		return nil, fmt.Errorf("the answer can't be read: %w", err)
	}
	if len(batch.Items) != n {
		return nil, errors.New("items in the answer do not match the request")
	}
	answers, found := make([]T, n), make([]bool, n)
	for _, raw := range batch.Items {
		var answered struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(raw, &answered); err != nil {
			return nil, fmt.Errorf("the answer can't be read: %w", err)
		}
		i, err := strconv.Atoi(answered.ID)
		if err != nil || i < 0 || i >= n || found[i] {
			return nil, errors.New("items in the answer do not match the request")
		}
		found[i] = true
		if err := json.Unmarshal(raw, &answers[i]); err != nil {
			return nil, fmt.Errorf("the answer can't be read: %w", err)
		}
	}
	return answers, nil
}

// failure is the error that the permission plugin has answered.
func failure(res *http.Response, content []byte) error {
	if answered := service.DecodeError(content); answered != nil {
		return answered
	}
	return fmt.Errorf("it answered %s", res.Status)
}
