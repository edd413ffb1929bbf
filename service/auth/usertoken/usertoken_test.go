package usertoken_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

// TestLimitedLayout holds the bytes that Backstage's plugins make on their own: the order of the keys, and no escapes that JavaScript
// doesn't make.
func TestLimitedLayout(t *testing.T) {
	t.Parallel()
	key, err := usertoken.GenerateKey("k")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	token, err := usertoken.Issue(key, usertoken.Claims{Subject: "user:default/a&b<c>", IssuedAt: now, Expiry: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	limited, _, err := usertoken.Limit(token)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`{"typ":"vnd.backstage.limited-user","alg":"ES256","kid":"k"}`,
		`{"sub":"user:default/a&b<c>","iat":1700000000,"exp":1700003600}`} {
		if got, err := base64.RawURLEncoding.DecodeString(strings.Split(limited, ".")[i]); err != nil || string(got) != want {
			t.Errorf("part %d is %s, want %s", i, got, want)
		}
	}
	if again, _, err := usertoken.Limit(limited); err != nil || again != limited {
		t.Errorf("a limited token becomes %s, %v", again, err)
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	key, err := usertoken.GenerateKey("k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := usertoken.Issue(key, usertoken.Claims{Subject: "user:default/a", Custom: map[string]any{"x": strings.Repeat("x", 40_000)}}); err == nil ||
		!strings.Contains(err.Error(), "user:default/a") {
		t.Errorf("a token that is too long: %v", err)
	}
	if _, err := usertoken.Issue(key, usertoken.Claims{Custom: map[string]any{"x": make(chan int)}}); err == nil {
		t.Error("a claim that can't be encoded")
	}
	type header struct {
		Type string `json:"typ"`
		Alg  string `json:"alg"`
	}
	for name, claims := range map[string]map[string]any{"without proof": {"iat": 1, "exp": 2}, "without times": {"uip": "x"}} {
		token, err := key.Sign(header{usertoken.Type, "ES256"}, claims)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := usertoken.Limit(token); !errors.Is(err, service.AuthenticationError) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, token := range []string{"", "x", "a.b.c"} {
		if _, _, err := usertoken.Limit(token); !errors.Is(err, service.AuthenticationError) {
			t.Errorf("%q: %v", token, err)
		}
	}
}
