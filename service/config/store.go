package config

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	koanfmaps "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v4"

	"github.com/portico-dev/portico/service"
)

// Options say where the configuration comes from. The zero value stands for what a backend does without arguments.
type Options struct {
	// Targets are the files and URLs to read, those of the command line's --config. Without any, app-config.yaml and its companions
	// are looked for.
	Targets []string
	// Dir is where the files are looked for, and what relative targets are relative to. The default is the working directory.
	Dir string
	// Env are the environment variables, in the form of os.Environ, which is the default.
	Env []string
	// HTTPClient reads URLs. The default is http.DefaultClient; in any case a URL has 30 seconds to answer.
	HTTPClient *http.Client
	// Overrides is configuration that wins over everything else.
	Overrides map[string]any
	// Watch has the configuration reloaded when a file changes, or one of the URLs, which are read every PollInterval.
	Watch bool
	// PollInterval is the time between two readings of the URLs. The default is a minute.
	PollInterval time.Duration
	// OnReloadError is told why a reload had no effect, or that a subscriber panicked. The default does nothing.
	OnReloadError func(error)
}

// Store is a loaded configuration that may follow its sources. It implements service.Config. All methods are safe for concurrent use.
type Store struct {
	options Options
	// static is set if there is nothing to reload.
	static  bool
	current atomic.Pointer[snapshot]

	// reloading is held while another configuration takes effect, and while subscribers are told.
	reloading sync.Mutex
	schemas   []document

	mu          sync.Mutex
	subscribers []*subscriber

	stop    context.CancelFunc
	stopped chan struct{}
}

var _ service.Config = (*Store)(nil)

type subscriber struct {
	// running is held while changed runs.
	running  sync.Mutex
	changed  func()
	canceled bool
}

// snapshot is the configuration at one time. It doesn't change.
type snapshot struct {
	values   map[string]any
	origins  map[string]origin
	absent   map[string]absence
	warnings []Problem
	// checked is what the schemas say about it, or nil without schemas.
	checked *checked
}

// Load reads the configuration. The error is an [*Error] that tells all problems at once. The store must be closed if it watches.
func Load(ctx context.Context, options Options) (*Store, error) {
	if options.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("configuration: the working directory: %w", err)
		}
		options.Dir = dir
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("configuration: directory %s: %w", options.Dir, err)
	}
	options.Dir = dir
	if options.Env == nil {
		options.Env = os.Environ()
	}
	if options.HTTPClient == nil {
		options.HTTPClient = http.DefaultClient
	}
	if options.PollInterval <= 0 {
		options.PollInterval = time.Minute
	}
	if options.OnReloadError == nil {
		options.OnReloadError = func(error) {}
	}
	s := &Store{options: options}
	first, read, err := load(ctx, options)
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	if options.Watch {
		s.watch(read)
	}
	return s, nil
}

// Static is a configuration of the given values and nothing else, for tests and for programs that have no files. It panics if values
// holds something that can't be written as JSON.
func Static(values map[string]any) *Store {
	l := newLoader(Options{})
	snap := l.merge([]layer{l.staticLayer(values, "static configuration")})
	if err := joined(l.problems); err != nil {
		panic(err)
	}
	s := &Store{static: true}
	s.current.Store(snap)
	return s
}

func newLoader(options Options) *loader {
	l := &loader{options: options, env: map[string]string{}, read: map[string]stamp{}, parsed: map[string]*yaml.Node{},
		entered: map[*yaml.Node]bool{}}
	for _, variable := range options.Env {
		if name, value, ok := strings.Cut(variable, "="); ok {
			l.env[name] = value
		}
	}
	return l
}

// load reads everything. It also returns the local files that were read or looked for.
func load(ctx context.Context, options Options) (*snapshot, map[string]stamp, error) {
	l := newLoader(options)
	layers := l.layers(ctx)
	if err := joined(l.problems); err != nil {
		return nil, l.read, err
	}
	snap := l.merge(layers)
	return snap, l.read, joined(l.problems)
}

// merge lays the layers over each other: objects are merged, everything else is replaced.
func (l *loader) merge(layers []layer) *snapshot {
	k := koanf.New(".")
	snap := &snapshot{values: map[string]any{}, origins: map[string]origin{}, absent: map[string]absence{}, warnings: l.warnings}
	merge := koanf.WithMergeFunc(func(from, into map[string]any) error {
		koanfmaps.Merge(from, into)
		// This is the result, of which koanf otherwise gives only copies.
		snap.values = into
		return nil
	})
	for _, layer := range layers {
		if len(layer.values) > 0 {
			if err := k.Load(provider(layer.values), nil, merge); err != nil {
				l.problems = append(l.problems, Problem{Message: err.Error()})
			}
		}
		for pointer := range layer.origins {
			delete(snap.absent, pointer)
		}
		root, named := snap.origins[""]
		if len(snap.origins) == 0 {
			snap.origins = layer.origins
		} else {
			maps.Copy(snap.origins, layer.origins)
		}
		// What is missing altogether is missing in the first file.
		if !named {
			root = origin{file: layer.origins[""].file}
		}
		snap.origins[""] = root
		maps.Copy(snap.absent, layer.absent)
	}
	prune(snap.values)
	return snap
}

// provider gives values to koanf.
type provider map[string]any

func (p provider) Read() (map[string]any, error) { return p, nil }
func (p provider) ReadBytes() ([]byte, error)    { return nil, errors.ErrUnsupported }

// prune removes the keys whose value is null: they are absent.
func prune(object map[string]any) {
	for k, v := range object {
		switch v := v.(type) {
		case nil:
			delete(object, k)
		case map[string]any:
			prune(v)
		}
	}
}

// lookup finds the value at key.
func (s *snapshot) lookup(key string) (value any, pointer string, err error) {
	value = s.values
	if key == "" {
		return value, "", nil
	}
	for part := range strings.SplitSeq(key, ".") {
		if value == nil {
			pointer = child(pointer, part)
			continue
		}
		object, ok := value.(map[string]any)
		if !ok {
			at := s.origins[pointer]
			return nil, pointer, joined([]Problem{at.problem(pointer, "must be an object, is %s", describe(value))})
		}
		value, pointer = object[part], child(pointer, part)
	}
	return value, pointer, nil
}

// Has tells whether there is a value at key.
func (s *Store) Has(key string) bool {
	value, _, err := s.current.Load().lookup(key)
	return err == nil && value != nil
}

// Subscribe has changed called after the configuration has become another one, one call at a time, until cancel is called. When cancel
// returns, changed isn't running and won't run again; so changed must not call cancel itself. A panic of changed is reported to
// Options.OnReloadError.
func (s *Store) Subscribe(changed func()) (cancel func()) {
	sub := &subscriber{changed: changed}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, sub)
	return func() {
		s.mu.Lock()
		s.subscribers = slices.DeleteFunc(s.subscribers, func(other *subscriber) bool { return other == sub })
		s.mu.Unlock()
		sub.running.Lock()
		defer sub.running.Unlock()
		sub.canceled = true
	}
}

// Reload reads everything again. If that fails, or the schemas refuse the result, the former configuration stays in effect and the
// error says why. Otherwise subscribers have been told of a change when Reload returns.
func (s *Store) Reload(ctx context.Context) error {
	_, err := s.reload(ctx)
	return err
}

func (s *Store) reload(ctx context.Context) (map[string]stamp, error) {
	if s.static {
		return nil, nil
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next, read, err := load(ctx, s.options)
	if err != nil {
		return read, err
	}
	if s.schemas != nil {
		if next.checked, err = check(s.schemas, next); err != nil {
			return read, err
		}
	}
	former := s.current.Swap(next)
	if reflect.DeepEqual(former.values, next.values) {
		return read, nil
	}
	s.mu.Lock()
	subscribers := slices.Clone(s.subscribers)
	s.mu.Unlock()
	for _, sub := range subscribers {
		s.tell(sub)
	}
	return read, nil
}

func (s *Store) tell(sub *subscriber) {
	sub.running.Lock()
	defer sub.running.Unlock()
	if sub.canceled {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			s.options.OnReloadError(fmt.Errorf("configuration: a subscriber panicked: %v", r))
		}
	}()
	sub.changed()
}

// Warnings is what looks like a mistake but needn't be one: unknown keys, deprecated ones, includes of what isn't there. Keys are looked
// at when the configuration is validated.
func (s *Store) Warnings() []Problem {
	snap := s.current.Load()
	warnings := slices.Clone(snap.warnings)
	if snap.checked != nil {
		warnings = append(warnings, snap.checked.warnings...)
	}
	return sorted(warnings)
}

// Close ends the watching and waits until it has ended. The configuration can still be read.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
		<-s.stopped
	}
	return nil
}
