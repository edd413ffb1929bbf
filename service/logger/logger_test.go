package logger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/portico-dev/portico/plugin"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/logger"
)

// buffer is what a logger has written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns what was written since it was last called.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}

func noEnv(string) string { return "" }

// loaded is a configuration with a secret at the key secret, besides the given YAML.
func loaded(t testing.TB, yaml string) (cfg *config.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app-config.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(context.Background(), config.Options{Dir: filepath.Dir(path), Env: []string{"_="}})
	if err != nil {
		t.Fatal(err)
	}
	schemas := service.ConfigSchemas{{Feature: "test", Schema: []byte(`{"properties": {"secrets": {"type": "array", "items": {"type": "string", "visibility": "secret"}}}}`)}}
	for _, s := range logger.Services() {
		for _, schema := range s.ConfigSchemas() {
			schemas = append(schemas, service.ConfigSchemaSource{Feature: s.String(), Schema: schema})
		}
	}
	if err := cfg.Validate(schemas); err != nil {
		t.Fatal(err)
	}
	return cfg, path
}

func newLogger(t testing.TB, cfg service.Config, out io.Writer, format logger.Format) service.RootLogger {
	t.Helper()
	root, err := logger.New(cfg, logger.Options{Writer: out, Format: format, Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out buffer
	cfg, _ := loaded(t, "backend: {logger: {meta: {region: eu}}}\n")
	log := logger.ForPlugin(newLogger(t, cfg, &out, logger.FormatAuto), plugin.Metadata{ID: "catalog"})
	log.Debug("not logged")
	log.Warn("a message", "n", 5, "error", errors.New("broken"), slog.Group("g", "msg", "x"), "m", map[string]int{"a": 1})
	var got map[string]any
	if err := json.Unmarshal([]byte(out.take()), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339, fmt.Sprint(got["timestamp"])); err != nil {
		t.Error(err)
	}
	delete(got, "timestamp")
	want := `map[error:broken g:map[msg:x] level:warn m:map[a:1] message:a message n:5 plugin:catalog region:eu service:backstage]`
	if s := fmt.Sprint(got); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var out buffer
	root := newLogger(t, config.Static(nil), &out, logger.FormatText)
	tests := []struct {
		log  func(*slog.Logger)
		want string
	}{
		{func(l *slog.Logger) { l.Info("a message") }, "backstage info a message"},
		{func(l *slog.Logger) { l.With("plugin", "search").Error("oh", "error", errors.New("two words"), "n", 1) }, `search error oh error="two words" n=1`},
		{func(l *slog.Logger) { l.Warn("x", "plugin", "p", "service", "s") }, "s warn x"},
		{func(l *slog.Logger) {
			l.WithGroup("a").With("b", 1).WithGroup("c").Info("x", "d", []int{1}, "plugin", "p")
		}, `backstage info x a.b=1 a.c.d=[1] a.c.plugin=p`},
		{func(l *slog.Logger) {
			l.Info("x", slog.Group("g", "a", true, slog.Group("", "b", time.Minute)), slog.Group("empty"))
		}, `backstage info x g.a=true g.b=1m0s`},
		{func(l *slog.Logger) {
			l.Info("line\nbreak \x1b[31m", "k\n", "v\nw", "q", `"`, "e", "", "eq", "a=b", "nil", nil)
		}, `backstage info line\nbreak \x1b[31m k\n="v\nw" q="\"" e="" eq="a=b" nil=null`},
		{func(l *slog.Logger) {
			l.Info("x", "at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "f", make(chan int) == nil)
		}, `backstage info x at=2026-01-02T03:04:05Z f=false`},
		{func(l *slog.Logger) { l.Info(`a "quoted" one`) }, `backstage info a "quoted" one`},
	}
	for _, test := range tests {
		test.log(root.Logger)
		at, got, _ := strings.Cut(out.take(), " ")
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			t.Error(err)
		}
		if got != test.want+"\n" {
			t.Errorf("got  %q\nwant %q", got, test.want+"\n")
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	const overrides = `
backend:
  logger:
    level: warn
    overrides:
      - {matchers: {plugin: catalog, message: '/^IMPORTANT/i'}, level: debug}
      - {matchers: {plugin: [catalog, '/^search/']}, level: error}
      - {matchers: {status: 500}, level: info}
      - {matchers: {quiet: true}, level: error}
      - {matchers: {level: info, kind: special}, level: debug}
`
	tests := []struct {
		yaml, env, plugin string
		level             slog.Level
		message           string
		attrs             []any
		want              bool
	}{
		{level: slog.LevelInfo, want: true},
		{level: slog.LevelDebug},
		{yaml: "backend: {logger: {level: debug}}", level: slog.LevelDebug, want: true},
		{yaml: "backend: {logger: {level: debug}}", env: "error", level: slog.LevelWarn},
		{env: "silly", level: slog.LevelDebug, want: true},
		{env: "verbose", level: slog.LevelDebug},
		{yaml: overrides, level: slog.LevelWarn, want: true},
		{yaml: overrides, level: slog.LevelInfo},
		{yaml: overrides, plugin: "catalog", level: slog.LevelWarn},
		{yaml: overrides, plugin: "catalog", level: slog.LevelError, want: true},
		{yaml: overrides, plugin: "catalog", level: slog.LevelDebug, message: "important thing", want: true},
		{yaml: overrides, plugin: "search-x", level: slog.LevelWarn},
		{yaml: overrides, plugin: "my-search", level: slog.LevelWarn, want: true},
		{yaml: overrides, level: slog.LevelInfo, attrs: []any{"status", 500}, want: true},
		{yaml: overrides, level: slog.LevelInfo, attrs: []any{"status", uint8(200)}},
		{yaml: overrides, level: slog.LevelWarn, attrs: []any{"quiet", true}},
		{yaml: overrides, level: slog.LevelWarn, attrs: []any{slog.Group("g", "quiet", true)}, want: true},
		{yaml: overrides, level: slog.LevelInfo, attrs: []any{"kind", "special"}, want: true},
		{yaml: overrides, level: slog.LevelDebug, attrs: []any{"kind", "special"}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			t.Parallel()
			cfg, _ := loaded(t, test.yaml)
			// It makes no difference whether the logger has the attributes or the record.
			for _, with := range []bool{false, true} {
				var out buffer
				root, err := logger.New(cfg, logger.Options{Writer: &out, Getenv: func(name string) string {
					if name == "LOG_LEVEL" {
						return test.env
					}
					return ""
				}})
				if err != nil {
					t.Fatal(err)
				}
				log := logger.ForPlugin(root, plugin.Metadata{ID: test.plugin})
				if with {
					log.With(test.attrs...).Log(t.Context(), test.level, test.message)
				} else {
					log.Log(t.Context(), test.level, test.message, test.attrs...)
				}
				if got := out.take() != ""; got != test.want {
					t.Errorf("with the logger's attributes (%t), it is logged: %t", with, got)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"backend: {logger: {level: loud}}":                                               "backend.logger.level (app-config.yaml:1:27): must be one of debug, info, warn, error",
		"backend: {logger: {lvel: info}}":                                                `backend.logger.lvel (app-config.yaml:1:26): is not a known key; did you mean "level"?`,
		"backend: {logger: {overrides: [{level: info}]}}":                                "backend.logger.overrides[0].matchers (app-config.yaml:1:32): is required",
		"backend: {logger: {overrides: [{level: info, matchers: {plugin: '/(?=x)/'}}]}}": "backend.logger.overrides[0].matchers.plugin (app-config.yaml:1:65): is not a regular expression that Go knows",
	} {
		path := filepath.Join(t.TempDir(), "app-config.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(t.Context(), config.Options{Dir: filepath.Dir(path)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := logger.New(cfg, logger.Options{Getenv: noEnv}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", yaml, err, want)
		}
	}
	_, err := logger.New(config.Static(nil), logger.Options{Getenv: func(string) string { return "loud" }})
	if err == nil || !strings.Contains(err.Error(), "LOG_LEVEL") {
		t.Errorf("got %v", err)
	}
}

type valuer struct{ s string }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", v.s)) }

type text struct{ s string }

func (t text) MarshalText() ([]byte, error) { return []byte(t.s), nil }

type unmarshalable struct {
	F func() `json:"f"`
	S string
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	cfg, _ := loaded(t, "secrets: [s3cret, s3cret-longer, 'with \"quotes\" and <\n', 'p@ss/w?rd', x, 12345678, '  padded  ']\n")
	type nested struct {
		Name string
		Deep []map[string]any
	}
	values := map[string]any{
		"string":   "a s3cret b",
		"longer":   "s3cret-longer",
		"error":    fmt.Errorf("dial: %w", errors.New("password s3cret refused")),
		"quoted":   fmt.Errorf("parse %q", "with \"quotes\" and <\n"),
		"url":      "https://u:p%40ss%2Fw%3Frd@h/?q=p%40ss%2Fw%3Frd",
		"nested":   nested{Name: "s3cret", Deep: []map[string]any{{"a": "s3cret", "s3cret": 1}}},
		"pointer":  &nested{Deep: []map[string]any{{"a": []string{"x s3cret"}}}},
		"valuer":   valuer{"s3cret"},
		"text":     text{"s3cret"},
		"number":   12345678,
		"numbers":  []int{12345678},
		"bytes":    json.RawMessage(`{"a":"s3cret"}`),
		"channel":  unmarshalable{S: "s3cret"},
		"group":    slog.GroupValue(slog.Any("e", errors.New("s3cret"))),
		"padded":   "padded",
		"stringer": fmt.Sprintf("%v", struct{ P string }{"s3cret"}),
	}
	for _, format := range []logger.Format{logger.FormatJSON, logger.FormatText} {
		var out buffer
		root := newLogger(t, cfg, &out, format)
		for name, v := range values {
			for _, log := range []func(){
				func() { root.Info("m", name, v) },
				func() { root.With(name, v).Info("m") },
				func() { root.WithGroup("g").With(slog.Group("h", name, v)).Info("m") },
			} {
				log()
				got := out.take()
				for _, secret := range []string{"s3cret", "longer", "quotes", "ss/w", "ss%2Fw", "12345678", "padded"} {
					if strings.Contains(strings.ReplaceAll(got, `"`+name+`"`, ""), secret) && !strings.Contains(got, name+"=***") {
						t.Errorf("%s: %s", name, got)
					}
				}
				if !strings.Contains(got, "***") {
					t.Errorf("%s: nothing was replaced in %s", name, got)
				}
			}
		}
		root.Info("the s3cret message, exactly")
		if got := out.take(); !strings.Contains(got, "the *** message, exactly") {
			t.Errorf("got %s", got)
		}
	}
}

func TestRecordsTellTheirTrace(t *testing.T) {
	t.Parallel()
	cfg, _ := loaded(t, "{}")
	var out buffer
	log := newLogger(t, cfg, &out, logger.FormatJSON)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	log.InfoContext(trace.ContextWithSpanContext(t.Context(), span), "hello", "a", 1)
	if got := out.take(); !strings.Contains(got, `"a":1,"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"`) {
		t.Errorf("got %s", got)
	}
	log.InfoContext(t.Context(), "hello")
	if got := out.take(); strings.Contains(got, "trace_id") {
		t.Errorf("outside of a trace: %s", got)
	}
}

func TestFollowsTheConfiguration(t *testing.T) {
	t.Parallel()
	var out buffer
	cfg, path := loaded(t, "backend: {logger: {level: info}}\n")
	root := newLogger(t, cfg, &out, logger.FormatJSON)
	log := logger.ForPlugin(root, plugin.Metadata{ID: "a"}).With("token", "s3cret")
	reload := func(yaml string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cfg.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	log.Debug("quiet")
	log.Info("open")
	if got := out.take(); strings.Contains(got, "quiet") || !strings.Contains(got, "s3cret") {
		t.Errorf("got %s", got)
	}
	reload("secrets: [s3cret]\nbackend: {logger: {overrides: [{matchers: {plugin: a}, level: debug}]}}\n")
	log.Debug("now")
	if got := out.take(); !strings.Contains(got, "now") || strings.Contains(got, "s3cret") {
		t.Errorf("got %s", got)
	}
	reload("secrets: [other]\nbackend: {logger: {overrides: [{matchers: {plugin: '/(/'}, level: error}]}}\n")
	if got := out.take(); !strings.Contains(got, "has no effect") || !strings.Contains(got, "overrides[0].matchers.plugin") {
		t.Errorf("got %s", got)
	}
	log.Debug("still, without other and s3cret")
	if got := out.take(); !strings.Contains(got, "still, without *** and ***") {
		t.Errorf("got %s", got)
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	services := logger.Services()
	if len(services) != 2 || services[0].Scope() != service.ScopeRoot || services[1].Scope() != service.ScopePlugin {
		t.Errorf("got %v", services)
	}
}

func TestSlog(t *testing.T) {
	cfg := config.Static(map[string]any{"backend": map[string]any{"logger": map[string]any{"level": "debug"}}})
	secret, _ := loaded(t, "secrets: [s3cret]\n")
	for name, cfg := range map[string]service.Config{"plain": cfg, "redacting": secret} {
		t.Run(name, func(t *testing.T) {
			var out *buffer
			slogtest.Run(t, func(t *testing.T) slog.Handler {
				out = &buffer{}
				return newLogger(t, cfg, out, logger.FormatJSON).Handler()
			}, func(t *testing.T) map[string]any {
				var got map[string]any
				if err := json.Unmarshal([]byte(out.take()), &got); err != nil {
					t.Fatal(err)
				}
				for theirs, ours := range map[string]string{slog.TimeKey: "timestamp", slog.MessageKey: "message"} {
					if v, there := got[ours]; there {
						got[theirs] = v
					}
				}
				return got
			})
		})
	}
}

func BenchmarkInfo(b *testing.B) {
	plain, _ := loaded(b, "a: 1\n")
	secrets, _ := loaded(b, "secrets: [s3cret-number-one, s3cret-number-two, s3cret-number-three, another-very-long-secret-of-fifty-characters]\n")
	overrides, _ := loaded(b, "backend: {logger: {overrides: [{matchers: {plugin: search}, level: debug}, {matchers: {plugin: catalog, message: /x/}, level: error}]}}\n")
	options := &slog.HandlerOptions{}
	loggers := map[string]*slog.Logger{
		"slog":      slog.New(slog.NewJSONHandler(io.Discard, options)).With("service", "backstage", "plugin", "catalog"),
		"json":      logger.ForPlugin(newLogger(b, plain, io.Discard, logger.FormatJSON), plugin.Metadata{ID: "catalog"}),
		"secrets":   logger.ForPlugin(newLogger(b, secrets, io.Discard, logger.FormatJSON), plugin.Metadata{ID: "catalog"}),
		"overrides": logger.ForPlugin(newLogger(b, overrides, io.Discard, logger.FormatJSON), plugin.Metadata{ID: "catalog"}),
		"text":      logger.ForPlugin(newLogger(b, plain, io.Discard, logger.FormatText), plugin.Metadata{ID: "catalog"}),
	}
	for _, name := range []string{"slog", "json", "overrides", "secrets", "text"} {
		log := loggers[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.Info("Processed an entity", "entity", "component:default/petstore", "took", 1500*time.Microsecond, "status", 200)
			}
		})
		b.Run(name+"/off", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.Debug("Processed an entity", "entity", "component:default/petstore", "status", 200)
			}
		})
	}
}
