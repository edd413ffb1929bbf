package wiring_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	Clock    interface{ Now() time.Time }
	Store    struct{ owner string }
	Sources  interface{ AddSource(string) }
	Sinks    interface{ AddSink(string) }
	sources  struct{ names []string }
	circleA  struct{}
	circleB  struct{}
	client   struct{ of string }
	pluginDB struct{}
)

func (s *sources) AddSource(n string) { s.names = append(s.names, n) }
func (s *sources) AddSink(n string)   { s.names = append(s.names, n) }
func (*client) DefaultService() service.Service {
	return service.PerPlugin[*client](func(m plugin.Metadata) *client { return &client{of: m.ID} })
}

type needy struct{}

func (*needy) DefaultService() service.Service {
	return service.PerPlugin[*needy](func(Clock) *needy { return &needy{} })
}

var (
	sourcesPoint = extension.NewPoint[Sources]("todo.sources")
	sinksPoint   = extension.NewPoint[Sinks]("todo.sinks")
	newSources   = func() *sources { return &sources{} }
	nothing      = func() {}
)

// TestMistakes has a row for each mistake, with what its message must say.
func TestMistakes(t *testing.T) {
	t.Parallel()
	todo := func(o ...plugin.Option) plugin.Plugin { return plugin.New("todo", o...) }
	for name, c := range map[string]struct {
		features wiring.Features
		want     []string
	}{
		"a plugin added twice": {
			wiring.Features{Plugins: []plugin.Plugin{todo(), todo()}},
			[]string{"plugin todo is added more than once"},
		},
		"a module added twice": {
			wiring.Features{Plugins: []plugin.Plugin{todo()}, Modules: []plugin.Module{plugin.NewModule("todo", "a"), plugin.NewModule("todo", "a")}},
			[]string{"module todo/a is added more than once"},
		},
		"a module of an absent plugin": {
			wiring.Features{Plugins: []plugin.Plugin{todo()}, Modules: []plugin.Module{plugin.NewModule("tod", "a")}},
			[]string{"module tod/a extends plugin tod, which is not in this backend", `did you mean "todo"?`},
		},
		"an invalid id": {
			wiring.Features{Plugins: []plugin.Plugin{plugin.New("Todo!")}},
			[]string{`invalid id "Todo!"`, "lower-case letters"},
		},
		"an invalid id of a module": {
			wiring.Features{Plugins: []plugin.Plugin{todo()}, Modules: []plugin.Module{plugin.NewModule("todo", "Jira"), plugin.NewModule("todo", "jiraSync")}},
			[]string{`module todo/Jira has the invalid id "Jira"`, "beginning with a lower-case letter"},
		},
		"a missing service": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Init(func(Clock) {}))}},
			[]string{"plugin todo asks for wiring_test.Clock (wiring_test.TestMistakes", "no service has that type", "service.PerPlugin[wiring_test.Clock]"},
		},
		"a value where a pointer is meant": {
			wiring.Features{
				Services: []service.Service{service.Root[*Store](func() *Store { return nil })},
				Plugins:  []plugin.Plugin{todo(plugin.Init(func(Store) {}))},
			},
			[]string{"asks for wiring_test.Store", "ask for *wiring_test.Store"},
		},
		"a missing service in an fx.In struct": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Init(func(struct {
				fx.In
				C Clock
			}) {
			}))}},
			[]string{"plugin todo asks for wiring_test.Clock"},
		},
		"a foreign extension point": {
			wiring.Features{
				Plugins: []plugin.Plugin{todo(plugin.Provide(sourcesPoint, newSources)), plugin.New("other")},
				Modules: []plugin.Module{plugin.NewModule("other", "m", plugin.Init(func(Sources) {}))},
			},
			[]string{"module other/m asks for wiring_test.Sources", "extension point of plugin todo", "reaches only its own plugin's", "make it a module of plugin todo"},
		},
		"a plugin that asks for its own extension point": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Provide(sourcesPoint, newSources), plugin.Init(func(Sources) {}))}},
			[]string{"for its modules", "ask for *wiring_test.sources"},
		},
		"a service that asks for an extension point": {
			wiring.Features{
				Services: []service.Service{service.PerPlugin[*Store](func(Sources) *Store { return nil })},
				Plugins:  []plugin.Plugin{todo(plugin.Provide(sourcesPoint, newSources))},
			},
			[]string{"service *wiring_test.Store asks for wiring_test.Sources", "services can't ask for extension points"},
		},
		"an extension point of another plugin's name": {
			wiring.Features{Plugins: []plugin.Plugin{plugin.New("other", plugin.Provide(sourcesPoint, newSources))}},
			[]string{`the id "todo.sources"`, `"other.something"`},
		},
		"two implementations of one type": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Provide(sourcesPoint, newSources), plugin.Provide(sinksPoint, newSources))}},
			[]string{"provides *wiring_test.sources, as does extension point todo.sources"},
		},
		"a root service that asks for a plugin's": {
			wiring.Features{Services: []service.Service{
				service.Root[*Store](func(*pluginDB) *Store { return nil }),
				service.PerPlugin[*pluginDB](func() *pluginDB { return nil }),
			}},
			[]string{"service *wiring_test.Store asks for *wiring_test.pluginDB", "one of those for each plugin", "service.PerPlugin"},
		},
		"a root service that asks for the plugin": {
			wiring.Features{Services: []service.Service{service.Root[*Store](func(plugin.Metadata) *Store { return nil })}},
			[]string{"asks for plugin.Metadata", "one of those for each plugin"},
		},
		"a circle": {
			wiring.Features{Services: []service.Service{
				service.Root[*circleA](func(*circleB) *circleA { return nil }),
				service.Root[*circleB](func(*circleA) *circleB { return nil }),
			}},
			[]string{"service *wiring_test.circleA, at ", "needs service *wiring_test.circleB", "break the circle"},
		},
		"modules that wait for each other": {
			wiring.Features{Plugins: []plugin.Plugin{todo()}, Modules: []plugin.Module{
				plugin.NewModule("todo", "a", plugin.Provide(sourcesPoint, newSources), plugin.Init(func(Sinks) {})),
				plugin.NewModule("todo", "b", plugin.Provide(sinksPoint, func() Sinks { return &sources{} }), plugin.Init(func(Sources) {})),
			}},
			[]string{"module todo/a, module todo/b, module todo/a", "can't be ordered"},
		},
		"two replacements of one service": {
			wiring.Features{
				Defaults: []service.Service{service.Root[*Store](func() *Store { return nil })},
				Services: []service.Service{service.Root[*Store](func() *Store { return nil }), service.Root[*Store](func() *Store { return nil })},
			},
			[]string{"service *wiring_test.Store is added more than once", "wiring_test.go"},
		},
		"a replacement of another scope": {
			wiring.Features{
				Defaults: []service.Service{service.PerPlugin[*Store](func() *Store { return nil })},
				Services: []service.Service{service.Root[*Store](func() *Store { return nil })},
			},
			[]string{`has the scope "root"`, "service.PerPlugin"},
		},
		"a constructor that is no function": {
			wiring.Features{Services: []service.Service{service.Root[*Store](&Store{})}},
			[]string{"its constructor is a value of type *wiring_test.Store, not a function"},
		},
		"a constructor of something else": {
			wiring.Features{Services: []service.Service{service.Root[Clock](func() *Store { return nil })}},
			[]string{"returns *wiring_test.Store", "return wiring_test.Clock"},
		},
		"a constructor that returns too much": {
			wiring.Features{Services: []service.Service{service.Root[*Store](func() (*Store, int) { return nil, 0 })}},
			[]string{"returns 2 values"},
		},
		"a variadic constructor": {
			wiring.Features{Services: []service.Service{service.Root[*Store](func(...int) *Store { return nil })}},
			[]string{"is variadic"},
		},
		"an init that returns a value": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Init(func() int { return 1 }))}},
			[]string{"returns int", "return nothing or an error"},
		},
		"no init function": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Init(nil))}},
			[]string{"is nil, not a function"},
		},
		"a missing service of a type that brings its own": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Init(func(*needy) {}))}},
			[]string{"service *wiring_test.needy asks for wiring_test.Clock", "no service has that type"},
		},
		"a named dependency": {
			wiring.Features{Plugins: []plugin.Plugin{todo(plugin.Init(func(struct {
				fx.In
				S *Store `name:"main"`
			}) {
			}))}},
			[]string{"identified by their type alone"},
		},
		"a service that the backend provides": {
			wiring.Features{
				RootValues: []reflect.Type{reflect.TypeFor[context.Context]()},
				Services:   []service.Service{service.Root[context.Context](func() context.Context { return nil })},
			},
			[]string{"the backend itself provides context.Context"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.features.PluginValues = []reflect.Type{reflect.TypeFor[plugin.Metadata]()}
			_, err := wiring.NewPlan(c.features)
			var wrong *wiring.Error
			if !errors.As(err, &wrong) {
				t.Fatalf("error is %v, want a *wiring.Error", err)
			}
			if len(wrong.Problems) != 1 {
				t.Errorf("%d problems, want 1", len(wrong.Problems))
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := wiring.NewPlan(wiring.Features{
		Plugins: []plugin.Plugin{plugin.New("a", plugin.Init(func(Clock) {})), plugin.New("a"), plugin.New("B")},
		Modules: []plugin.Module{plugin.NewModule("c", "m")},
	})
	var wrong *wiring.Error
	if !errors.As(err, &wrong) || len(wrong.Problems) != 4 {
		t.Fatalf("got %v, want four problems", err)
	}
}

// run plans and runs the plugins of the features, one after the other, and returns what each step answered.
func run(t *testing.T, f wiring.Features) (outcomes []string) {
	t.Helper()
	f.PluginValues = append(f.PluginValues, reflect.TypeFor[plugin.Metadata]())
	plan, err := wiring.NewPlan(f)
	if err != nil {
		t.Fatal(err)
	}
	settings := wiring.Lifecycle{Owner: "the test", StopTimeout: time.Second}
	root, err := plan.Root(wiring.Values{}, settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pl := range plan.Plugins {
		values := wiring.Values{}
		wiring.Set(values, plugin.Metadata{ID: pl.ID()})
		c, err := plan.Plugin(pl, root, values, settings, func(module string, err error, _ time.Duration) {
			outcomes = append(outcomes, fmt.Sprintf("%s/%s: %v", pl.ID(), module, err))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	if err := root.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	return outcomes
}

func TestModulesRunBeforeThePluginAndUsersBeforeProviders(t *testing.T) {
	t.Parallel()
	var found []string
	run(t, wiring.Features{
		Plugins: []plugin.Plugin{plugin.New("todo", plugin.Provide(sourcesPoint, newSources), plugin.Init(func(s *sources) { found = append(found, s.names...) }))},
		Modules: []plugin.Module{
			plugin.NewModule("todo", "a-relay", plugin.Provide(sinksPoint, func() *relay { return &relay{} }), plugin.Init(func(r *relay, s Sources) {
				for _, n := range r.names {
					s.AddSource("relayed " + n)
				}
			})),
			plugin.NewModule("todo", "b-user", plugin.Init(func(s Sinks) { s.AddSink("b") })),
			plugin.NewModule("todo", "c-user", plugin.Init(func(s Sinks) { s.AddSink("c") })),
		},
	})
	if got := strings.Join(found, ", "); got != "relayed b, relayed c" {
		t.Errorf("the plugin found %q", got)
	}
}

type relay struct{ sinks }
type sinks struct{ names []string }

func (s *sinks) AddSink(n string) { s.names = append(s.names, n) }

func TestEachPluginHasItsOwnInstancesAndSharesTheRoots(t *testing.T) {
	t.Parallel()
	made := map[string]int{}
	var owners []string
	use := plugin.Init(func(s *Store, c *client, _ *circleA) { owners = append(owners, s.owner, c.of) })
	run(t, wiring.Features{
		Services: []service.Service{
			service.Root[*circleA](func() *circleA { made["root"]++; return &circleA{} }),
			service.Root[*circleB](func() *circleB { made["unused"]++; return &circleB{} }),
			service.PerPlugin[*Store](func(m plugin.Metadata, _ *circleA) *Store { made["store"]++; return &Store{owner: m.ID} }),
		},
		Plugins: []plugin.Plugin{plugin.New("b", use), plugin.New("a", use, use), plugin.New("c")},
	})
	if got := fmt.Sprint(owners); got != "[a a a a b b]" {
		t.Errorf("the plugins saw services of %s", got)
	}
	if got := fmt.Sprint(made); got != "map[root:1 store:2]" {
		t.Errorf("made %s", got)
	}
}

func TestAGroupHasAllMembers(t *testing.T) {
	t.Parallel()
	var names []string
	member := func(n string) func() *Store { return func() *Store { return &Store{owner: n} } }
	run(t, wiring.Features{
		Services: []service.Service{service.RootGroup[*Store](member("x")), service.RootGroup[*Store](member("y"))},
		Plugins: []plugin.Plugin{plugin.New("a", plugin.Init(func(all []*Store) {
			for _, s := range all {
				names = append(names, s.owner)
			}
		}))},
	})
	if got := fmt.Sprint(names); got != "[x y]" {
		t.Errorf("the group has %s", got)
	}
}

func TestAFailureIsChargedToWhoeverAsksForIt(t *testing.T) {
	t.Parallel()
	outcomes := run(t, wiring.Features{
		Services: []service.Service{
			service.PerPlugin[*Store](func() (*Store, error) { return nil, errors.New("disk full") }),
			service.PerPlugin[*circleA](func(*Store) *circleA { return &circleA{} }),
		},
		Plugins: []plugin.Plugin{plugin.New("todo", plugin.Init(nothing))},
		Modules: []plugin.Module{
			plugin.NewModule("todo", "bad", plugin.Init(func(*circleA) { t.Error("was called") })),
			plugin.NewModule("todo", "good", plugin.Init(nothing)),
			plugin.NewModule("todo", "panics", plugin.Init(func() { panic("oh no") })),
		},
	})
	want := []string{
		"todo/bad: service *wiring_test.Store: disk full",
		"todo/good: <nil>",
		"todo/panics: panic: oh no",
		"todo/: <nil>",
	}
	if got := strings.Join(outcomes, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("outcomes are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, hooks ...fx.Hook) *wiring.Container {
		t.Helper()
		plan, err := wiring.NewPlan(wiring.Features{PluginValues: []reflect.Type{reflect.TypeFor[fx.Lifecycle]()}, Plugins: []plugin.Plugin{plugin.New("a", plugin.Init(func(l fx.Lifecycle) {
			for _, h := range hooks {
				l.Append(h)
			}
		}))}})
		if err != nil {
			t.Fatal(err)
		}
		settings := wiring.Lifecycle{Owner: "plugin a", StopTimeout: 10 * time.Millisecond}
		root, err := plan.Root(wiring.Values{}, settings)
		if err != nil {
			t.Fatal(err)
		}
		c, err := plan.Plugin(plan.Plugins[0], root, wiring.Values{}, settings, func(string, error, time.Duration) {})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("a panic in a start-up hook names the plugin, and what was acquired is released once", func(t *testing.T) {
		t.Parallel()
		var released []string
		release := func(name string) func(context.Context) error {
			return func(context.Context) error { released = append(released, name); return nil }
		}
		c := start(t, fx.Hook{OnStop: release("before")},
			fx.Hook{OnStart: func(context.Context) error { panic("oh no") }, OnStop: release("never started")},
			fx.Hook{OnStop: release("after")})
		err := c.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "plugin a") || !strings.Contains(err.Error(), "panic: oh no") {
			t.Errorf("error is %v", err)
		}
		if err := c.Abandon(t.Context()); err != nil {
			t.Error(err)
		}
		if got := strings.Join(released, ", "); got != "before, after" {
			t.Errorf("released %s", got)
		}
	})
	t.Run("a shutdown hook that hangs, fails or panics doesn't keep others from running", func(t *testing.T) {
		t.Parallel()
		var ran []string
		block := make(chan struct{})
		defer close(block)
		c := start(t,
			fx.Hook{OnStop: func(context.Context) error { ran = append(ran, "first"); return nil }},
			fx.Hook{OnStop: func(context.Context) error { <-block; return nil }},
			fx.Hook{OnStop: func(context.Context) error { panic("oh no") }},
			fx.Hook{OnStop: func(context.Context) error { return errors.New("failed") }},
		)
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := c.Stop(context.WithoutCancel(t.Context()))
		for _, want := range []string{"was left behind", "panic: oh no", "failed", "plugin a"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error lacks %q: %v", want, err)
			}
		}
		if fmt.Sprint(ran) != "[first]" {
			t.Errorf("ran %v", ran)
		}
	})
}

// BenchmarkPlugins plans and makes 50 plugins that each take a logger.
func BenchmarkPlugins(b *testing.B) {
	features := wiring.Features{
		PluginValues: []reflect.Type{reflect.TypeFor[plugin.Metadata]()},
		Services:     []service.Service{service.PerPlugin[*slog.Logger](func(plugin.Metadata) *slog.Logger { return slog.New(slog.DiscardHandler) })},
	}
	for n := range 50 {
		features.Plugins = append(features.Plugins, plugin.New(fmt.Sprintf("p%d", n), plugin.Init(func(*slog.Logger) {})))
	}
	for b.Loop() {
		plan, err := wiring.NewPlan(features)
		if err != nil {
			b.Fatal(err)
		}
		root, err := plan.Root(wiring.Values{}, wiring.Lifecycle{})
		if err != nil {
			b.Fatal(err)
		}
		for _, pl := range plan.Plugins {
			values := wiring.Values{}
			wiring.Set(values, plugin.Metadata{ID: pl.ID()})
			if _, err := plan.Plugin(pl, root, values, wiring.Lifecycle{}, func(string, error, time.Duration) {}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
