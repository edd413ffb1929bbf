package auth_test

import (
	"net/http"
	"testing"

	"github.com/portico-dev/portico/service"
)

func TestWho(t *testing.T) {
	t.Parallel()
	p := newPortal(t, map[string]any{"externalAccess": []any{
		map[string]any{"type": "static", "options": map[string]any{"token": "a-static-token", "subject": "external:ci"}},
	}})
	token := p.user(guest)
	forNotes := p.pluginToken("todo", "notes", p.plugins["todo"].auth.OwnCredentials())
	forGuest := p.pluginToken("todo", "notes", p.credentials("todo", token))
	for _, test := range []struct {
		name, path, token string
		status            int
		message           string
		principal         principal
	}{
		{"nobody", "/api/todo/who", "", 401, "Missing credentials", principal{}},
		{"nobody where it is open", "/api/todo/open/who", "", 200, "", principal{Type: "none"}},
		{"a user", "/api/todo/who", token, 200, "", principal{Type: "user", UserEntityRef: guest}},
		{"a user in another plugin", "/api/notes/who", token, 200, "", principal{Type: "user", UserEntityRef: guest}},
		{"a user where it is open", "/api/todo/open/who", token, 200, "", principal{Type: "user", UserEntityRef: guest}},
		{"garbage where it is open", "/api/todo/open/who", "garbage", 401, "Illegal token", principal{}},
		{"garbage", "/api/todo/who", "garbage", 401, "Illegal token", principal{}},
		{"a limited token", "/api/todo/who", p.limited(token), 401, "Illegal limited user token", principal{}},
		{"a limited token where cookies are enough", "/api/todo/images/who", p.limited(token), 200, "", principal{Type: "user", UserEntityRef: guest}},
		{"a full token where cookies are enough", "/api/todo/images/who", token, 200, "", principal{Type: "user", UserEntityRef: guest}},
		{"a plugin", "/api/notes/who", forNotes, 200, "", principal{Type: "service", Subject: "plugin:todo"}},
		{"a plugin where users are expected", "/api/notes/users/who", forNotes, 403, "This endpoint does not allow 'service' credentials", principal{}},
		{"the token of a plugin for another", "/api/todo/who", forNotes, 401, "Failed plugin token verification", principal{}},
		{"a plugin for a user", "/api/notes/who", forGuest, 200, "",
			principal{Type: "user", UserEntityRef: guest, Actor: &principal{Type: "service", Subject: "plugin:todo"}}},
		{"an external program", "/api/todo/who", "a-static-token", 200, "", principal{Type: "service", Subject: "external:ci"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.get(test.path, test.token)
			if got.status != test.status || got.message != test.message || !same(got.principal, test.principal) {
				t.Errorf("got %d %q %+v, want %d %q %+v", got.status, got.message, got.principal, test.status, test.message, test.principal)
			}
		})
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("the keys of users were fetched %d times", n)
	}
}

func same(a, b principal) bool {
	if a.Actor != nil && b.Actor != nil {
		return same(*a.Actor, *b.Actor) && a.UserEntityRef == b.UserEntityRef
	}
	return a == b
}

func TestScheme(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	token := p.user(guest)
	for header, status := range map[string]int{
		"Bearer " + token: 200, "bearer   " + token: 200, "BEARER " + token: 200,
		"Basic " + token: 401, token: 401, "Bearer": 401, "Bearer ": 401, "Bearer " + token + " x": 401, "Bearer" + token: 401,
	} {
		if got := p.get("/api/todo/who", "", "Authorization", header); got.status != status {
			t.Errorf("%.12s…: %d %s", header, got.status, got.message)
		}
	}
}

func TestDefaultPolicyOff(t *testing.T) {
	t.Parallel()
	p := newPortal(t, map[string]any{"dangerouslyDisableDefaultAuthPolicy": true})
	if got := p.get("/api/todo/who", ""); got.status != http.StatusOK || got.principal.Type != "none" {
		t.Errorf("nobody: %d %+v", got.status, got.principal)
	}
	if got := p.get("/api/todo/who", "garbage"); got.status != http.StatusUnauthorized {
		t.Errorf("garbage: %d", got.status)
	}
	token, err := p.plugins["todo"].auth.PluginToken(t.Context(), service.Credentials{Kind: service.AllowNone}, "notes")
	if err != nil || token.Reveal() != "" {
		t.Errorf("a token for nobody: %q, %v", token.Reveal(), err)
	}
}
