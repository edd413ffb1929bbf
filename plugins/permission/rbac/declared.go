package rbac

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/service"
)

const (
	metadataPath      = "/.well-known/backstage/permissions/metadata"
	metadataTimeout   = 10 * time.Second
	maxMetadataLength = 8 << 20
)

// declared is what plugins have declared: what roles can be about.
type declared struct {
	permissions map[string]service.Permission
	// owners are the plugins that have resources, by their type.
	owners map[string]string
	// rules are the schemas of the parameters of rules, by resource type and name.
	rules map[string]map[string]*jsonschema.Schema
	// silent are the plugins that could not be asked.
	silent map[string]error
}

func newDeclared() *declared {
	return &declared{map[string]service.Permission{}, map[string]string{}, map[string]map[string]*jsonschema.Schema{}, map[string]error{}}
}

// names are those of the permissions, in order.
func (d *declared) names() []string { return slices.Sorted(maps.Keys(d.permissions)) }

// metadata is what one plugin declares.
type metadata struct {
	Permissions []service.Permission         `json:"permissions"`
	Rules       []service.PermissionRuleInfo `json:"rules"`
}

// add adds what a plugin declares.
func (d *declared) add(pluginID string, m metadata) error {
	for _, p := range m.Permissions {
		d.permissions[p.Name] = p
		if _, known := d.owners[p.ResourceType]; p.ResourceType != "" && !known {
			d.owners[p.ResourceType] = pluginID
		}
	}
	for _, r := range m.Rules {
		schema, err := compileSchema(r.ParamsSchema)
		if err != nil {
			return fmt.Errorf("the parameters of rule %s: %w", r.Name, err)
		}
		if d.rules[r.ResourceType] == nil {
			d.rules[r.ResourceType] = map[string]*jsonschema.Schema{}
		}
		d.rules[r.ResourceType][r.Name] = schema
		d.owners[r.ResourceType] = pluginID // who has rules has the resources
	}
	return nil
}

// compileSchema compiles the schema of parameters, which must not refer to anything elsewhere. Without a schema everything fits.
func compileSchema(raw json.RawMessage) (*jsonschema.Schema, error) {
	if len(raw) == 0 {
		raw = json.RawMessage(`{}`)
	}
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft7
	compiler.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("the schema refers to %s, which is not read", url)
	}
	if err := compiler.AddResource("params.json", bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return compiler.Compile("params.json")
}

// asker asks plugins what they declare.
type asker struct {
	ownID     string
	own       []service.Permission
	instance  service.Instance
	discovery service.Discovery
	http      *http.Client
}

// ask asks all plugins of this backend, when they have started, and the others that are named.
func (a *asker) ask(ctx context.Context, others []string) (*declared, error) {
	ids := slices.Clone(others)
	for _, p := range a.instance.Plugins() {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == a.ownID })
	answers, errs := make([]metadata, len(ids)), make([]error, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	for i, id := range ids {
		group.Go(func() error {
			answers[i], errs[i] = a.askOne(ctx, id)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := newDeclared()
	if err := all.add(a.ownID, metadata{Permissions: a.own}); err != nil {
		return nil, err
	}
	for i, id := range ids {
		if errs[i] == nil {
			errs[i] = all.add(id, answers[i])
		}
		if errs[i] != nil {
			all.silent[id] = errs[i]
		}
	}
	return all, nil
}

// askOne asks a plugin. One without permissions declares nothing, as does one of this backend that answers with the page of a frontend.
func (a *asker) askOne(ctx context.Context, id string) (m metadata, err error) {
	_, here := a.instance.Plugin(id)
	if here {
		if _, err := a.instance.Await(ctx, id); err != nil {
			return m, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	base, err := a.discovery.BaseURL(ctx, id)
	if err != nil {
		return m, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+metadataPath, nil)
	if err != nil {
		return m, err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	switch res.StatusCode {
	case http.StatusOK:
		if here && strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			return m, nil
		}
		err := json.NewDecoder(io.LimitReader(res.Body, maxMetadataLength)).Decode(&m)
		return m, err
	case http.StatusNotFound:
		return m, nil
	}
	return m, fmt.Errorf("it answered %s", res.Status)
}
