package permission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/plugins/permission/internal/conditions"
	"github.com/portico-dev/portico/service"
)

// authorizer decides about permissions.
type authorizer struct {
	policy     Policy
	conditions *conditions.Client
	auth       service.HTTPAuth
	users      service.UserInfo
	auditor    service.Auditor
	anyone     bool // there is no authentication
}

// request is one item of a request for decisions.
type request struct {
	id         string
	permission service.Permission
	refs       []string // nil: the decision is about no particular resource
	list       bool     // the refs are a list in the request, and so are the results
}

// item is an item of a request as it is in JSON.
type item struct {
	ID          *string             `json:"id"`
	Permission  *service.Permission `json:"permission"`
	ResourceRef json.RawMessage     `json:"resourceRef"`
}

// request is what the item asks.
func (i item) request() (r request, err error) {
	if i.ID == nil || i.Permission == nil {
		return r, errors.New("an id and a permission are needed")
	}
	r.id, r.permission = *i.ID, *i.Permission
	if i.ResourceRef == nil {
		return r, nil
	}
	if r.permission.ResourceType == "" {
		return r, fmt.Errorf("permission %s is a basic one and takes no resourceRef", r.permission.Name)
	}
	r.list = bytes.HasPrefix(i.ResourceRef, []byte("["))
	r.refs = []string{""}
	into := any(&r.refs[0])
	if r.list {
		into = &r.refs
	}
	if err := json.Unmarshal(i.ResourceRef, into); err != nil {
		return r, fmt.Errorf("resourceRef: %w", err)
	}
	// An empty ref must not be taken for none: then conditions would be told to anyone.
	if len(r.refs) == 0 || slices.Contains(r.refs, "") {
		return r, errors.New("resourceRef is a text, or a list of at least one, and not empty")
	}
	return r, nil
}

// answer is one item of the answer: a decision, or results for a list of resources.
type answer struct {
	ID string
	service.Decision
	Results []service.AuthorizeResult
}

// MarshalJSON encodes the answer to an item.
func (a answer) MarshalJSON() ([]byte, error) {
	if a.Results != nil {
		return json.Marshal(struct {
			ID      string                    `json:"id"`
			Results []service.AuthorizeResult `json:"result"`
		}{a.ID, a.Results})
	}
	return json.Marshal(struct {
		ID string `json:"id"`
		service.Decision
	}{a.ID, a.Decision})
}

func (a *authorizer) authorize(c echo.Context) error {
	ctx := c.Request().Context()
	who, err := a.auth.Credentials(c.Request(), service.AllowUser, service.AllowNone)
	if err != nil {
		return err
	}
	requests, err := decodeRequests(c.Request())
	if err != nil {
		return err
	}
	if who.Kind == service.AllowUser && who.Actor == "" || who.Kind == service.AllowNone && !a.anyone {
		if slices.ContainsFunc(requests, func(r request) bool { return r.permission.ResourceType != "" && r.refs == nil }) {
			return service.InputError.Errorf("Resource permissions require a resourceRef to be set. " +
				"Direct user requests without a resourceRef are not allowed.")
		}
	}
	decisions, err := a.decide(ctx, who, requests)
	if err != nil {
		return err
	}
	answers, err := a.applyConditions(ctx, who, requests, decisions)
	if err != nil {
		return err
	}
	if err := a.audit(c.Request(), requests, answers); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"items": answers})
}

func decodeRequests(r *http.Request) ([]request, error) {
	var body struct {
		Items *[]item `json:"items"`
	}
	content, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(content, &body)
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, err
	}
	if err == nil && body.Items == nil {
		err = errors.New("items is missing")
	}
	if err != nil {
		return nil, service.InputError.Errorf("Malformed request: %v", err)
	}
	requests := make([]request, len(*body.Items))
	for i, one := range *body.Items {
		if requests[i], err = one.request(); err != nil {
			return nil, service.InputError.Errorf("Malformed request: item %d: %v", i, err)
		}
	}
	return requests, nil
}

// decide asks the policy about each permission once.
func (a *authorizer) decide(ctx context.Context, who service.Credentials, requests []request) (map[service.Permission]service.Decision, error) {
	var user *User
	if who.Kind == service.AllowUser && len(requests) > 0 {
		info, err := a.users.UserInfo(ctx, who)
		if err != nil {
			return nil, err
		}
		user = &User{User: info, Credentials: who}
	}
	decisions := make(map[service.Permission]service.Decision, len(requests))
	for _, r := range requests {
		if _, known := decisions[r.permission]; known {
			continue
		}
		d, err := a.policy.Decide(ctx, r.permission, user)
		if err == nil {
			err = check(d, r.permission)
		}
		if err != nil {
			return nil, fmt.Errorf("permission: deciding about %s: %w", r.permission.Name, err)
		}
		decisions[r.permission] = d
	}
	return decisions, nil
}

// check refuses decisions that are none.
func check(d service.Decision, p service.Permission) error {
	switch {
	case d.Result == service.ResultAllow, d.Result == service.ResultDeny:
		return nil
	case d.Result != service.ResultConditional:
		return fmt.Errorf("the policy decided %q", d.Result)
	case p.ResourceType == "":
		return errors.New("the policy set conditions, but the permission is about no resource")
	case d.ResourceType != p.ResourceType:
		return fmt.Errorf("the policy set conditions on resources of type %q, but the permission is about type %q", d.ResourceType, p.ResourceType)
	case d.Conditions == nil || d.PluginID == "":
		return errors.New("the policy set conditions, but did not say which or whose")
	}
	return d.Conditions.Validate()
}

// applyConditions has plugins decide about the resources for which decisions have conditions: each plugin once, all at the same time.
func (a *authorizer) applyConditions(ctx context.Context, who service.Credentials, requests []request,
	decisions map[service.Permission]service.Decision) ([]answer, error) {
	answers := make([]answer, len(requests))
	asked := map[string]*question{}
	for i, r := range requests {
		d := decisions[r.permission]
		answers[i] = answer{ID: r.id, Decision: d}
		if d.Result != service.ResultConditional || r.refs == nil {
			continue
		}
		if asked[d.PluginID] == nil {
			asked[d.PluginID] = &question{byPermission: map[service.Permission]int{}}
		}
		asked[d.PluginID].add(i, r, d)
	}
	group, ctx := errgroup.WithContext(ctx)
	for pluginID, q := range asked {
		group.Go(func() error {
			met, err := a.conditions.Apply(ctx, pluginID, who, q.checks)
			if err != nil {
				return err
			}
			for _, p := range q.places {
				answers[p.request] = definitive(requests[p.request], met[p.check][p.from:])
			}
			return nil
		})
	}
	return answers, group.Wait()
}

// question is what one plugin is asked: one check for each permission, with the resources of all requests about it.
type question struct {
	checks       []conditions.Check
	byPermission map[service.Permission]int // the place in checks
	places       []place
}

// place is where the answer to a request begins.
type place struct{ request, check, from int }

func (q *question) add(i int, r request, d service.Decision) {
	n, ok := q.byPermission[r.permission]
	if !ok {
		n = len(q.checks)
		q.byPermission[r.permission] = n
		q.checks = append(q.checks, conditions.Check{ResourceType: d.ResourceType, Conditions: d.Conditions})
	}
	check := &q.checks[n]
	q.places = append(q.places, place{i, n, len(check.Refs)})
	check.Refs = append(check.Refs, r.refs...)
}

// definitive is the answer when it is known which resources meet the conditions; met begins with those of the request.
func definitive(r request, met []bool) answer {
	results := make([]service.AuthorizeResult, len(r.refs))
	for i := range results {
		if results[i] = service.ResultDeny; met[i] {
			results[i] = service.ResultAllow
		}
	}
	if r.list {
		return answer{ID: r.id, Results: results}
	}
	return answer{ID: r.id, Decision: service.Decision{Result: results[0]}}
}

// denial is what was denied, for the audit log.
type denial struct {
	Permission   string   `json:"permission"`
	ResourceRefs []string `json:"resourceRefs,omitempty"`
}

// audit records what was denied.
func (a *authorizer) audit(r *http.Request, requests []request, answers []answer) error {
	var denied []denial
	for i, one := range answers {
		d := denial{Permission: requests[i].permission.Name}
		switch {
		case one.Result == service.ResultDeny:
			d.ResourceRefs = requests[i].refs
		case slices.Contains(one.Results, service.ResultDeny):
			for j, result := range one.Results {
				if result == service.ResultDeny {
					d.ResourceRefs = append(d.ResourceRefs, requests[i].refs[j])
				}
			}
		default:
			continue
		}
		denied = append(denied, d)
	}
	if denied == nil {
		return nil
	}
	event, err := a.auditor.Event(r.Context(), service.AuditEvent{
		// Those of low severity are not logged by default.
		ID: "authorize", Severity: service.SeverityMedium, Request: r, Meta: []slog.Attr{slog.Any("denied", denied)},
	})
	if err != nil {
		return err
	}
	event.Fail(r.Context(), service.NotAllowedError.Errorf("%d of %d permissions denied", len(denied), len(requests)))
	return nil
}
