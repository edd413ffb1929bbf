package backendtest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// Tokens of tests have the form of those that Backstage's backend-test-utils make, so that requests recorded there can be replayed: a
// name and perhaps, after a colon, what they say, as JSON.
const (
	noneToken                = "mock-none-token"
	userTokenName            = "mock-user-token"
	limitedUserTokenName     = "mock-limited-user-token"
	serviceTokenName         = "mock-service-token"
	invalidUserToken         = "mock-invalid-user-token"
	invalidLimitedUserToken  = "mock-invalid-limited-user-token"
	invalidServiceToken      = "mock-invalid-service-token"
	defaultUser              = "user:default/mock"
	defaultService           = "external:test-service"
	cookieName               = "backstage-auth"
	limitedUserTokenLifetime = time.Hour
)

// payload is what a token says.
type payload struct {
	Subject    string `json:"sub,omitempty"`
	OnBehalfOf string `json:"obo,omitempty"`
	Target     string `json:"target,omitempty"`
	Actor      *actor `json:"actor,omitempty"`
}

type actor struct {
	Subject string `json:"subject"`
}

func userToken(ref string) string { return token(userTokenName, payload{Subject: ref}) }

func serviceToken(name string) string { return token(serviceTokenName, payload{Subject: name}) }

func token(name string, p payload) string {
	encoded, _ := json.Marshal(p) // a struct of strings can always be encoded
	return name + ":" + string(encoded)
}

// authServices stand in for those of package auth.
func authServices() []service.Service {
	return []service.Service{
		service.PerPlugin[service.Auth](func(meta plugin.Metadata, clock clockwork.Clock) service.Auth { return auth{meta.ID, clock} }),
		service.PerPlugin[service.HTTPAuth](func(a service.Auth) service.HTTPAuth { return httpAuth{a} }),
		service.Root[service.UserInfo](func() service.UserInfo { return userInfo{} }),
	}
}

// auth is the service.Auth of tests: it believes the tokens that tests make.
type auth struct {
	pluginID string
	clock    clockwork.Clock
}

// Authenticate implements service.Auth.
func (a auth) Authenticate(_ context.Context, token string, allow ...service.PrincipalKind) (service.Credentials, error) {
	c, err := a.recognize(token, allow)
	if err != nil {
		return service.Credentials{}, err
	}
	return permit(c, allow)
}

func permit(c service.Credentials, allow []service.PrincipalKind) (service.Credentials, error) {
	switch {
	case len(allow) == 0, slices.Contains(allow, c.Kind),
		c.Kind == service.AllowUser && slices.Contains(allow, service.AllowLimitedUser):
		return c, nil
	case c.Kind == service.AllowNone:
		return service.Credentials{}, service.AuthenticationError.Errorf("Missing credentials")
	}
	return service.Credentials{}, service.NotAllowedError.Errorf("This endpoint does not allow '%s' credentials", c.Kind)
}

func (a auth) recognize(token string, allow []service.PrincipalKind) (service.Credentials, error) {
	switch token {
	case noneToken:
		return service.Credentials{Kind: service.AllowNone}, nil
	case invalidUserToken:
		return service.Credentials{}, service.AuthenticationError.Errorf("User token is invalid")
	case invalidLimitedUserToken:
		return service.Credentials{}, service.AuthenticationError.Errorf("Limited user token is invalid")
	case invalidServiceToken:
		return service.Credentials{}, service.AuthenticationError.Errorf("Service token is invalid")
	}
	name, encoded, _ := strings.Cut(token, ":")
	var p payload
	if encoded != "" {
		if err := json.Unmarshal([]byte(encoded), &p); err != nil {
			return service.Credentials{}, service.AuthenticationError.Errorf("Malformed mock token: %w", err)
		}
	}
	user := service.Credentials{Kind: service.AllowUser, Subject: p.Subject, Token: service.NewToken(token)}
	if user.Subject == "" {
		user.Subject = defaultUser
	}
	switch name {
	case userTokenName:
		if p.Actor != nil {
			user.Actor = p.Actor.Subject
		}
		return user, nil
	case limitedUserTokenName:
		if !slices.Contains(allow, service.AllowLimitedUser) {
			return service.Credentials{}, service.AuthenticationError.Errorf("Limited user token is not allowed")
		}
		return user, nil
	case serviceTokenName:
		if p.Target != "" && p.Target != a.pluginID {
			return service.Credentials{}, service.AuthenticationError.Errorf(
				"Invalid mock token target plugin ID, got '%s' but expected '%s'", p.Target, a.pluginID)
		}
		if p.OnBehalfOf != "" {
			return service.Credentials{Kind: service.AllowUser, Subject: p.OnBehalfOf, Actor: p.Subject,
				Token: service.NewToken(limitedUserToken(p.OnBehalfOf))}, nil
		}
		if p.Subject == "" {
			p.Subject = defaultService
		}
		return service.Credentials{Kind: service.AllowService, Subject: p.Subject}, nil
	}
	return service.Credentials{}, service.AuthenticationError.Errorf("Unknown mock token %q", name)
}

// OwnCredentials implements service.Auth.
func (a auth) OwnCredentials() service.Credentials {
	return service.Credentials{Kind: service.AllowService, Subject: "plugin:" + a.pluginID}
}

// PluginToken implements service.Auth.
func (a auth) PluginToken(_ context.Context, onBehalfOf service.Credentials, target string) (service.Token, error) {
	p := payload{Subject: a.OwnCredentials().Subject, Target: target}
	switch onBehalfOf.Kind {
	case service.AllowService:
	case service.AllowUser:
		p.OnBehalfOf = onBehalfOf.Subject
	default:
		return service.Token{}, service.AuthenticationError.Errorf("Refused to issue service token for credential type '%s'", onBehalfOf.Kind)
	}
	return service.NewToken(token(serviceTokenName, p)), nil
}

// LimitedUserToken implements service.Auth.
func (a auth) LimitedUserToken(_ context.Context, user service.Credentials) (service.Token, time.Time, error) {
	if user.Kind != service.AllowUser {
		return service.Token{}, time.Time{}, service.AuthenticationError.Errorf(
			"Refused to issue limited user token for credential type '%s'", user.Kind)
	}
	return service.NewToken(limitedUserToken(user.Subject)), a.clock.Now().Add(limitedUserTokenLifetime), nil
}

func limitedUserToken(ref string) string { return token(limitedUserTokenName, payload{Subject: ref}) }

// PublicKeys implements service.Auth: there are none.
func (auth) PublicKeys(context.Context) ([]json.RawMessage, error) { return []json.RawMessage{}, nil }

// httpAuth is the service.HTTPAuth of tests.
type httpAuth struct{ auth service.Auth }

// Credentials implements service.HTTPAuth.
func (h httpAuth) Credentials(r *http.Request, allow ...service.PrincipalKind) (service.Credentials, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	if token == "" && slices.Contains(allow, service.AllowLimitedUser) {
		token = cookieToken(r)
	}
	if token == "" {
		return permit(service.Credentials{Kind: service.AllowNone}, allow)
	}
	return h.auth.Authenticate(r.Context(), token, allow...)
}

// cookieToken is the token of the cookie, encoded or, as in Backstage's tests, as it is: net/http doesn't read that.
func cookieToken(r *http.Request) string {
	for _, line := range r.Header["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(cookie), "="); name == cookieName {
				if decoded, err := url.PathUnescape(value); err == nil {
					return decoded
				}
				return value
			}
		}
	}
	return ""
}

// IssueUserCookie implements service.HTTPAuth.
func (h httpAuth) IssueUserCookie(w http.ResponseWriter, r *http.Request, user service.Credentials) (time.Time, error) {
	if user.Kind == service.AllowNone {
		w.Header().Add("Set-Cookie", cookieName+"=; Path=/; Max-Age=0")
		return time.Time{}, nil
	}
	token, expiry, err := h.auth.LimitedUserToken(r.Context(), user)
	if err == nil {
		w.Header().Add("Set-Cookie", cookieName+"="+url.PathEscape(token.Reveal())+"; Path=/")
	}
	return expiry, err
}

// userInfo is the service.UserInfo of tests: users own what is theirs.
type userInfo struct{}

// UserInfo implements service.UserInfo.
func (userInfo) UserInfo(_ context.Context, user service.Credentials) (service.User, error) {
	if user.Kind != service.AllowUser {
		return service.User{}, service.InputError.Errorf("User info not available for principal type '%s'", user.Kind)
	}
	return service.User{EntityRef: user.Subject, OwnershipEntityRefs: []string{user.Subject}}, nil
}
