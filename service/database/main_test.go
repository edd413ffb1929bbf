package database_test

import (
	"log/slog"
	"os"
	"testing"

	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

func TestMain(m *testing.M) {
	if os.Getenv("PORTICO_TEST_REPLICA") != "" { // see TestMigrateAfterKill
		replica()
		return
	}
	goleak.VerifyTestMain(m)
}

// manager makes a manager from a configuration of backend.database, which closes at the end of the test.
func manager(t testing.TB, section map[string]any, log slog.Handler) *database.Manager {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{t})
	m, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section}}),
		service.RootLogger{Logger: slog.New(log)}, lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	return m
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

// with is a copy of the configuration with further settings.
func with(section map[string]any, settings map[string]any) map[string]any {
	copied := map[string]any{}
	for name, value := range section {
		copied[name] = value
	}
	for name, value := range settings {
		copied[name] = value
	}
	return copied
}

func discard() service.RootLogger { return service.RootLogger{Logger: slog.New(slog.DiscardHandler)} }
