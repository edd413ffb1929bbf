// Package authtest is for tests of modules that add ways to sign in.
package authtest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service/config"
)

// Recorder is what a module adds to the auth plugin. It implements auth.Providers; the zero value is ready for use.
type Recorder struct {
	mu sync.Mutex
	// OAuth, Proxies and Forms are the providers in the order in which they were added.
	OAuth   []auth.OAuthProvider
	Proxies []auth.ProxyProvider
	Forms   []auth.FormProvider
	// Resolvers are the sign-in resolvers by their names.
	Resolvers map[string]auth.ResolverFactory
}

// AddOAuthProvider implements auth.Providers.
func (r *Recorder) AddOAuthProvider(p auth.OAuthProvider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.OAuth = append(r.OAuth, p)
}

// AddProxyProvider implements auth.Providers.
func (r *Recorder) AddProxyProvider(p auth.ProxyProvider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Proxies = append(r.Proxies, p)
}

// AddFormProvider implements auth.Providers.
func (r *Recorder) AddFormProvider(p auth.FormProvider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Forms = append(r.Forms, p)
}

// AddSignInResolver implements auth.Providers.
func (r *Recorder) AddSignInResolver(name string, factory auth.ResolverFactory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Resolvers == nil {
		r.Resolvers = map[string]auth.ResolverFactory{}
	}
	r.Resolvers[name] = factory
}

// Run starts the module without the plugin, and returns what it adds. Modules that read the configuration get it as given.
func Run(t testing.TB, m plugin.Module, configuration map[string]any) *Recorder {
	t.Helper()
	r := &Recorder{}
	backendtest.Start(t, m, backendtest.ExtensionPoint(auth.ProvidersPoint, r), backendtest.Config(configuration))
	return r
}

// Environment is what an authenticator is made of, with these settings. Whatever it asks the provider, at any host, the handler answers; the
// host is that of the request. Its clock is the real one.
func Environment(settings map[string]any, handler http.Handler) auth.Environment {
	return auth.Environment{
		Key:    "provider",
		Config: config.Static(map[string]any{"provider": settings}),
		Client: &http.Client{Transport: handlerTransport{handler}},
		Clock:  clockwork.NewRealClock(),
		Log:    slog.New(slog.DiscardHandler),
	}
}

// handlerTransport answers requests from a handler.
type handlerTransport struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	incoming := r.Clone(r.Context())
	incoming.Host = r.URL.Host
	t.ServeHTTP(recorder, incoming)
	res := recorder.Result()
	res.Request = r
	return res, nil
}
