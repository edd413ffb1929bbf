package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/service"
)

// Providers lets modules add ways to sign in. Safe for concurrent use.
type Providers interface {
	// AddOAuthProvider adds a provider that sends users to sign in elsewhere.
	AddOAuthProvider(OAuthProvider)
	// AddProxyProvider adds a provider that recognizes users by what a proxy in front of the portal says of them.
	AddProxyProvider(ProxyProvider)
	// AddFormProvider adds a provider that sends users to sign in elsewhere, from where they come back with a form.
	AddFormProvider(FormProvider)
	// AddSignInResolver adds a sign-in resolver that the configuration of any provider may name.
	AddSignInResolver(name string, factory ResolverFactory)
}

// ProvidersPoint is the extension point for [Providers].
var ProvidersPoint = extension.NewPoint[Providers]("auth.providers")

// ProxyProvider recognizes users by what their requests bring along: headers that a proxy in front of the portal adds. It needs a sign-in
// resolver, in the configuration or in code.
type ProxyProvider struct {
	// ID names the provider: its routes are below /api/auth/<ID>, its configuration is auth.providers.<ID>.
	ID string
	// New makes the authenticator, once, when the plugin starts. An error keeps the plugin from starting.
	New func(Environment) (ProxyAuthenticator, error)
	// SignIn is the resolver if the configuration names none.
	SignIn SignInResolver
	// Resolvers are further resolvers that the configuration may name, beside those for all providers.
	Resolvers map[string]ResolverFactory
}

// ProxyAuthenticator tells who makes a request. Safe for concurrent use.
type ProxyAuthenticator interface {
	// Authenticate tells who makes the request. It is a service.AuthenticationError (401) if that can't be told.
	Authenticate(r *http.Request) (Login, error)
}

// Environment is what an authenticator is made of.
type Environment struct {
	// Key is the key of its configuration: "auth.providers.guest", or "auth.providers.github.development".
	Key string
	// Config is the configuration of the backend.
	Config service.Config
	// Client is for calls of the provider. It has a timeout.
	Client *http.Client
	// Clock tells when tokens end.
	Clock clockwork.Clock
	// Log is the log of the plugin.
	Log *slog.Logger
}

// Decode decodes the configuration of the provider; see service.Config.
func (e Environment) Decode(dst any) error { return e.Config.Decode(e.Key, dst) }

// Login is what a provider knows of who signs in.
type Login struct {
	// Profile is for the frontend to show.
	Profile Profile
	// Username and UserID name the user at the provider, as far as it tells them.
	Username, UserID string
	// Claims are further things that the provider tells, by its own names.
	Claims map[string]any
	// ProviderInfo is told to the frontend, as JSON, if it isn't nil. A provider with OAuth need not set it.
	ProviderInfo any
}

// Profile is what the frontend shows of a user. What is empty is left out.
type Profile struct {
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	// Picture is the URL of a picture, which may be a data URL.
	Picture string `json:"picture,omitempty"`
}

// session is the answer of a sign-in and of a refresh.
type session struct {
	Profile           Profile            `json:"profile"`
	ProviderInfo      any                `json:"providerInfo,omitempty"`
	BackstageIdentity *backstageIdentity `json:"backstageIdentity,omitempty"`
}

// providers is what modules have added.
type providers struct {
	mu        sync.Mutex
	ids       map[string]bool
	oauths    []OAuthProvider
	proxies   []ProxyProvider
	forms     []FormProvider
	resolvers map[string]ResolverFactory
	mistakes  []error
}

// providerID is what the id of a provider looks like. It becomes part of paths and of the names of cookies.
var providerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)

func newProviders() *providers {
	return &providers{ids: map[string]bool{}, resolvers: map[string]ResolverFactory{
		"emailMatchingUserEntityProfileEmail":  EmailMatchingUserEntityProfileEmail,
		"emailLocalPartMatchingUserEntityName": EmailLocalPartMatchingUserEntityName,
	}}
}

// AddOAuthProvider implements Providers.
func (p *providers) AddOAuthProvider(provider OAuthProvider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.check(provider.ID, provider.New != nil)
	p.oauths = append(p.oauths, provider)
}

// AddProxyProvider implements Providers.
func (p *providers) AddProxyProvider(provider ProxyProvider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.check(provider.ID, provider.New != nil)
	p.proxies = append(p.proxies, provider)
}

// AddFormProvider implements Providers.
func (p *providers) AddFormProvider(provider FormProvider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.check(provider.ID, provider.New != nil)
	p.forms = append(p.forms, provider)
}

// check looks for mistakes, which become known when the plugin starts.
func (p *providers) check(id string, hasNew bool) {
	switch {
	case !providerID.MatchString(id):
		p.mistakes = append(p.mistakes, fmt.Errorf("auth: a provider has the id %q; an id consists of letters, digits and dashes", id))
	case p.ids[id]:
		p.mistakes = append(p.mistakes, fmt.Errorf("auth: there are two providers with the id %s", id))
	case !hasNew:
		p.mistakes = append(p.mistakes, fmt.Errorf("auth: the provider %s has no function New", id))
	}
	p.ids[id] = true
}

// AddSignInResolver implements Providers.
func (p *providers) AddSignInResolver(name string, factory ResolverFactory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, twice := p.resolvers[name]; twice {
		p.mistakes = append(p.mistakes, fmt.Errorf("auth: there are two sign-in resolvers with the name %q", name))
		return
	}
	p.resolvers[name] = factory
}

// resolve calls the resolvers in turn, until one knows the user.
func resolve(ctx context.Context, resolvers []SignInResolver, login Login, users Users) (Identity, error) {
	for _, resolver := range resolvers {
		identity, err := resolver(ctx, login, users)
		if isNotFound(err) {
			continue
		}
		return identity, err
	}
	return Identity{}, service.NotAllowedError.Errorf(
		"Failed to sign-in, unable to resolve user identity. Please verify that your catalog contains the expected User entities that would match your configured sign-in resolver.")
}

// encode makes sure that what is answered can be, before anything is.
func encode(v any) (json.RawMessage, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("auth: encoding an answer: %w", err)
	}
	return encoded, nil
}
