package service

import "net/http"

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
)

// Credentials are who makes a request. They hold no secret that could be printed.
type Credentials struct {
	// Kind is the kind of the caller.
	Kind PrincipalKind
	// Subject is the entity ref of a user ("user:default/guest"), the name of a service ("plugin:catalog", "external:ci"), or empty.
	Subject string
}

// HTTPAuth tells who makes a request: Backstage's core.httpAuth. Safe for concurrent use.
type HTTPAuth interface {
	// Credentials returns the credentials of the request, of kind AllowNone where it has none. With kinds given, others are refused: with an
	// AuthenticationError (401) where there are no credentials, with a NotAllowedError (403) otherwise. A token that is not valid is an
	// AuthenticationError whatever is allowed.
	Credentials(r *http.Request, allow ...PrincipalKind) (Credentials, error)
}

// AuthPolicies opens routes of a plugin, which otherwise all need credentials: the addAuthPolicy of Backstage's core.httpRouter. Safe for
// concurrent use.
type AuthPolicies interface {
	// AllowUnauthenticated lets requests without credentials reach path and everything below it. The path is relative to the
	// plugin's routes and begins with a slash; it may have parameters ("/:provider/start").
	AllowUnauthenticated(path string)
}
