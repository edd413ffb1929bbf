package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/eko/gocache/lib/v4/cache"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
)

const defaultMaxBytes = 64 << 20

// Manager makes the caches of plugins as backend.cache says. They share one store, and one connection pool to its server. Safe for
// concurrent use.
type Manager struct {
	backing    backing
	namespace  func(pluginID string) string
	defaultTTL time.Duration
	outage     *outage
	observer   *observer // nil if nobody wants to know
}

// settings is backend.cache.
type settings struct {
	Store      string
	Connection any
	DefaultTTL any `config:"defaultTtl"`
	Memory     struct {
		MaxBytes int64
	}
	Redis struct {
		Client struct {
			Namespace          string
			KeyPrefixSeparator string
			ClearBatchSize     int64
			UseUnlink          *bool
		}
		Cluster clusterSettings
	}
	Valkey struct {
		Client struct {
			KeyPrefix string
		}
		Cluster clusterSettings
	}
}

type clusterSettings struct {
	RootNodes              []any
	Defaults               map[string]any
	UseReplicas            bool
	MaxCommandRedirections int
}

// NewManager reads the configuration and checks it. It connects to the server when a cache is first used. What it opened is closed when
// the lifecycle stops.
func NewManager(config service.Config, log service.RootLogger, lifecycle fx.Lifecycle) (*Manager, error) {
	var s settings
	if err := config.Decode("backend.cache", &s); err != nil {
		return nil, err
	}
	ttl, err := defaultTTL(config, s)
	if err != nil {
		return nil, err
	}
	m := &Manager{defaultTTL: ttl, outage: newOutage(log.Logger, s.Store)}
	switch s.Store {
	case "", "memory":
		if s.Memory.MaxBytes == 0 {
			s.Memory.MaxBytes = defaultMaxBytes
		}
		if s.Memory.MaxBytes < 0 {
			return nil, errors.New("backend.cache.memory.maxBytes: must be more than zero")
		}
		m.namespace = func(id string) string { return id + ":" }
		m.backing = newMemory(s.Memory.MaxBytes)
	case "redis":
		separator := s.Redis.Client.KeyPrefixSeparator
		if separator == "" {
			separator = ":"
		}
		prefix := ""
		if s.Redis.Client.Namespace != "" {
			prefix = s.Redis.Client.Namespace + separator
		}
		m.namespace = func(id string) string { return prefix + id + separator }
		m.backing, err = newRedis(s)
	case "valkey":
		m.namespace = func(id string) string { return s.Valkey.Client.KeyPrefix + id + ":" }
		m.backing, err = newRedis(s)
	case "memcache":
		m.namespace = func(id string) string { return id + ":" }
		m.backing, err = newMemcached(s)
	case "infinispan":
		err = errors.New("backend.cache.store: infinispan is not supported; its server also speaks the protocol of Redis: use the store " +
			"redis with its RESP endpoint, or another store (memory, redis, valkey, memcache)")
	default:
		err = fmt.Errorf("backend.cache.store: %q is not supported; use memory, redis, valkey or memcache", s.Store)
	}
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.Hook{OnStop: func(context.Context) error {
		if err := m.backing.close(); err != nil {
			return fmt.Errorf("closing the cache: %w", err)
		}
		return nil
	}})
	return m, nil
}

// Cache is the cache of a plugin.
func (m *Manager) Cache(pluginID string) service.Cache {
	own := &pluginStore{
		backing:    m.backing,
		namespace:  m.namespace(pluginID),
		defaultTTL: m.defaultTTL,
		outage:     m.outage,
	}
	if m.observer != nil {
		return cache.New[[]byte](m.observer.store(own, pluginID))
	}
	return cache.New[[]byte](own)
}

// defaultTTL is the configured time to live, or zero. Unlike other durations, it is in milliseconds if it is a number.
func defaultTTL(config service.Config, s settings) (time.Duration, error) {
	var ms float64
	switch v := s.DefaultTTL.(type) {
	case nil:
		return 0, nil
	case int:
		ms = float64(v)
	case int64:
		ms = float64(v)
	case uint64:
		ms = float64(v)
	case float64:
		ms = v
	default:
		var ttl time.Duration
		if err := config.Decode("backend.cache.defaultTtl", &ttl); err != nil {
			return 0, err
		}
		ms = float64(ttl) / float64(time.Millisecond)
	}
	if !(ms > 0) || ms > math.MaxInt64/float64(time.Millisecond) {
		return 0, errors.New("backend.cache.defaultTtl: must be more than zero")
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}

// connectionURL is backend.cache.connection, which is a string, or an object with the url and settings that go with it.
func connectionURL(value any) (url string, settings map[string]any, err error) {
	switch v := value.(type) {
	case string:
		url = v
	case map[string]any:
		url, _ = v["url"].(string)
		settings = v
	}
	if strings.TrimSpace(url) == "" {
		return "", nil, errors.New("backend.cache.connection: must be a URL like redis://user:password@host:port, or an object with a url")
	}
	return url, settings, nil
}
