package auth_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		token string
		allow []service.PrincipalKind
		fails bool
	}{
		"no credentials where any will do":      {},
		"no credentials where none are needed":  {allow: []service.PrincipalKind{service.AllowUser, service.AllowNone}},
		"no credentials where a user is needed": {allow: []service.PrincipalKind{service.AllowUser}, fails: true},
		"a token of nobody":                     {token: "Bearer abc", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/api/todo", nil)
			if c.token != "" {
				r.Header.Set("Authorization", c.token)
			}
			got, err := auth.New().Credentials(r, c.allow...)
			switch {
			case c.fails && !errors.Is(err, service.AuthenticationError):
				t.Errorf("error is %v, want an AuthenticationError", err)
			case !c.fails && (err != nil || got.Kind != service.AllowNone):
				t.Errorf("got %v, %v, want a caller without credentials", got, err)
			}
		})
	}
}
