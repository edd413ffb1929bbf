package logger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// Format is how records are written.
type Format string

// The formats.
const (
	// FormatAuto is FormatText on a terminal, FormatJSON otherwise.
	FormatAuto Format = ""
	// FormatJSON is a JSON object on a line.
	FormatJSON Format = "json"
	// FormatText is a line for people: coloured on a terminal, unless the environment variable NO_COLOR is set.
	FormatText Format = "text"
)

// Options change how the root logger writes. The zero value is good for a backend.
type Options struct {
	// Writer is where records go, one line a call. The default is os.Stdout. It needn't be safe for concurrent use.
	Writer io.Writer
	// Format is how records are written.
	Format Format
	// Getenv looks up environment variables. The default is os.Getenv.
	Getenv func(string) string
}

// settings are the keys of the configuration below backend.logger.
type settings struct {
	Level     string           `config:"level" schema:"enum=debug|info|warn|error" doc:"The lowest level that is logged, info by default. The environment variable LOG_LEVEL has precedence."`
	Meta      map[string]any   `config:"meta" doc:"Attributes that every record has."`
	Overrides []overrideConfig `config:"overrides" doc:"Levels of records with certain attributes. The first that matches a record decides."`
}

type overrideConfig struct {
	Matchers map[string]patterns `config:"matchers" schema:"required" doc:"What attributes must be: a value, a /regular expression/, or an array of such, of which one must match."`
	Level    string              `config:"level" schema:"required,enum=debug|info|warn|error" doc:"The lowest level that is logged of the records that match."`
}

// Services are the root logger and the loggers of the plugins.
func Services() []service.Service {
	return []service.Service{
		service.Root[service.RootLogger](func(cfg service.Config) (service.RootLogger, error) { return New(cfg, Options{}) },
			service.ConfigSchema(config.SchemaOf[settings]("backend.logger"))),
		service.PerPlugin[*slog.Logger](ForPlugin),
	}
}

// ForPlugin is the logger of a plugin: its records have the attribute plugin.
func ForPlugin(root service.RootLogger, meta plugin.Metadata) *slog.Logger {
	return root.With("plugin", meta.ID)
}

// New makes a root logger that follows the configuration. Secrets are those that cfg tells by a method Secrets() []string, if it has one.
// The error is about the level or the overrides. A change of the configuration that isn't valid is logged, and what held
// before goes on.
func New(cfg service.Config, options Options) (service.RootLogger, error) {
	if options.Writer == nil {
		options.Writer = os.Stdout
	}
	if options.Getenv == nil {
		options.Getenv = os.Getenv
	}
	first, err := newState(cfg, options, nil)
	if err != nil {
		return service.RootLogger{}, err
	}
	shared := &shared{}
	shared.state.Store(first)
	root := service.RootLogger{Logger: slog.New(&handler{shared: shared, sink: sink(options), view: new(atomic.Pointer[view])})}
	cfg.Subscribe(func() {
		former := shared.state.Load()
		next, err := newState(cfg, options, former.secrets)
		if err != nil {
			next.rules = former.rules
		}
		shared.state.Store(next)
		if err != nil {
			root.Error("The changed logger configuration has no effect", "error", err)
		}
	})
	return root, nil
}

// sink is the handler that writes, without any filtering.
func sink(options Options) slog.Handler {
	terminal := isTerminal(options.Writer)
	if options.Format == FormatText || options.Format == FormatAuto && terminal {
		return &text{out: options.Writer, mu: new(sync.Mutex), colour: terminal && options.Getenv("NO_COLOR") == ""}
	}
	return slog.NewJSONHandler(options.Writer, &slog.HandlerOptions{Level: lowest, ReplaceAttr: backstageKeys})
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// backstageKeys gives the attributes of slog the names and values that Backstage's logs have.
func backstageKeys(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String()) // a bare number doesn't tell its unit
	}
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		if a.Value.Kind() == slog.KindTime {
			return slog.String("timestamp", a.Value.Time().UTC().Format(timestamp))
		}
	case slog.MessageKey:
		a.Key = "message"
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String(slog.LevelKey, levelName(level))
		}
	}
	return a
}

const timestamp = "2006-01-02T15:04:05.000Z07:00"

// lowest is below all levels.
const lowest = slog.Level(-1 << 20)

func levelName(level slog.Level) string { return strings.ToLower(level.String()) }

// parseLevel reads a level by the names that Backstage's logger has. Of those, only four are ever logged.
func parseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "silly", "debug":
		return slog.LevelDebug, nil
	case "info", "http", "verbose":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is not a level: those are debug, info, warn and error", name)
}

// shared is what all loggers of a root logger share.
type shared struct{ state atomic.Pointer[state] }

// state is what the configuration says at one time. It doesn't change.
type state struct {
	rules
	// secrets are those of the present configuration and of all former ones, which may still be in use.
	secrets  []string
	redactor *redactor
}

// newState reads the configuration. With an error, the state has no rules but the secrets.
func newState(cfg service.Config, options Options, secrets []string) (*state, error) {
	s := &state{secrets: slices.Clone(secrets)}
	if c, ok := cfg.(interface{ Secrets() []string }); ok {
		s.secrets = append(s.secrets, c.Secrets()...)
		slices.Sort(s.secrets)
		s.secrets = slices.Compact(s.secrets)
	}
	s.redactor = newRedactor(s.secrets)
	values := settings{Level: "info"}
	if err := cfg.Decode("backend.logger", &values); err != nil {
		return s, err
	}
	var err error
	s.rules, err = newRules(values, options.Getenv("LOG_LEVEL"))
	return s, err
}

// handler filters and redacts.
type handler struct {
	*shared
	sink slog.Handler
	// parts are the groups and attributes that were added, in order.
	parts []part
	view  *atomic.Pointer[view]
}

// part is one call of WithAttrs or WithGroup.
type part struct {
	group string
	attrs []slog.Attr
}

// view is the handler under a state: what depends on nothing else.
type view struct {
	state *state
	sink  slog.Handler
	// decision is what the rules say by the attributes of the handler.
	decision decision
}

func (h *handler) current() *view {
	s := h.state.Load()
	if v := h.view.Load(); v != nil && v.state == s {
		return v
	}
	v := &view{state: s, sink: h.sink.WithAttrs(s.redactor.attrs(s.meta))}
	top := make([]slog.Attr, 0, 4)
	top = append(top, s.meta...)
	grouped := false
	for _, p := range h.parts {
		if p.group != "" {
			v.sink, grouped = v.sink.WithGroup(p.group), true
			continue
		}
		v.sink = v.sink.WithAttrs(s.redactor.attrs(p.attrs))
		if !grouped {
			top = append(top, p.attrs...)
		}
	}
	v.decision = s.decide(top, grouped)
	h.view.Store(v)
	return v
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.current().decision.lowest
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	v := h.current()
	if !v.decision.allows(r) {
		return nil
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return v.sink.Handle(ctx, v.state.redactor.record(r))
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.with(part{attrs: attrs})
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(part{group: name})
}

func (h *handler) with(p part) slog.Handler {
	return &handler{shared: h.shared, sink: h.sink, parts: append(h.parts[:len(h.parts):len(h.parts)], p), view: new(atomic.Pointer[view])}
}
