package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// large is a configuration of 2,000 keys with values, and schemas of twenty plugins that declare all of them.
func large() (document string, schemas service.ConfigSchemas) {
	var b strings.Builder
	for p := range 20 {
		fmt.Fprintf(&b, "plugin%d:\n", p)
		groups := map[string]any{}
		for g := range 10 {
			fmt.Fprintf(&b, "  group%d:\n", g)
			keys := map[string]any{}
			for k := range 10 {
				switch k {
				case 0:
					fmt.Fprintf(&b, "    port%d: %d\n", k, 7000+k)
					keys[fmt.Sprintf("port%d", k)] = map[string]any{"type": []string{"number", "string"}}
				case 1:
					fmt.Fprintf(&b, "    token%d: ${TOKEN}-%d-%d-%d\n", k, p, g, k)
					keys[fmt.Sprintf("token%d", k)] = map[string]any{"type": "string", "visibility": "secret"}
				case 2:
					fmt.Fprintf(&b, "    wait%d: { minutes: 5 }\n", k)
					keys[fmt.Sprintf("wait%d", k)] = map[string]any{"anyOf": []any{map[string]any{"type": "string"}, map[string]any{
						"type": "object", "properties": map[string]any{"minutes": map[string]any{"type": "number"}}}}}
				default:
					fmt.Fprintf(&b, "    name%d: the value of key %d in group %d\n", k, k, g)
					keys[fmt.Sprintf("name%d", k)] = map[string]any{"type": "string"}
				}
			}
			groups[fmt.Sprintf("group%d", g)] = map[string]any{"type": "object", "properties": keys}
		}
		id := fmt.Sprintf("plugin%d", p)
		schema, err := json.Marshal(map[string]any{"type": "object", "properties": map[string]any{
			id: map[string]any{"type": "object", "properties": groups}}})
		if err != nil {
			panic(err)
		}
		schemas = append(schemas, service.ConfigSchemaSource{Feature: "plugin " + id, Schema: schema})
	}
	return b.String(), schemas
}

// BenchmarkLoad loads and validates 2,000 keys. For comparison it tells how long a plain decoding of the same YAML takes.
func BenchmarkLoad(b *testing.B) {
	document, schemas := large()
	dir := write(b, map[string]string{"app-config.yaml": document})
	options := config.Options{Dir: dir, Env: []string{"TOKEN=t0k3n"}}
	load := func() {
		s, err := config.Load(b.Context(), options)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Validate(schemas); err != nil {
			b.Fatal(err)
		}
		if len(s.Secrets()) != 200 {
			b.Fatalf("%d secrets", len(s.Secrets()))
		}
	}
	decode := func() {
		content, err := os.ReadFile(filepath.Join(dir, "app-config.yaml"))
		if err != nil {
			b.Fatal(err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(content, &values); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	var loading, decoding time.Duration
	for b.Loop() {
		start := time.Now()
		load()
		loaded := time.Now()
		b.StopTimer()
		decode()
		decoding += time.Since(loaded)
		b.StartTimer()
		loading += loaded.Sub(start)
	}
	b.ReportMetric(loading.Seconds()*1000/float64(b.N), "ms/load")
	b.ReportMetric(decoding.Seconds()*1000/float64(b.N), "ms/yaml")
	b.ReportMetric(loading.Seconds()/decoding.Seconds(), "x-yaml")
}
