package auth

import (
	"net/http"
	"slices"

	"github.com/portico-dev/portico/service"
)

// Services are the default services of this package.
func Services() []service.Service {
	return []service.Service{service.PerPlugin[service.HTTPAuth](New)}
}

// HTTPAuth implements service.HTTPAuth.
type HTTPAuth struct{}

// New returns an HTTPAuth that knows no tokens.
func New() *HTTPAuth { return &HTTPAuth{} }

// Credentials implements service.HTTPAuth.
func (a *HTTPAuth) Credentials(r *http.Request, allow ...service.PrincipalKind) (service.Credentials, error) {
	if r.Header.Get("Authorization") != "" {
		return service.Credentials{}, service.AuthenticationError.Errorf("Illegal token: this backend knows no issuer of tokens")
	}
	if len(allow) == 0 || slices.Contains(allow, service.AllowNone) {
		return service.Credentials{Kind: service.AllowNone}, nil
	}
	return service.Credentials{}, service.AuthenticationError.Errorf("Missing credentials")
}
