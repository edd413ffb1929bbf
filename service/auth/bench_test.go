package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

// BenchmarkAuthenticate authenticates requests with the keys of the issuer at hand: with a token that came before, as most do, and with
// one that comes for the first time, whose signature has to be checked.
func BenchmarkAuthenticate(b *testing.B) {
	var h service.HTTPAuth
	p := newPortal(b, map[string]any{"externalAccess": []any{
		map[string]any{"type": "static", "options": map[string]any{"token": "a-static-token", "subject": "ci"}},
	}}, plugin.New("bench", plugin.Init(func(found service.HTTPAuth) { h = found })))
	user := p.user(guest)
	todo := p.plugins["todo"].auth
	for name, token := range map[string]string{
		"user":             user,
		"plugin":           p.pluginToken("todo", "bench", todo.OwnCredentials()),
		"plugin for user":  p.pluginToken("todo", "bench", p.credentials("todo", user)),
		"external program": "a-static-token",
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/api/bench/x", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Credentials(r, service.AllowUser, service.AllowService); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("user, first time", func(b *testing.B) {
		tokens := make([]string, 10_000) // more than are remembered
		for i := range tokens {
			tokens[i] = p.issue(p.key, usertoken.Claims{Subject: guest, Custom: map[string]any{"n": i}})
		}
		r := httptest.NewRequest(http.MethodGet, "/api/bench/x", nil)
		i := 0
		for b.Loop() {
			r.Header.Set("Authorization", "Bearer "+tokens[i%len(tokens)])
			i++
			if _, err := h.Credentials(r, service.AllowUser, service.AllowService); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPluginToken has a token ready for a call of another plugin.
func BenchmarkPluginToken(b *testing.B) {
	p := newPortal(b, nil)
	a := p.plugins["todo"].auth
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.PluginToken(b.Context(), a.OwnCredentials(), "notes"); err != nil {
			b.Fatal(err)
		}
	}
}
