package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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
		verifySignature := signatureFloor(b)
		r := httptest.NewRequest(http.MethodGet, "/api/bench/x", nil)
		var took, floor time.Duration
		for i := 0; b.Loop(); i++ {
			r.Header.Set("Authorization", "Bearer "+tokens[i%len(tokens)])
			begin := time.Now()
			if _, err := h.Credentials(r, service.AllowUser, service.AllowService); err != nil {
				b.Fatal(err)
			}
			middle := time.Now()
			verifySignature()
			floor += time.Since(middle)
			took += middle.Sub(begin)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/request")
		b.ReportMetric(float64(floor.Nanoseconds())/float64(b.N), "ns/signature")
		b.ReportMetric(float64(took)/float64(floor), "x-floor")
	})
}

// signatureFloor is what no check of a token that is new can do without.
func signatureFloor(b *testing.B) func() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a token"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("the signature is wrong")
		}
	}
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
