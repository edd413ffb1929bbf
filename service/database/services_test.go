package database_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"github.com/uptrace/bun"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// checks is a service.Health that keeps the checks.
type checks map[string]func(context.Context) error

func (c checks) AddCheck(name string, check func(context.Context) error) { c[name] = check }

func TestServices(t *testing.T) {
	t.Parallel()
	health := checks{}
	var db *bun.DB
	options := []fx.Option{
		fx.NopLogger,
		fx.Supply(discard(), plugin.Metadata{ID: "todo"}),
		fx.Provide(
			func() context.Context { return t.Context() },
			func() service.Health { return health },
			func() service.Config { return config.Static(nil) },
		),
		fx.Populate(&db),
	}
	for _, s := range database.Services() {
		options = append(options, fx.Provide(s.Constructor()))
	}
	app := fxtest.New(t, options...)
	app.RequireStart()
	if err := health["database"](t.Context()); err != nil {
		t.Errorf("the readiness check: %v", err)
	}
	app.RequireStop()
	if err := health["database"](t.Context()); err == nil {
		t.Error("the readiness check of a closed database is fine")
	}
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", bytes.NewReader(database.Services()[0].ConfigSchemas()[0])); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config map[string]any
		valid  bool
	}{
		"SQLite":           {map[string]any{"client": "better-sqlite3", "connection": ":memory:"}, true},
		"directory":        {map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": "x"}}, true},
		"PostgreSQL":       {map[string]any{"client": "pg", "connection": map[string]any{"host": "h", "port": "5432", "ssl": map[string]any{"ca": "x"}}}, true},
		"other settings":   {map[string]any{"client": "pg", "connection": map[string]any{"keepAlive": true}, "knexConfig": map[string]any{"debug": true}}, true},
		"of a plugin":      {map[string]any{"plugin": map[string]any{"todo": map[string]any{"client": "pg", "connection": "postgres://h"}}}, true},
		"unknown client":   {map[string]any{"client": "oracle"}, false},
		"unknown division": {map[string]any{"pluginDivisionMode": "table"}, false},
		"bad pool":         {map[string]any{"knexConfig": map[string]any{"pool": map[string]any{"max": 0}}}, false},
	} {
		err := schema.Validate(map[string]any{"backend": map[string]any{"database": test.config}})
		if (err == nil) != test.valid {
			t.Errorf("%s: %v, want valid %v", name, err, test.valid)
		}
	}
}

func TestUnsupportedSettingsAreLogged(t *testing.T) {
	t.Parallel()
	log := &backendtest.Log{}
	m := manager(t, map[string]any{"client": "better-sqlite3", "connection": map[string]any{"filename": ":memory:", "flavour": "x"}}, slog.NewTextHandler(log, nil))
	if _, err := m.Open(t.Context(), "todo"); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !bytes.Contains([]byte(text), []byte("flavour")) {
		t.Errorf("the log doesn't tell of the setting: %s", text)
	}
}
