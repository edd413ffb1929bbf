package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/internal/remote"
	"github.com/portico-dev/portico/service/auth/keys"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/httpclient"
)

// authority is what the plugins of a backend share: whom to believe, and how to find out.
type authority struct {
	settings  settings
	external  []*access
	verifier  verifier
	discovery service.Discovery
	clock     clockwork.Clock
	static    *keys.Static // nil unless plugins' keys are in files
	databases *database.Manager
	stored    bool // there is a database that outlives the process

	lifetime context.Context
	end      context.CancelFunc
	mu       sync.Mutex // guards the beginning of openings against the end
	openings sync.WaitGroup
}

type authorityDeps struct {
	fx.In

	Config    service.Config
	Discovery service.Discovery
	Clock     clockwork.Clock
	Databases *database.Manager
	Transport *httpclient.Transport
	Logger    service.RootLogger
	Lifecycle fx.Lifecycle
}

func newAuthority(d authorityDeps) (*authority, error) {
	s, err := readSettings(d.Config)
	if err != nil {
		return nil, err
	}
	log := d.Logger.With("service", "auth")
	if len(s.Keys) > 0 {
		log.Warn("The configuration key backend.auth.keys is deprecated; use backend.auth.externalAccess with type legacy")
	}
	a := &authority{settings: s, discovery: d.Discovery, clock: d.Clock, databases: d.Databases, stored: d.Config.Has("backend.database")}
	if s.PluginKeyStore.Type == typeStatic {
		if a.static, err = keys.NewStatic(s.PluginKeyStore.Static.Keys); err != nil {
			return nil, fmt.Errorf("auth: configuration key %s.pluginKeyStore.static.keys: %w", settingsKey, err)
		}
	}
	a.verifier, err = newVerifier(remote.New(d.Transport, d.Clock, log))
	if err != nil {
		return nil, err
	}
	if a.external, err = s.access(a.verifier); err != nil {
		return nil, err
	}
	a.lifetime, a.end = context.WithCancel(context.Background())
	d.Lifecycle.Append(fx.Hook{OnStop: func(context.Context) error {
		a.mu.Lock()
		a.end()
		a.mu.Unlock()
		a.verifier.keys.Close()
		a.openings.Wait()
		return nil
	}})
	return a, nil
}

// keySource is where a plugin has its own keys from.
func (a *authority) keySource(pluginID string, log *slog.Logger) (keySource, error) {
	if a.static != nil {
		return a.static, nil
	}
	var store keys.Store = &keys.Memory{}
	if a.stored {
		store = keys.NewDatabase((&opener{authority: a, pluginID: pluginID, log: log}).open, log)
	}
	return keys.NewRotating(keys.RotatingSettings{Lifetime: tokenLifetime}, store, a.clock, log)
}

// opener opens the database of a plugin when it is first needed for keys: a plugin that has no use for either has none.
type opener struct {
	authority *authority
	pluginID  string
	log       *slog.Logger

	mu      sync.Mutex
	current *opening
}

type opening struct {
	done chan struct{}
	db   *bun.DB
	err  error
}

// open returns the database. Opening goes on when ctx ends: the database belongs to the plugin, not to a request.
func (o *opener) open(ctx context.Context) (*bun.DB, error) {
	current, err := o.begin()
	if err != nil {
		return nil, err
	}
	select {
	case <-current.done:
		return current.db, current.err
	case <-ctx.Done():
		return nil, fmt.Errorf("opening the database for keys: %w", ctx.Err())
	}
}

// begin returns the opening that is under way or has succeeded, or a new one.
func (o *opener) begin() (*opening, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != nil {
		select {
		case <-o.current.done:
			if o.current.err == nil {
				return o.current, nil
			}
		default:
			return o.current, nil
		}
	}
	a := o.authority
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lifetime.Err() != nil {
		return nil, errors.New("opening the database for keys: the backend has stopped")
	}
	current := &opening{done: make(chan struct{})}
	o.current = current
	a.openings.Go(func() {
		defer close(current.done)
		current.db, current.err = o.openAndMigrate(a.lifetime)
	})
	return current, nil
}

func (o *opener) openAndMigrate(ctx context.Context) (*bun.DB, error) {
	db, err := o.authority.databases.Open(ctx, o.pluginID)
	if err != nil || o.authority.databases.SkipMigrations(o.pluginID) {
		return db, err
	}
	return db, database.Migrate(ctx, db, o.pluginID+"/auth-keys", keys.Migrations, o.log)
}
