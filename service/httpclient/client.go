package httpclient

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/telemetry"
)

// Services declares the *[Transport] of a backend and the *http.Client of each plugin.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Transport](newTransport),
		service.PerPlugin[*http.Client](newClient),
	}
}

func newClient(auth service.Auth, discovery service.Discovery, transport *Transport, providers telemetry.Providers) *http.Client {
	return &http.Client{Transport: providers.Transport(&authenticated{auth, discovery, transport})}
}

// authenticated adds tokens to the requests of a plugin.
type authenticated struct {
	auth      service.Auth
	discovery service.Discovery
	transport *Transport
}

// RoundTrip implements http.RoundTripper.
func (a *authenticated) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return a.transport.RoundTrip(req)
	}
	if id, ok := a.transport.local(req); ok {
		authorization, err := a.authorization(req, id)
		if err != nil {
			return nil, err
		}
		return a.transport.call(req, authorization)
	}
	return a.send(req)
}

// authorization is what the request is to show the plugin, which may be nothing.
func (a *authenticated) authorization(req *http.Request, pluginID string) (string, error) {
	if req.Header["Authorization"] != nil {
		return "", nil
	}
	principal, ok := service.ActsFor(req.Context())
	if !ok {
		principal = a.auth.OwnCredentials()
	}
	token, err := a.auth.PluginToken(req.Context(), principal, pluginID)
	if err != nil {
		closeBody(req)
	}
	return token.Bearer(), err
}

// send sends a request over the network.
func (a *authenticated) send(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	target := a.target(ctx, req.URL)
	if target == "" {
		return a.transport.network.RoundTrip(req)
	}
	authorization, err := a.authorization(req, target)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		with := *req // a RoundTripper leaves the request as it is
		with.Header = make(http.Header, len(req.Header)+1)
		maps.Copy(with.Header, req.Header)
		with.Header["Authorization"] = []string{authorization}
		req = &with
	}
	res, err := a.transport.network.RoundTrip(req)
	if unreachable := (*net.OpError)(nil); errors.As(err, &unreachable) && unreachable.Op == "dial" && ctx.Err() == nil {
		err = &unreachableError{target, err}
	}
	return res, err
}

// unreachableError is the error when nobody listens where a plugin should be. A handler that fails with it answers with status 503, and
// doesn't tell where that is.
type unreachableError struct {
	pluginID string
	cause    error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("plugin %s can't be reached: %v", e.pluginID, e.cause)
}

func (e *unreachableError) Unwrap() []error {
	return []error{service.ServiceUnavailableError.Errorf("Plugin %s can't be reached", e.pluginID), e.cause}
}

// segment is a part of a path that may be the id of a plugin.
var segment = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// target is the plugin that has the URL elsewhere, or empty: a token never goes anywhere else.
func (a *authenticated) target(ctx context.Context, u *url.URL) string {
	if finder, ok := a.discovery.(interface{ PluginAt(*url.URL) (string, bool) }); ok {
		id, _ := finder.PluginAt(u)
		return id
	}
	for id := range strings.SplitSeq(strings.Trim(u.EscapedPath(), "/"), "/") {
		if !segment.MatchString(id) {
			continue
		}
		if base, err := a.discovery.BaseURL(ctx, id); err == nil && below(u, base) {
			return id
		}
	}
	return ""
}
