package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	redisstore "github.com/eko/gocache/store/redis/v4"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisBacking is gocache's store for Redis, which is made to return bytes and to clear only what is its own: the original empties
// the server.
type redisBacking struct {
	*redisstore.RedisStore
	client    redis.UniversalClient
	batch     int64
	useUnlink bool
}

func newRedis(s settings) (*redisBacking, error) {
	options, err := redisOptions(s)
	if err != nil {
		return nil, err
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = patience, patience, patience, patience
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = 1, 1
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewUniversalClient(options)

	b := &redisBacking{RedisStore: redisstore.NewRedis(client), client: client, batch: 1000, useUnlink: true}
	if s.Redis.Client.ClearBatchSize > 0 {
		b.batch = s.Redis.Client.ClearBatchSize
	}
	if s.Redis.Client.UseUnlink != nil {
		b.useUnlink = *s.Redis.Client.UseUnlink
	}
	return b, nil
}

// redisOptions reads the connection, or the cluster, from the configuration. Its errors don't show the connection: it may hold a
// password.
func redisOptions(s settings) (*redis.UniversalOptions, error) {
	key, cluster := "backend.cache.redis.cluster", s.Redis.Cluster
	if s.Store == "valkey" {
		key, cluster = "backend.cache.valkey.cluster", s.Valkey.Cluster
	}
	if len(cluster.RootNodes) > 0 {
		return clusterOptions(cluster, key)
	}
	text, settings, err := connectionURL(s.Connection)
	if err != nil {
		return nil, err
	}
	options, err := singleOptions(text, "backend.cache.connection")
	if err != nil {
		return nil, err
	}
	withLogin(options, settings)
	return options, nil
}

func singleOptions(text, key string) (*redis.UniversalOptions, error) {
	if rest, isValkey := strings.CutPrefix(text, "valkey"); isValkey { // valkey:// and valkeys:// stand for redis:// and rediss://
		text = "redis" + rest
	}
	parsed, err := redis.ParseURL(text)
	if err != nil {
		return nil, fmt.Errorf("%s: is not a URL like redis://user:password@host:port/0, or rediss:// for TLS (the value is not shown because "+
			"it may hold a password)", key)
	}
	return &redis.UniversalOptions{
		Addrs: []string{parsed.Addr}, DB: parsed.DB, Username: parsed.Username, Password: parsed.Password, TLSConfig: parsed.TLSConfig,
		Dialer: dialer(parsed.Network),
	}, nil
}

// dialer is needed for a server on a Unix socket, which the general options don't know.
func dialer(network string) func(context.Context, string, string) (net.Conn, error) {
	if network != "unix" {
		return nil
	}
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: patience}
		return d.DialContext(ctx, "unix", address)
	}
}

func clusterOptions(cluster clusterSettings, key string) (*redis.UniversalOptions, error) {
	options := &redis.UniversalOptions{IsClusterMode: true, MaxRedirects: cluster.MaxCommandRedirections}
	options.ReadOnly, options.RouteRandomly = cluster.UseReplicas, cluster.UseReplicas
	for i, node := range cluster.RootNodes {
		where := fmt.Sprintf("%s.rootNodes[%d]", key, i)
		object, _ := node.(map[string]any)
		if host, ok := object["host"].(string); ok {
			port := "6379"
			if object["port"] != nil {
				port = fmt.Sprint(object["port"])
			}
			options.Addrs = append(options.Addrs, net.JoinHostPort(host, port))
			continue
		}
		text, ok := node.(string)
		if !ok {
			text, ok = object["url"].(string)
		}
		if !ok {
			return nil, fmt.Errorf("%s: must have a url, or a host and port", where)
		}
		single, err := singleOptions(text, where)
		if err != nil {
			return nil, err
		}
		options.Addrs = append(options.Addrs, single.Addrs...)
		options.Username, options.Password, options.TLSConfig = single.Username, single.Password, single.TLSConfig
	}
	withLogin(options, cluster.Defaults)
	return options, nil
}

// withLogin takes over the settings username, password and socket.tls, as the client of Backstage names them.
func withLogin(options *redis.UniversalOptions, settings map[string]any) {
	if name, ok := settings["username"].(string); ok {
		options.Username = name
	}
	if password, ok := settings["password"].(string); ok {
		options.Password = password
	}
	socket, _ := settings["socket"].(map[string]any)
	if on, _ := socket["tls"].(bool); on && options.TLSConfig == nil {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
}

func (b *redisBacking) Get(ctx context.Context, key any) (any, error) {
	value, err := b.RedisStore.Get(ctx, key)
	return asBytes(value), err
}

func (b *redisBacking) GetWithTTL(ctx context.Context, key any) (any, time.Duration, error) {
	value, ttl, err := b.RedisStore.GetWithTTL(ctx, key)
	return asBytes(value), max(ttl, 0), err
}

func asBytes(value any) []byte {
	text, _ := value.(string)
	return []byte(text)
}

func (b *redisBacking) key(_ context.Context, namespace, key string) (string, error) {
	return namespace + key, nil
}

func (b *redisBacking) clear(ctx context.Context, namespace string) error {
	patterns := []string{escapeGlob(namespace) + "*", escapeGlob(fmt.Sprintf(redisstore.RedisTagPattern, namespace)) + "*"}
	clearNode := func(ctx context.Context, node redis.UniversalClient) error {
		for _, pattern := range patterns {
			if err := b.clearPattern(ctx, node, pattern); err != nil {
				return err
			}
		}
		return nil
	}
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return clearNode(ctx, node) })
	}
	return clearNode(ctx, b.client)
}

func (b *redisBacking) clearPattern(ctx context.Context, node redis.UniversalClient, pattern string) error {
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, pattern, b.batch).Result()
		if err != nil {
			return err
		}
		// One command for each key: those of a cluster's node may be in different slots.
		_, err = node.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, key := range keys {
				if b.useUnlink {
					pipe.Unlink(ctx, key)
				} else {
					pipe.Del(ctx, key)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

func (b *redisBacking) close() error {
	if err := b.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
