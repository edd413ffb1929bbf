package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/portico-dev/portico/service"
)

// maxAnswer is how much is read of what a plugin answers.
const maxAnswer = 10 << 20

// client implements service.Actions for one plugin.
type client struct {
	config    service.Config
	discovery service.Discovery
	http      *http.Client
	log       *slog.Logger
}

func newClient(config service.Config, discovery service.Discovery, http *http.Client, log *slog.Logger) (service.Actions, error) {
	_, err := read(config)
	return &client{config, discovery, http, log}, err
}

// List implements service.Actions.
func (c *client) List(ctx context.Context, who service.Credentials) ([]service.ActionDescription, error) {
	s, err := read(c.config)
	if err != nil {
		return nil, err
	}
	found := make([][]service.ActionDescription, len(s.PluginSources))
	var asking sync.WaitGroup
	for i, source := range s.PluginSources {
		asking.Go(func() {
			var answer struct{ Actions []service.ActionDescription }
			if err := c.do(ctx, who, source, http.MethodGet, routesV1, nil, &answer); err != nil {
				c.log.WarnContext(ctx, "The actions of plugin "+source+" can't be listed", "source", source, "error", err)
			}
			found[i] = answer.Actions
		})
	}
	asking.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Concat(found...), func(a service.ActionDescription) bool { return !s.Filter.allows(a.ID, a.Attributes) }), nil
}

// Invoke implements service.Actions.
func (c *client) Invoke(ctx context.Context, who service.Credentials, call service.ActionCall) (json.RawMessage, error) {
	pluginID, _, ok := strings.Cut(call.ID, ":")
	if !ok || pluginID == "" {
		return nil, service.InputError.Errorf("Invalid action id: %s", call.ID)
	}
	if call.Input == nil {
		call.Input = struct{}{}
	}
	routes, sent := routesV1, call.Input
	if call.Secrets != nil {
		routes, sent = routesV2, map[string]any{"input": call.Input, "secrets": call.Secrets}
	}
	var answer struct{ Output json.RawMessage }
	if err := c.do(ctx, who, pluginID, http.MethodPost, routes+"/"+url.PathEscape(call.ID)+"/invoke", sent, &answer); err != nil {
		return nil, fmt.Errorf("invoking action %s: %w", call.ID, err)
	}
	return answer.Output, nil
}

// do sends a request to a plugin on behalf of the caller. Nil is sent as no body.
func (c *client) do(ctx context.Context, who service.Credentials, pluginID, method, path string, sent, answer any) (err error) {
	base, err := c.discovery.BaseURL(ctx, pluginID)
	if err != nil {
		return err
	}
	var body io.Reader
	if sent != nil {
		encoded, err := json.Marshal(sent)
		if err != nil {
			return service.InputError.Errorf("The input can't be encoded as JSON: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(service.OnBehalfOf(ctx, who), method, base+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return failure(res, content)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("the answer can't be read: %w", err)
	}
	return nil
}

// failure is the error that a plugin has answered.
func failure(res *http.Response, content []byte) error {
	if answered := service.DecodeError(content); answered != nil {
		return answered
	}
	return fmt.Errorf("it answered %s", res.Status)
}
