package service

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// PrincipalKind tells what kind of caller credentials stand for.
type PrincipalKind string

// The kinds of principals.
const (
	// AllowUser is a user of the portal.
	AllowUser PrincipalKind = "user"
	// AllowService is another plugin, or an external program with access.
	AllowService PrincipalKind = "service"
	// AllowNone is a caller without credentials.
	AllowNone PrincipalKind = "none"
	// AllowLimitedUser is a user with a limited token, which proves who the user is but is good for nothing else: the cookie by which
	// browsers load images, or the token that a plugin got on behalf of the user. Credentials of such a user are of kind AllowUser;
	// this kind is for saying that they are allowed.
	AllowLimitedUser PrincipalKind = "limited-user"
)

// Credentials are who makes a request. They can be printed, logged and encoded: the token does not show.
type Credentials struct {
	// Kind is the kind of the caller.
	Kind PrincipalKind
	// Subject is the entity ref of a user ("user:default/guest"), the name of a service ("plugin:catalog", "external:ci"), or empty.
	Subject string
	// Actor is the service that makes the request on behalf of the user ("plugin:catalog"); empty when the user makes it.
	Actor string
	// ExpiresAt is when the credentials of a user end. It is zero for others.
	ExpiresAt time.Time
	// Restrictions are what a service with restricted access may do, by plugin; it reaches no other plugins. Nil is no restriction.
	Restrictions map[string]AccessRestriction
	// Token is what a user was recognized by. It is empty for others.
	Token Token
}

// AccessRestriction is what a service may do in one plugin, as far as the plugin asks for permission. An empty list restricts nothing.
type AccessRestriction struct {
	// Permissions are the names of the permissions that the service has.
	Permissions []string
	// Actions are the actions of the permissions that it has: create, read, update, delete.
	Actions []string
}

// String names the caller.
func (c Credentials) String() string {
	switch {
	case c.Kind == AllowNone:
		return "nobody"
	case c.Actor != "":
		return c.Subject + " by " + c.Actor
	}
	return c.Subject
}

// LogValue is how log entries tell the caller.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON encodes the credentials in the form of Backstage, without the token.
func (c Credentials) MarshalJSON() ([]byte, error) {
	type principal struct {
		Type          PrincipalKind `json:"type"`
		UserEntityRef string        `json:"userEntityRef,omitempty"`
		Subject       string        `json:"subject,omitempty"`
		Actor         *principal    `json:"actor,omitempty"`
	}
	who := principal{Type: c.Kind}
	if c.Kind == AllowUser {
		who.UserEntityRef = c.Subject
		if c.Actor != "" {
			who.Actor = &principal{Type: AllowService, Subject: c.Actor}
		}
	} else {
		who.Subject = c.Subject
	}
	return json.Marshal(struct {
		Type      string    `json:"$$type"`
		Version   string    `json:"version"`
		ExpiresAt time.Time `json:"expiresAt,omitzero"`
		Principal principal `json:"principal"`
	}{"@backstage/BackstageCredentials", "v1", c.ExpiresAt, who})
}

// Token is a token that does not show where it is printed, logged or encoded. The zero Token is empty.
type Token struct{ authorization *string } // with "Bearer " at its beginning

const bearer = "Bearer "

// NewToken hides the text of a token.
func NewToken(text string) Token {
	if text == "" {
		return Token{}
	}
	text = bearer + text
	return Token{&text}
}

// Reveal is the text of the token.
func (t Token) Reveal() string { return strings.TrimPrefix(t.Bearer(), bearer) }

// Bearer is the Authorization header that shows the token, or empty if the token is.
func (t Token) Bearer() string {
	if t.authorization == nil {
		return ""
	}
	return *t.authorization
}

// String stands in for the token.
func (t Token) String() string {
	if t.authorization == nil {
		return ""
	}
	return "<token>"
}

// GoString stands in for the token.
func (t Token) GoString() string { return t.String() }

// MarshalText stands in for the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue stands in for the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Auth deals with the tokens of a plugin: those that it gets and those that it shows to other plugins. It is Backstage's core.auth. Safe
// for concurrent use.
type Auth interface {
	// Authenticate tells whom the token stands for. With kinds given, others are refused with a NotAllowedError (403); limited tokens are
	// refused unless AllowLimitedUser is among them. A token that is not valid is an AuthenticationError (401).
	Authenticate(ctx context.Context, token string, allow ...PrincipalKind) (Credentials, error)
	// OwnCredentials are those of the plugin itself, for calls that it makes of its own accord.
	OwnCredentials() Credentials
	// PluginToken is a token for calls of this plugin to another one on behalf of somebody: of the plugin itself ([Auth.OwnCredentials]),
	// or of whose request is being served. A user stays the principal there; for a service, the other plugin sees this one. It is a
	// NotAllowedError when the service's access does not include the other plugin, and an AuthenticationError when there are no
	// credentials, unless backend.auth.dangerouslyDisableDefaultAuthPolicy is set: then the token is empty. It may be used for some
	// minutes, but not be kept.
	PluginToken(ctx context.Context, onBehalfOf Credentials, targetPluginID string) (Token, error)
	// LimitedUserToken is a token that proves who the user is but is good for nothing else, and when it ends. It is an
	// AuthenticationError when the credentials are not those of a user.
	LimitedUserToken(ctx context.Context, user Credentials) (Token, time.Time, error)
	// PublicKeys are the keys by which others verify the tokens of this plugin, as JSON Web Keys.
	PublicKeys(ctx context.Context) ([]json.RawMessage, error)
}

type actsForKey struct{}

// OnBehalfOf has requests that are made with the context and the plugin's *http.Client made on behalf of somebody: mostly of who makes the
// request that the plugin is serving.
func OnBehalfOf(ctx context.Context, c Credentials) context.Context {
	return context.WithValue(ctx, actsForKey{}, c)
}

// ActsFor tells on whose behalf requests are made with the context, if [OnBehalfOf] has said so.
func ActsFor(ctx context.Context) (Credentials, bool) {
	c, ok := ctx.Value(actsForKey{}).(Credentials)
	return c, ok
}

// HTTPAuth tells who makes a request: Backstage's core.httpAuth. Safe for concurrent use.
type HTTPAuth interface {
	// Credentials returns the credentials of the request, of kind AllowNone where it has none. With kinds given, others are refused: with an
	// AuthenticationError (401) where there are no credentials, with a NotAllowedError (403) otherwise. A token that is not valid is an
	// AuthenticationError whatever is allowed. With AllowLimitedUser, users are recognized by their cookie too.
	Credentials(r *http.Request, allow ...PrincipalKind) (Credentials, error)
	// IssueUserCookie answers the request with a cookie that proves who the user is, and tells when it expires. A good cookie that the
	// request has already is left alone. Credentials of kind AllowNone have the cookie removed.
	IssueUserCookie(w http.ResponseWriter, r *http.Request, user Credentials) (expiresAt time.Time, err error)
}

// AuthPolicies opens routes of a plugin, which otherwise all need credentials: the addAuthPolicy of Backstage's core.httpRouter. Paths are
// relative to the plugin's routes and begin with a slash; they may have parameters ("/:provider/start"). Safe for concurrent use.
type AuthPolicies interface {
	// AllowUnauthenticated lets requests without credentials reach path and everything below it.
	AllowUnauthenticated(path string)
	// AllowUserCookie lets requests with a user's cookie, or with another limited token, reach path and everything below it.
	AllowUserCookie(path string)
}

// UserInfo tells more about users: Backstage's core.userInfo. Safe for concurrent use.
type UserInfo interface {
	// UserInfo returns what the portal knows of the user. It is an InputError when the credentials are not those of a user, and a
	// NotFoundError when the user has never signed in.
	UserInfo(ctx context.Context, user Credentials) (User, error)
}

// User is what the portal knows of a user.
type User struct {
	// EntityRef is the entity ref of the user ("user:default/guest").
	EntityRef string
	// OwnershipEntityRefs are the entity refs by which the user owns things: its own and those of its groups.
	OwnershipEntityRefs []string
}
