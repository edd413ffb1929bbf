package catalog_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
)

// outage is how long the database is gone.
const outage = 10 * time.Second

// TestDatabaseGone cuts the connections to the database for some time, while entities change all the time. The catalog answers what it knows
// meanwhile, goes on by itself, and has everything in the end that it said it had taken.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	config := backendtest.PostgreSQL(t)
	address, err := url.Parse(config["connection"].(string))
	if err != nil {
		t.Fatal(err)
	}
	wire := newCable(t, address.Host)
	address.Host = wire.Addr().String()
	query := address.Query()
	query.Set("sslmode", "disable")
	address.RawQuery = query.Encode()
	config["connection"] = address.String()
	one := &source{name: "one"}
	b := backendtest.Start(t, catalog.Plugin(), module(one), backendtest.Config(map[string]any{"backend": map[string]any{"database": config}}))
	c := b.As(t, "user:default/guest")
	l := &changing{t: t, source: one, c: c, taken: map[string]int{}}
	round := func() {
		b.Clock.Advance(time.Second) // what runs in the background tries again
		l.bring()
		if res := c.Get("/api/catalog/entities/by-query?limit=0"); res.StatusCode != http.StatusOK {
			t.Errorf("reading answers %d: the index has the entities", res.StatusCode)
		}
	}
	for range 2 * changingNames {
		round()
	}
	await(t, "some entities to be served", func() bool { return total(t, c) > 0 })
	wire.cut(true)
	refused := l.refused
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(outage); time.Now().Before(end); <-pace.C {
		round()
	}
	if l.refused == refused {
		t.Error("all mutations succeeded without a database")
	}
	wire.cut(false)
	taken := l.total
	await(t, "mutations to be taken again", func() bool {
		round()
		return l.total >= taken+2*changingNames
	})
	await(t, "everything that was taken to be served", func() bool {
		b.Clock.Advance(time.Second)
		return l.missing() == ""
	})
	t.Logf("%d mutations were taken, %d refused", l.total, l.refused)
}

// changingNames is the number of entities that change.
const changingNames = 20

// changing brings entities with ever new versions.
type changing struct {
	t      *testing.T
	source *source
	c      *backendtest.Client

	version, total, refused int
	taken                   map[string]int // by name: the last version that was taken for sure
}

func (l *changing) bring() {
	l.version++
	name := fmt.Sprint("changing-", l.version%changingNames)
	e := parse(l.t, component(name, fmt.Sprint("team-", l.version)))
	if err := l.source.conn.ApplyMutation(l.t.Context(), catalog.DeltaMutation([]catalogmodel.Entity{e}, nil)); err != nil {
		l.refused++
		return
	}
	l.taken[name] = l.version
	l.total++
}

// missing tells of an entity that isn't served as it was taken, or later: a mutation that seemed to fail may have been stored.
func (l *changing) missing() string {
	for name, version := range l.taken {
		if !exists(l.c, "component/default/"+name) {
			return name
		}
		spec, _ := entity(l.t, l.c, "component/default/"+name)["spec"].(map[string]any)
		owner, _ := spec["owner"].(string)
		if served, err := strconv.Atoi(strings.TrimPrefix(owner, "team-")); err != nil || served < version {
			return name
		}
	}
	return ""
}

// cable passes connections on to a server, until it is cut.
type cable struct {
	net.Listener
	mu      sync.Mutex
	broken  bool
	ends    map[net.Conn]bool
	running sync.WaitGroup
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "5432")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: listener, ends: map[net.Conn]bool{}}
	c.running.Go(func() {
		for {
			near, err := c.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				_ = near.Close()
				continue
			}
			c.join(near, far)
			c.join(far, near)
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		c.cut(true)
		c.running.Wait()
	})
	return c
}

func (c *cable) join(from, to net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[from] = true
	if c.broken {
		_ = from.Close()
	}
	c.running.Go(func() {
		_, _ = io.Copy(to, from)
		_ = from.Close()
		_ = to.Close()
	})
}

// cut cuts all connections, and those that are made until it is mended.
func (c *cable) cut(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = broken
	if broken {
		for end := range c.ends {
			_ = end.Close()
		}
		clear(c.ends)
	}
}

// TestClosedConnections has the server close the connections that the catalog keeps, as one does that are idle for long: the next mutation takes
// another one.
func TestClosedConnections(t *testing.T) {
	t.Parallel()
	kill := map[dialect.Name]string{
		dialect.PG:    "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
		dialect.MySQL: "SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
	}
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		one := &source{name: "one"}
		var db *bun.DB
		b := backendtest.Start(t, catalog.Plugin(), module(one), plugin.NewModule("catalog", "probe", plugin.Init(func(d *bun.DB) { db = d })), database)
		query, server := kill[db.Dialect().Name()]
		if !server {
			t.Skip("there is no server")
		}
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		for n := range 5 {
			one.full(t, named(t, fmt.Sprint("a", n)))
			var kills []string
			if err := conn.NewRaw(query).Scan(t.Context(), &kills); err != nil {
				t.Fatal(err)
			}
			for _, statement := range kills {
				if db.Dialect().Name() == dialect.MySQL {
					_, _ = conn.ExecContext(t.Context(), statement) // it may be gone already
				}
			}
		}
		one.full(t, named(t, "last"))
		settle(t, b, 1)
	})
}

func named(t *testing.T, name string) catalogmodel.Entity {
	t.Helper()
	e, err := catalogmodel.Component.New(name, catalogmodel.ComponentSpec{Type: "service", Lifecycle: "production", Owner: "team"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
