package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/telemetry"
)

// Manager opens the databases of plugins as backend.database.* says. It opens nothing before a plugin asks for its database, and has
// plugins share what they can. Safe for concurrent use.
type Manager struct {
	settings  settings
	log       *slog.Logger
	providers telemetry.Providers

	mu      sync.Mutex
	closed  bool
	plugins map[string]*opening
	servers map[string]*probe
	down    map[string]bool // servers that were waited for in vain
	pools   map[string]*pgxpool.Pool
	closers []func(context.Context) error
}

// opening is a database that is open, or being opened.
type opening struct {
	done chan struct{}
	db   *bun.DB
	err  error
}

// probe is the finding whether a server can be reached. One is enough for all plugins with a database there, so that a server that is
// down is waited for, and logged, once.
type probe struct {
	done chan struct{}
	err  error
}

// NewManager reads the configuration and checks it, without connecting to anything. What the manager opens is closed when the
// lifecycle stops.
func NewManager(config service.Config, log service.RootLogger, lifecycle fx.Lifecycle) (*Manager, error) {
	s, err := decodeSettings(config)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		settings: s,
		log:      log.Logger,
		plugins:  map[string]*opening{},
		servers:  map[string]*probe{},
		down:     map[string]bool{},
		pools:    map[string]*pgxpool.Pool{},
	}
	lifecycle.Append(fx.Hook{OnStop: m.close})
	return m, nil
}

// SkipMigrations tells whether the configuration says that the plugin's migrations are not to be run
// (backend.database.skipMigrations, or that of the plugin).
func (m *Manager) SkipMigrations(pluginID string) bool { return m.settings.skipMigrations(pluginID) }

// Open opens the database of a plugin, which it creates if need be, and waits while the server can't be reached, until the configured
// deadline. Each call for one plugin returns the same database; it is closed by the manager. A call that fails is forgotten: a later one
// tries again, once, without waiting for a server that was waited for in vain.
func (m *Manager) Open(ctx context.Context, pluginID string) (*bun.DB, error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, fmt.Errorf("database of plugin %s: the backend has stopped", pluginID)
	}
	o, found := m.plugins[pluginID]
	if !found {
		o = &opening{done: make(chan struct{})}
		m.plugins[pluginID] = o
	}
	m.mu.Unlock()

	if !found {
		o.db, o.err = m.open(ctx, pluginID)
		if o.err != nil {
			o.err = fmt.Errorf("database of plugin %s: %w", pluginID, o.err)
			m.mu.Lock()
			delete(m.plugins, pluginID)
			m.mu.Unlock()
		}
		close(o.done)
	}
	select {
	case <-o.done:
		return o.db, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("database of plugin %s: %w", pluginID, ctx.Err())
	}
}

func (m *Manager) open(ctx context.Context, pluginID string) (*bun.DB, error) {
	t, err := m.settings.target(pluginID)
	if err != nil {
		return nil, err
	}
	if len(t.unsupported) > 0 {
		m.log.WarnContext(ctx, "ignoring connection settings that are not supported", "plugin", pluginID, "key", t.key,
			"settings", t.unsupported)
	}
	switch t.client {
	case clientPostgres:
		return m.openPostgres(ctx, t)
	case clientMySQL:
		return m.openMySQL(ctx, t)
	default:
		return m.openSQLite(ctx, t)
	}
}

// reach waits until connect succeeds, once for each server. Errors that waiting won't mend, which connect marks as permanent, end it.
func (m *Manager) reach(ctx context.Context, server string, t target, connect func(context.Context) error) error {
	m.mu.Lock()
	p, found := m.servers[server]
	if !found {
		p = &probe{done: make(chan struct{})}
		m.servers[server] = p
	}
	wasDown := m.down[server]
	m.mu.Unlock()
	if found {
		select {
		case <-p.done:
			return p.err
		case <-ctx.Done():
			return fmt.Errorf("connecting to %s on %s: %w", t.client, t.server, ctx.Err())
		}
	}

	defer close(p.done)
	if wasDown {
		p.err = m.connectOnce(ctx, t, connect)
	} else {
		p.err = m.awaitServer(ctx, t, connect)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[server] = p.err != nil && ctx.Err() == nil
	if p.err != nil {
		delete(m.servers, server)
	}
	return p.err
}

// connectOnce looks whether a server is back.
func (m *Manager) connectOnce(ctx context.Context, t target, connect func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, m.settings.ConnectTimeout)
	defer cancel()
	err := connect(ctx)
	var permanent *backoff.PermanentError
	switch {
	case errors.As(err, &permanent):
		return refused(t, permanent)
	case err != nil:
		return fmt.Errorf("%s on %s still can't be reached: %w (is the server up? see %s)", t.client, t.server, err, t.key)
	}
	return nil
}

// awaitServer connects until it succeeds, or the configured time is over.
func (m *Manager) awaitServer(ctx context.Context, t target, connect func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, m.settings.ConnectTimeout)
	defer cancel()
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := connect(ctx)
		if err != nil && (last == nil || ctx.Err() == nil) {
			last = err
		}
		return struct{}{}, err
	},
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval: 100 * time.Millisecond, Multiplier: 1.6, RandomizationFactor: 0.2, MaxInterval: 3 * time.Second,
		}),
		backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			m.log.WarnContext(ctx, "database can't be reached, trying again", "client", t.client, "server", t.server,
				"wait", wait, "error", err)
		}))
	var permanent *backoff.PermanentError
	switch {
	case err == nil:
		return nil
	case errors.As(last, &permanent):
		return refused(t, permanent)
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("connecting to %s on %s: %w", t.client, t.server, ctx.Err())
	}
	return fmt.Errorf("%s on %s can't be reached, tried for %s: %w (is the server up? see %s)", t.client, t.server,
		m.settings.ConnectTimeout, last, t.key)
}

// refused is the error of a server that is up and doesn't let us in.
func refused(t target, err *backoff.PermanentError) error {
	return fmt.Errorf("%s on %s refused the connection: %w (see %s)", t.client, t.server, err.Err, t.key)
}

// onClose has the function called when the manager closes, or at once when it has already.
func (m *Manager) onClose(closer func(context.Context) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errors.Join(errors.New("the backend has stopped"), closer(context.Background()))
	}
	m.closers = append(m.closers, closer)
	return nil
}

func (m *Manager) close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	closers := m.closers
	m.closers = nil
	m.mu.Unlock()

	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i](ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing databases: %w", err)
	}
	return nil
}
