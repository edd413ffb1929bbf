package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
)

type clientRow struct {
	bun.BaseModel `bun:"table:oidc_clients"`

	ID            string    `bun:"client_id"`
	Secret        string    `bun:"client_secret"`
	Name          string    `bun:"client_name"`
	ResponseTypes string    `bun:"response_types"`
	GrantTypes    string    `bun:"grant_types"`
	RedirectURIs  string    `bun:"redirect_uris"`
	ExpiresAt     time.Time `bun:"expires_at"`
}

type sessionRow struct {
	bun.BaseModel `bun:"table:oauth_authorization_sessions"`

	ID           string    `bun:"id"`
	ClientID     string    `bun:"client_id"`
	RedirectURI  string    `bun:"redirect_uri"`
	ResponseType string    `bun:"response_type"`
	Status       string    `bun:"status"`
	ExpiresAt    time.Time `bun:"expires_at"`
}

// flood fills the tables of the authorization server with what somebody without credentials could have asked for, before now.
func flood(n int) plugin.Module {
	return plugin.NewModule("auth", "flood", plugin.Init(func(ctx context.Context, db *bun.DB) error {
		clients, sessions := make([]clientRow, n), make([]sessionRow, n)
		for i := range n {
			expires := time.Now().UTC().Add(time.Minute + time.Duration(i)*time.Second)
			clients[i] = clientRow{ID: fmt.Sprintf("c%d", i), ExpiresAt: expires}
			sessions[i] = sessionRow{ID: fmt.Sprintf("s%d", i), Status: "pending", ExpiresAt: expires}
		}
		if _, err := db.NewInsert().Model(&clients).Exec(ctx); err != nil {
			return err
		}
		_, err := db.NewInsert().Model(&sessions).Exec(ctx)
		return err
	}))
}

// TestTooManyClients registers and asks where others have done so very often: the oldest of what waits for a user goes.
func TestTooManyClients(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		var db *bun.DB
		p := startToolPortal(t, flood(1000), backendtest.Config(object{"backend": object{"database": section}}),
			plugin.NewModule("auth", "peek", plugin.Init(func(d *bun.DB) { db = d })))
		count := func(table, condition string) int {
			n, err := db.NewSelect().TableExpr(table).Where(condition).Count(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		approved := p.register()
		session := p.ask(approved.ID, back)
		p.approve(session)
		waiting := p.register()
		p.ask(waiting.ID, back)
		if n, first := count("oidc_clients", "expires_at IS NOT NULL"), count("oidc_clients", "client_id = 'c0'"); n != 1000 || first != 0 {
			t.Errorf("there are %d clients that wait, and %d of the oldest", n, first)
		}
		if n, first := count("oauth_authorization_sessions", "status = 'pending'"), count("oauth_authorization_sessions", "id = 's0'"); n != 1000 || first != 0 {
			t.Errorf("there are %d sessions that wait, and %d of the oldest", n, first)
		}

		p.clock.Advance(25 * time.Hour)
		p.token = p.b.get(p.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity.Token
		query := url.Values{"client_id": {waiting.ID}, "redirect_uri": {back}, "response_type": {"code"}}
		if a := p.b.get(p.URL() + "/api/auth/v1/authorize?" + query.Encode()); a.status != http.StatusBadRequest || !strings.Contains(a.body, "Invalid client_id") {
			t.Errorf("a client that nobody has agreed to for a day: %d %s", a.status, a.body)
		}
		p.register()
		if n := count("oidc_clients", "1 = 1"); n != 2 {
			t.Errorf("%d clients are left", n)
		}
		p.approve(p.ask(approved.ID, back))
	})
}

func TestLongRedirects(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	long := "http://127.0.0.1/" + strings.Repeat("x", 2000)
	if a := p.json(http.MethodPost, "/v1/register", `{"client_name":"A tool","redirect_uris":["`+long+`"]}`); a.status != http.StatusBadRequest {
		t.Errorf("registering it: %d %s", a.status, a.body)
	}
	query := url.Values{"client_id": {p.register().ID}, "redirect_uri": {long}, "response_type": {"code"}}
	if a := p.b.get(p.URL() + "/api/auth/v1/authorize?" + query.Encode()); a.status != http.StatusBadRequest || !strings.Contains(a.body, "too long") {
		t.Errorf("asking with it: %d %s", a.status, a.body)
	}
}
