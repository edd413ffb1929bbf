package database_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
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

// logged is a handler that keeps the messages with their attributes.
type logged struct {
	slog.Handler
	mu   *sync.Mutex
	text *strings.Builder
}

func newLog() logged {
	var text strings.Builder
	var mu sync.Mutex
	return logged{Handler: slog.NewTextHandler(&text, nil), mu: &mu, text: &text}
}

func (l logged) Handle(ctx context.Context, record slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Handler.Handle(ctx, record)
}

func (l logged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logged{Handler: l.Handler.WithAttrs(attrs), mu: l.mu, text: l.text}
}

func (l logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

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

func replica() {}
