package database_test

import (
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
)

func TestServerThatIsDown(t *testing.T) {
	t.Parallel()
	for client, scheme := range map[string]string{"pg": "postgres", "mysql2": "mysql"} {
		address := closedPort(t)
		log := &backendtest.Log{}
		m := manager(t, map[string]any{
			"client": client, "connection": scheme + "://portal:hunter2@" + address, "connectTimeout": "300ms",
		}, slog.NewTextHandler(log, nil))
		var plugins sync.WaitGroup
		for _, id := range []string{"a", "b", "c"} {
			plugins.Go(func() {
				_, err := m.Open(t.Context(), id)
				wantError(t, err, "plugin "+id, address, "can't be reached", "backend.database.connection")
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error shows the password: %v", err)
				}
			})
		}
		plugins.Wait()
		text := log.String()
		if !strings.Contains(text, "trying again") || strings.Contains(text, "hunter2") {
			t.Errorf("the log must tell of the tries, without the password: %s", text)
		}
	}
}

func TestServerThatComesUpLate(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if strings.Contains(config["client"].(string), "sqlite") {
			t.Skip("SQLite has no server")
		}
		scheme, rest, _ := strings.Cut(config["connection"].(string), "://")
		login, address, _ := strings.Cut(rest, "@")
		proxy := newProxy(t, address)
		log := &backendtest.Log{}
		m := manager(t, with(config, map[string]any{"connection": scheme + "://" + login + "@" + proxy.address}), slog.NewTextHandler(log, nil))
		proxy.upAfter(3)
		if _, err := m.Open(t.Context(), "catalog"); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "trying again"); n == 0 {
			t.Error("the tries that failed are not in the log")
		}
	})
}

// TestServerThatWasDown has a plugin use a server after it was given up.
func TestServerThatWasDown(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if strings.Contains(config["client"].(string), "sqlite") {
			t.Skip("SQLite has no server")
		}
		scheme, rest, _ := strings.Cut(config["connection"].(string), "://")
		login, address, _ := strings.Cut(rest, "@")
		proxy := newProxy(t, address)
		log := &backendtest.Log{}
		m := manager(t, with(config, map[string]any{
			"connection": scheme + "://" + login + "@" + proxy.address, "connectTimeout": "50ms",
		}), slog.NewTextHandler(log, nil))
		proxy.upAfter(math.MaxInt64)
		_, err := m.Open(t.Context(), "catalog")
		wantError(t, err, proxy.address, "can't be reached")

		tries := strings.Count(log.String(), "trying again")
		_, err = m.Open(t.Context(), "catalog")
		wantError(t, err, proxy.address, "still can't be reached", "backend.database.connection")
		if n := strings.Count(log.String(), "trying again"); n != tries {
			t.Error("a server that was given up is waited for again")
		}

		proxy.upAfter(0)
		for _, id := range []string{"catalog", "todo"} {
			db, err := m.Open(t.Context(), id)
			for begin := time.Now(); err != nil && time.Since(begin) < time.Minute; { // one try may be too short on a busy machine
				db, err = m.Open(t.Context(), id)
			}
			if err != nil {
				t.Fatal(err)
			}
			if again, err := m.Open(t.Context(), id); err != nil || again != db {
				t.Errorf("the database of plugin %s is another one when it is asked for again (%v)", id, err)
			}
			createNotes(t, db)
		}
	})
}

func TestRefusedLogin(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if strings.Contains(config["client"].(string), "sqlite") {
			t.Skip("SQLite has no login")
		}
		scheme, rest, _ := strings.Cut(config["connection"].(string), "://")
		_, address, _ := strings.Cut(rest, "@")
		log := &backendtest.Log{}
		m := manager(t, with(config, map[string]any{"connection": scheme + "://portico_nobody:hunter2@" + address}), slog.NewTextHandler(log, nil))
		_, err := m.Open(t.Context(), "catalog")
		wantError(t, err, "refused", "portico_nobody", address, "backend.database.connection")
		if text := log.String() + err.Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "trying again") {
			t.Errorf("want neither the password nor further tries: %s", text)
		}
	})
}
