package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/internal/jws"
	"github.com/portico-dev/portico/service/auth/internal/remote"
	"github.com/portico-dev/portico/service/auth/usertoken"
	"github.com/portico-dev/portico/service/httprouter"
)

const (
	pluginType    = "vnd.backstage.plugin"
	pluginSubject = "plugin:" // what the subject of a plugin begins with
	authPlugin    = "auth"
	userKeysPath  = "/.well-known/jwks.json"
	keysPath      = "/.backstage/auth/v1/jwks.json"

	tokenLifetime = time.Hour // of the tokens of plugins, at most
	maxIssued     = 1024      // tokens for other plugins that are kept to be used again
)

// isPluginID tells whether this is what the subject of a plugin token looks like. It becomes part of a URL.
func isPluginID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 100
}

// Auth implements service.Auth for one plugin.
type Auth struct {
	*authority
	id      string
	subject string // of the plugin itself
	keys    keySource
	issued  *lru.Cache[issuedFor, issuedToken]
	log     *slog.Logger
}

// keySource has the keys of the plugin itself.
type keySource interface {
	SigningKey(context.Context) (*jws.PrivateKey, error)
	PublicKeys(context.Context) ([]json.RawMessage, error)
}

// issuedFor is whom a token was issued for: the target, and the token of the user if there is one.
type issuedFor struct{ target, user string }

type issuedToken struct {
	service.Token
	renewal time.Time // when another one is due
}

// newAuth makes the Auth of a plugin, and has its public keys served.
func newAuth(shared *authority, meta plugin.Metadata, server *httprouter.Server, log *slog.Logger) (service.Auth, error) {
	issued, err := lru.New[issuedFor, issuedToken](maxIssued)
	if err != nil {
		return nil, err
	}
	source, err := shared.keySource(meta.ID, log)
	if err != nil {
		return nil, err
	}
	a := &Auth{authority: shared, id: meta.ID, subject: pluginSubject + meta.ID, keys: source, issued: issued, log: log}
	server.Handle(meta.ID, http.MethodGet, keysPath, a.serveKeys)
	return a, nil
}

func (a *Auth) serveKeys(c echo.Context) error {
	list, err := a.PublicKeys(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"keys": list})
}

// refuse makes the error of a token that is not believed. The reason is not for the caller.
func refuse(message string, reason error) error {
	return &service.Error{Name: service.AuthenticationError, Message: message, Cause: reason}
}

// Authenticate implements service.Auth.
func (a *Auth) Authenticate(ctx context.Context, raw string, allow ...service.PrincipalKind) (service.Credentials, error) {
	c, limited, err := a.recognize(ctx, raw)
	if err == nil && limited && !slices.Contains(allow, service.AllowLimitedUser) {
		err = refuse("Illegal limited user token", nil)
	}
	if err != nil {
		if named := (*service.Error)(nil); errors.As(err, &named) && named.Cause != nil {
			a.log.InfoContext(ctx, "Refused a token", "message", named.Message, "reason", named.Cause)
		}
		return service.Credentials{}, err
	}
	return permit(c, allow)
}

// permit refuses credentials whose kind is not allowed.
func permit(c service.Credentials, allow []service.PrincipalKind) (service.Credentials, error) {
	switch {
	case len(allow) == 0 || slices.Contains(allow, c.Kind):
		return c, nil
	case c.Kind == service.AllowUser && slices.Contains(allow, service.AllowLimitedUser):
		return c, nil // who shows more than needed is welcome too
	case c.Kind == service.AllowNone:
		return service.Credentials{}, refuse("Missing credentials", nil)
	}
	return service.Credentials{}, service.NotAllowedError.Errorf("This endpoint does not allow '%s' credentials", c.Kind)
}

// recognize tells whom a token stands for, and whether it is a limited one.
func (a *Auth) recognize(ctx context.Context, raw string) (c service.Credentials, limited bool, err error) {
	token, err := a.verifier.parse(raw)
	switch {
	case err != nil:
		c, err = a.recognizeExternal(ctx, raw)
	case token.Type == pluginType:
		c, err = a.recognizePlugin(ctx, token)
	case isUserToken(token):
		c, err = a.recognizeUser(ctx, token)
		limited = token.Type == usertoken.LimitedType
	default:
		c, err = a.recognizeExternal(ctx, raw)
	}
	return c, limited, err
}

// isUserToken tells whether the token means to be one of a user. Older ones have no type.
func isUserToken(t *candidate) bool {
	return t.Type == usertoken.Type || t.Type == usertoken.LimitedType ||
		len(t.Claims.Audience) == 1 && t.Claims.Audience[0] == usertoken.Audience
}

func (a *Auth) recognizePlugin(ctx context.Context, token *candidate) (service.Credentials, error) {
	const failed = "Failed plugin token verification"
	subject := token.Claims.Subject
	if !isPluginID(subject) {
		return service.Credentials{}, refuse("Invalid plugin token: forbidden subject format", nil)
	}
	now := a.clock.Now()
	if err := check(token, now); err != nil {
		return service.Credentials{}, refuse(failed, err)
	}
	if !token.Claims.Audience.Contains(a.id) {
		return service.Credentials{}, refuse(failed, fmt.Errorf("the token of plugin %s is for %q", subject, token.Claims.Audience))
	}
	switch err := a.verify(ctx, token, subject, keysPath, now); {
	case errors.Is(err, remote.ErrNoEndpoint):
		return service.Credentials{}, refuse(fmt.Sprintf("Received a plugin token where the source '%s' plugin has no endpoint for its public keys",
			subject), err)
	case err != nil:
		return service.Credentials{}, refuse(failed, err)
	}
	if token.Claims.OnBehalfOf == "" {
		return service.Credentials{Kind: service.AllowService, Subject: pluginSubject + subject}, nil
	}
	user, err := a.verifier.parse(token.Claims.OnBehalfOf)
	if err != nil || !isUserToken(user) {
		return service.Credentials{}, refuse("Invalid user token in plugin token obo claim", err)
	}
	c, err := a.recognizeUser(ctx, user)
	c.Actor = pluginSubject + subject
	return c, err
}

func (a *Auth) recognizeUser(ctx context.Context, token *candidate) (service.Credentials, error) {
	now := a.clock.Now()
	err := check(token, now)
	if err == nil {
		err = a.verify(ctx, token, authPlugin, userKeysPath, now)
	}
	if err != nil {
		return service.Credentials{}, refuse("Failed user token verification", err)
	}
	return service.Credentials{
		Kind: service.AllowUser, Subject: token.Claims.Subject, ExpiresAt: token.Claims.Expiry.Time(), Token: token.secret,
	}, nil
}

// check looks at the claims that every token of ours has. It costs nothing, so that it comes before the signature.
func check(token *candidate, now time.Time) error {
	c := &token.Claims
	if c.Subject == "" || c.IssuedAt == nil || c.Expiry == nil {
		return errors.New("the token lacks one of sub, iat and exp")
	}
	return c.Valid(now)
}

// verify checks the signature with the keys of a plugin.
func (a *Auth) verify(ctx context.Context, token *candidate, issuer, path string, now time.Time) error {
	base, err := a.discovery.BaseURL(ctx, issuer)
	if err != nil {
		return fmt.Errorf("finding plugin %s: %w", issuer, err)
	}
	return a.verifier.verify(ctx, token, base, path, now)
}

func (a *Auth) recognizeExternal(ctx context.Context, raw string) (service.Credentials, error) {
	now := a.clock.Now()
	for _, access := range a.external {
		subject, err := access.recognize.recognize(ctx, raw, now)
		if errors.Is(err, errNotMine) {
			continue
		}
		if err != nil {
			return service.Credentials{}, err
		}
		if _, included := access.restrictions[a.id]; access.restrictions != nil && !included {
			return service.Credentials{}, service.NotAllowedError.Errorf("This token's access is restricted to plugin(s) %s",
				quoted(access.restrictions))
		}
		return service.Credentials{Kind: service.AllowService, Subject: subject, Restrictions: access.restrictions}, nil
	}
	return service.Credentials{}, refuse("Illegal token", nil)
}

func quoted(restrictions map[string]service.AccessRestriction) string {
	var ids []string
	for id := range restrictions {
		ids = append(ids, "'"+id+"'")
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}

// OwnCredentials implements service.Auth.
func (a *Auth) OwnCredentials() service.Credentials {
	return service.Credentials{Kind: service.AllowService, Subject: a.subject}
}

// PluginToken implements service.Auth.
func (a *Auth) PluginToken(ctx context.Context, onBehalfOf service.Credentials, target string) (service.Token, error) {
	key := issuedFor{target: target}
	switch onBehalfOf.Kind {
	case service.AllowService:
		if err := delegable(onBehalfOf, target); err != nil {
			return service.Token{}, err
		}
	case service.AllowUser:
		if key.user = onBehalfOf.Token.Reveal(); key.user == "" {
			return service.Token{}, refuse("User credentials is unexpectedly missing token", nil)
		}
	default:
		if onBehalfOf.Kind == service.AllowNone && a.settings.DangerouslyDisableDefaultAuthPolicy {
			return service.Token{}, nil
		}
		return service.Token{}, refuse(fmt.Sprintf("Refused to issue service token for credential type '%s'", onBehalfOf.Kind), nil)
	}
	now := a.clock.Now()
	if known, ok := a.issued.Get(key); ok && now.Before(known.renewal) {
		return known.Token, nil
	}
	token, expiry, err := a.issue(ctx, key, now)
	if err != nil {
		return service.Token{}, err
	}
	made := issuedToken{service.NewToken(token), now.Add(expiry.Sub(now) / 2)}
	a.issued.Add(key, made)
	return made.Token, nil
}

// delegable tells whether the access of a service includes the target, without restrictions that would get lost on the way.
func delegable(c service.Credentials, target string) error {
	if c.Restrictions == nil {
		return nil
	}
	r, included := c.Restrictions[target]
	switch {
	case !included:
		return service.NotAllowedError.Errorf("Access to target plugin '%s' is not included in token's access restrictions", target)
	case len(r.Permissions) > 0 || len(r.Actions) > 0:
		return service.NotAllowedError.Errorf("Access to target plugin '%s' is restricted and cannot be delegated", target)
	}
	return nil
}

// issue makes a token for the target.
func (a *Auth) issue(ctx context.Context, to issuedFor, now time.Time) (token string, expiry time.Time, err error) {
	expiry = now.Add(tokenLifetime)
	var limited string
	if to.user != "" {
		var end time.Time
		if limited, end, err = usertoken.Limit(to.user); err != nil {
			return "", time.Time{}, err
		}
		if end.Before(expiry) {
			expiry = end
		}
	}
	key, err := a.keys.SigningKey(ctx)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("auth: issuing a token of plugin %s for plugin %s: %w", a.id, to.target, err)
	}
	type header struct {
		Type      string `json:"typ"`
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}
	type claims struct {
		Subject    string `json:"sub"`
		Audience   string `json:"aud"`
		IssuedAt   int64  `json:"iat"`
		Expiry     int64  `json:"exp"`
		OnBehalfOf string `json:"obo,omitempty"`
	}
	token, err = key.Sign(header{pluginType, key.Algorithm, key.ID}, claims{a.id, to.target, now.Unix(), expiry.Unix(), limited})
	return token, expiry, err
}

// LimitedUserToken implements service.Auth.
func (a *Auth) LimitedUserToken(_ context.Context, user service.Credentials) (service.Token, time.Time, error) {
	if user.Kind != service.AllowUser || user.Token.Reveal() == "" {
		return service.Token{}, time.Time{}, refuse("User credentials is unexpectedly missing token", nil)
	}
	limited, expiry, err := usertoken.Limit(user.Token.Reveal())
	return service.NewToken(limited), expiry, err
}

// PublicKeys implements service.Auth.
func (a *Auth) PublicKeys(ctx context.Context) ([]json.RawMessage, error) {
	list, err := a.keys.PublicKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: plugin %s: %w", a.id, err)
	}
	return list, nil
}
