package httpclient

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/portico-dev/portico/service"
)

// Services declares the *[Transport] of a backend and the *http.Client of each plugin.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Transport](newTransport),
		service.PerPlugin[*http.Client](newClient),
	}
}

func newClient(auth service.Auth, discovery service.Discovery, transport *Transport) *http.Client {
	return &http.Client{Transport: &authenticated{auth, discovery, transport}}
}

// authenticated adds tokens to the requests of a plugin.
type authenticated struct {
	auth      service.Auth
	discovery service.Discovery
	transport *Transport
}

// RoundTrip implements http.RoundTripper.
func (a *authenticated) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil || req.Header["Authorization"] != nil {
		return a.transport.RoundTrip(req)
	}
	ctx := req.Context()
	target := a.target(ctx, req)
	if target == "" {
		return a.transport.RoundTrip(req)
	}
	principal, ok := service.ActsFor(ctx)
	if !ok {
		principal = a.auth.OwnCredentials()
	}
	token, err := a.auth.PluginToken(ctx, principal, target)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as every RoundTripper does
		}
		return nil, err
	}
	if token.Reveal() == "" {
		return a.transport.RoundTrip(req)
	}
	with := *req // a RoundTripper leaves the request as it is
	with.Header = make(http.Header, len(req.Header)+1)
	for name, values := range req.Header {
		with.Header[name] = values
	}
	with.Header["Authorization"] = []string{"Bearer " + token.Reveal()}
	return a.transport.RoundTrip(&with)
}

// segment is a part of a path that may be the id of a plugin.
var segment = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// target is the plugin that answers requests for the URL, or empty: the one that is named in the path and has its base URL there. A token
// never goes anywhere else.
func (a *authenticated) target(ctx context.Context, req *http.Request) string {
	for id := range strings.SplitSeq(strings.Trim(req.URL.EscapedPath(), "/"), "/") {
		if !segment.MatchString(id) {
			continue
		}
		if base, err := a.discovery.BaseURL(ctx, id); err == nil && below(req.URL, base) {
			return id
		}
	}
	return ""
}
