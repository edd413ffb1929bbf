package backendtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
)

// Tokens of tests have the form of those that Backstage's backend-test-utils make, so that requests recorded there can be replayed.
const (
	userTokenPrefix    = "mock-user-token"
	serviceTokenPrefix = "mock-service-token"
	defaultUser        = "user:default/mock"
	defaultService     = "external:test-service"
)

func userToken(ref string) string { return token(userTokenPrefix, subject{Sub: ref}) }

func serviceToken(name string) string { return token(serviceTokenPrefix, subject{Sub: name}) }

type subject struct {
	Sub string `json:"sub,omitempty"`
}

func token(prefix string, s subject) string {
	payload, _ := json.Marshal(s) // a struct of strings can always be encoded
	return prefix + ":" + string(payload)
}

// httpAuth is the service.HTTPAuth of tests: it believes the tokens that tests make.
type httpAuth struct{}

// Credentials implements service.HTTPAuth.
func (httpAuth) Credentials(r *http.Request, allow ...service.PrincipalKind) (service.Credentials, error) {
	c, err := parse(r.Header.Get("Authorization"))
	if err != nil {
		return service.Credentials{}, err
	}
	if len(allow) == 0 || slices.Contains(allow, c.Kind) {
		return c, nil
	}
	if c.Kind == service.AllowNone {
		return service.Credentials{}, service.AuthenticationError.Errorf("Missing credentials")
	}
	return service.Credentials{}, service.NotAllowedError.Errorf("This endpoint does not allow %q credentials", c.Kind)
}

func parse(header string) (service.Credentials, error) {
	if header == "" {
		return service.Credentials{Kind: service.AllowNone}, nil
	}
	name, payload, _ := strings.Cut(strings.TrimPrefix(header, "Bearer "), ":")
	c := service.Credentials{}
	switch name {
	case userTokenPrefix:
		c = service.Credentials{Kind: service.AllowUser, Subject: defaultUser}
	case serviceTokenPrefix:
		c = service.Credentials{Kind: service.AllowService, Subject: defaultService}
	default:
		return c, service.AuthenticationError.Errorf("Unknown mock token %q", name)
	}
	var s subject
	if payload != "" {
		if err := json.Unmarshal([]byte(payload), &s); err != nil {
			return c, service.AuthenticationError.Errorf("Malformed mock token: %w", err)
		}
	}
	if s.Sub != "" {
		c.Subject = s.Sub
	}
	return c, nil
}
