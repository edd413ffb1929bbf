package cache_test

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/cache"
)

func TestServices(t *testing.T) {
	t.Parallel()
	var c service.Cache
	options := []fx.Option{
		fx.NopLogger,
		fx.Supply(discard(), plugin.Metadata{ID: "todo"}),
		fx.Provide(func() service.Config { return configuration(nil) }),
		fx.Populate(&c),
	}
	for _, s := range cache.Services() {
		options = append(options, fx.Provide(s.Constructor()))
	}
	app := fxtest.New(t, options...)
	app.RequireStart()
	set(t, c, "k", "x")
	wantValue(t, c, "k", "x")
	app.RequireStop()
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", bytes.NewReader(cache.Services()[0].ConfigSchemas()[0])); err != nil {
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
		"memory":        {map[string]any{"store": "memory", "defaultTtl": 1000}, true},
		"Redis":         {map[string]any{"store": "redis", "connection": "redis://h", "defaultTtl": map[string]any{"hours": 1}}, true},
		"object":        {map[string]any{"store": "redis", "connection": map[string]any{"url": "redis://h", "pingInterval": 1}}, true},
		"cluster":       {map[string]any{"store": "redis", "redis": map[string]any{"cluster": map[string]any{"rootNodes": []any{map[string]any{"url": "x"}}}}}, true},
		"unknown store": {map[string]any{"store": "disk"}, false},
		"no bound":      {map[string]any{"memory": map[string]any{"maxBytes": 0}}, false},
	} {
		err := schema.Validate(map[string]any{"backend": map[string]any{"cache": test.config}})
		if (err == nil) != test.valid {
			t.Errorf("%s: %v, want valid %v", name, err, test.valid)
		}
	}
}
