// Package replicas_test has real processes share a catalog, and kills them.
package replicas_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// The environment of replicas, which are processes of this test's program, and of the test.
const (
	replicaVariable  = "PORTICO_TEST_REPLICA"       // the name of a replica; "last" brings no entities
	databaseVariable = "PORTICO_TEST_DATABASE"      // backend.database as JSON
	durationVariable = "PORTICO_TEST_KILL_DURATION" // how long replicas are killed; a minute or more finds more than the default
)

const (
	interval = 2 * time.Second
	// lease is the time after which the work of a replica that was killed is done by another: entities are due again then.
	lease = interval * 3 / 2
	// steady is the number of entities that never change.
	steady = 40
	last   = "last"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(replicaVariable); name != "" {
		if err := runReplica(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runReplica is the program of a replica: a portal that works until its standard input ends.
func runReplica(name string) error {
	var section map[string]any
	if err := json.Unmarshal([]byte(os.Getenv(databaseVariable)), &section); err != nil {
		return err
	}
	b := backend.New(backend.Options{Config: config.Options{Dir: os.TempDir(), Overrides: map[string]any{
		"backend": map[string]any{
			"listen":   map[string]any{"host": "127.0.0.1", "port": 0},
			"database": section,
			"auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true, "externalAccess": []any{
				map[string]any{"type": "static", "options": map[string]any{"token": staticToken, "subject": "test"}}}},
			"logger": map[string]any{"level": "warn"},
		},
		"catalog": map[string]any{"processingInterval": interval.String()},
	}}})
	b.Add(catalog.Plugin(), plugin.NewModule("catalog", "load", plugin.Init(
		func(providers catalog.EntityProviders, processing catalog.Processing, db *bun.DB, lifecycle fx.Lifecycle, log *slog.Logger) {
			l := &load{name: name, db: db, log: log}
			providers.AddEntityProvider(l)
			processing.AddProcessor(l)
			lifecycle.Append(fx.StartStopHook(l.start, l.stop))
		})))
	if err := b.Start(context.Background()); err != nil {
		return err
	}
	fmt.Println("ready", b.URL())
	_, err := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, b.Stop(context.Background()))
}

// load brings entities that change all the time, and writes down which were processed.
type load struct {
	name string
	db   *bun.DB
	log  *slog.Logger
	conn catalog.EntityProviderConnection

	cancel context.CancelFunc
	done   chan struct{}
}

func (*load) Name() string { return "load" }

func (l *load) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	l.conn = conn
	return nil
}

// PreProcess implements processor.PreProcessor.
func (l *load) PreProcess(ctx context.Context, e catalogmodel.Entity, _ processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	_, err := l.db.ExecContext(ctx, "INSERT INTO runs (ref, replica, at) VALUES (?, ?, "+milliseconds+")", e.Ref().String(), l.name)
	return e, err
}

// milliseconds is the time by PostgreSQL's clock.
const milliseconds = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"

func (l *load) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go func() {
		defer close(l.done)
		for n := 0; ctx.Err() == nil && l.name != last; n++ {
			if err := l.bring(ctx, n); err != nil && ctx.Err() == nil {
				l.log.Error("bringing entities", "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
}

func (l *load) stop() {
	l.cancel()
	<-l.done
}

// gone is the version of an entity that is not there.
const gone = -1

// bring changes one of ten entities of the replica's own, or takes it away; before and after that, it writes it down.
func (l *load) bring(ctx context.Context, n int) error {
	if l.conn == nil {
		return nil // not connected yet
	}
	e, err := component(fmt.Sprintf("%s-%d", l.name, n%10), n)
	if err != nil {
		return err
	}
	m, version := catalog.DeltaMutation([]catalogmodel.Entity{e}, nil), n
	if n%7 == 6 {
		m, version = catalog.DeltaMutation(nil, []catalogmodel.Ref{e.Ref()}), gone
	}
	ref := e.Ref().String()
	_, err = l.db.ExecContext(ctx, "INSERT INTO brought (ref, now, next) VALUES (?, ?, ?) ON CONFLICT (ref) DO UPDATE SET next = EXCLUDED.next", ref, gone, version)
	if err != nil {
		return err
	}
	if err := l.conn.ApplyMutation(ctx, m); err != nil {
		return err
	}
	_, err = l.db.ExecContext(ctx, "UPDATE brought SET now = next WHERE ref = ?", ref)
	return err
}

func component(name string, version int) (catalogmodel.Entity, error) {
	return catalogmodel.EntityOf(map[string]any{"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"type": "service", "lifecycle": "x", "owner": "team", "version": version, "dependsOn": []any{"component:steady-" + fmt.Sprint(version%steady)}}})
}

// process is a running replica.
type process struct {
	name, url string
	cmd       *exec.Cmd
	stdin     io.Closer
}

func startProcess(t *testing.T, name string, section []byte) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), replicaVariable+"="+name, databaseVariable+"="+string(section))
	var log strings.Builder
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if it still runs
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("replica %s:\n%s", name, &log)
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return &process{name: name, url: url, cmd: cmd, stdin: stdin}
		}
	}
	t.Fatalf("replica %s doesn't start", name)
	return nil
}

// TestKilledReplicas kills replicas that work on one catalog. Each entity must be processed once an interval, whoever lives; what was brought
// must be served in the end; and nothing may wait for longer than a lease.
func TestKilledReplicas(t *testing.T) {
	t.Parallel()
	duration := 8 * time.Second
	if text := os.Getenv(durationVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	section := backendtest.PostgreSQL(t)
	db := open(t, section)
	for _, statement := range []string{
		"CREATE TABLE runs (ref text, replica text, at bigint)",
		"CREATE TABLE brought (ref text PRIMARY KEY, now integer, next integer)",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	started := 0
	next := func() *process {
		started++
		return startProcess(t, fmt.Sprintf("replica-%d", started), encoded)
	}
	replicas := []*process{next(), next(), next()}
	imported(t, replicas[0].url)
	await(t, "the steady entities to be processed", func() bool {
		return count(t, db, "SELECT count(DISTINCT ref) FROM runs WHERE ref LIKE '%/steady-%'") == steady
	})
	began := count(t, db, "SELECT "+milliseconds)
	kills := 0
	for end := time.Now().Add(duration); time.Now().Before(end); kills++ {
		time.Sleep(time.Duration(500+rand.IntN(1500)) * time.Millisecond) // the moment of the kill is meant to be any
		n := rand.IntN(len(replicas))
		kill(t, replicas[n])
		replicas[n] = next()
	}
	ended := count(t, db, "SELECT "+milliseconds)
	for _, r := range replicas {
		kill(t, r)
	}
	survivor := startProcess(t, last, encoded)
	await(t, "everything that was brought to be served", func() bool { return missing(t, db, survivor.url) == "" })
	took := count(t, db, "SELECT "+milliseconds) - ended
	await(t, "each steady entity to be processed by the last replica", func() bool {
		return count(t, db, "SELECT count(DISTINCT ref) FROM runs WHERE ref LIKE '%/steady-%' AND replica = ?", last) == steady
	})
	takenOver := count(t, db, `SELECT max(first) FROM (SELECT min(at) AS first FROM runs WHERE ref LIKE '%/steady-%' AND replica = ? GROUP BY ref) AS firsts`,
		last) - ended
	await(t, "nothing to wait for its final form", func() bool { return count(t, db, "SELECT count(*) FROM stitch_queue") == 0 })
	if err := errors.Join(survivor.stdin.Close(), survivor.cmd.Wait()); err != nil {
		t.Errorf("the last replica didn't stop well: %v", err)
	}

	// Claims of an entity are an interval apart at least; when it is processed after that varies by less than another one.
	window := ended - began
	most := count(t, db, `SELECT max(n) FROM (SELECT count(*) AS n FROM runs WHERE ref LIKE '%/steady-%' AND at BETWEEN ? AND ? GROUP BY ref) AS counts`, began, ended)
	if limit := window/int(interval.Milliseconds()) + 2; most > limit {
		t.Errorf("in %dms an entity was processed %d times, more than %d", window, most, limit)
	}
	pause := count(t, db, `SELECT max(pause) FROM (SELECT at - lag(at) OVER (PARTITION BY ref ORDER BY at) AS pause FROM runs
		WHERE ref LIKE '%/steady-%' AND at BETWEEN ? AND ?) AS pauses`, began-int(lease.Milliseconds()), ended)
	// Due after a lease, and claimed by one that dies too, several times in a row; and the machine may be busy.
	if limit := int((4*lease + 10*time.Second).Milliseconds()); pause > limit {
		t.Errorf("an entity was not processed for %dms", pause)
	}
	if limit := int((lease + 15*time.Second).Milliseconds()); max(took, takenOver) > limit {
		t.Errorf("what was left was taken over after %dms and %dms only", took, takenOver)
	}
	// Whoever was killed in the middle of a transaction has left nothing of it: the log has no gaps, and ends where it says.
	if gaps := count(t, db, "SELECT max(h.seq) - count(*) FROM entity_log l, entity_log_head h"); gaps != 0 {
		t.Errorf("the log lacks %d entries", gaps)
	}
	if lost := count(t, db, `SELECT count(*) FROM refresh_state r LEFT JOIN ingested_entities i ON i.entity_ref = r.entity_ref
		LEFT JOIN refresh_state_references t ON t.target_entity_ref = r.entity_ref WHERE i.entity_ref IS NULL OR t.source IS NULL`); lost != 0 {
		t.Errorf("%d entities were stored in part", lost)
	}
	t.Logf("%d kills in %dms; %d entities brought, %d processed; a steady one at most %d times, with pauses of at most %dms; the rest was taken over within %dms, and processed again within %dms",
		kills+len(replicas), window, count(t, db, "SELECT count(*) FROM brought"), count(t, db, "SELECT count(*) FROM runs"), most, pause, took, takenOver)
}

// imported brings the steady entities.
func imported(t *testing.T, url string) {
	t.Helper()
	var lines strings.Builder
	for n := range steady {
		e, err := component(fmt.Sprint("steady-", n), 0)
		if err != nil {
			t.Fatal(err)
		}
		lines.WriteString(e.String() + "\n")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/catalog/import?provider=steady&mode=full", strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+staticToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("importing: status %d, %s, %v", res.StatusCode, body, err)
	}
}

// staticToken is that of an external program.
const staticToken = "0123456789abcdef0123456789"

func kill(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed
}

// missing tells what of what was brought the replica does not serve, or nothing.
func missing(t *testing.T, db *bun.DB, url string) string {
	t.Helper()
	var brought []struct {
		Ref       string
		Now, Next int // they differ if the replica was killed while it brought the entity
	}
	if err := db.NewRaw("SELECT ref, now, next FROM brought").Scan(t.Context(), &brought); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(url + "/api/catalog/entities")
	if err != nil {
		t.Fatal(err)
	}
	var entities []catalogmodel.Entity
	if err := errors.Join(json.NewDecoder(res.Body).Decode(&entities), res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	served := map[string]string{}
	for _, e := range entities {
		served[e.Ref().String()] = e.Get("spec", "version").Number().String()
	}
	for n := range steady {
		if version := served[fmt.Sprint("component:default/steady-", n)]; version != "0" {
			return fmt.Sprintf("steady-%d has the version %q", n, version)
		}
	}
	for _, b := range brought {
		version, ok := served[b.Ref]
		if !ok {
			version = fmt.Sprint(gone)
		}
		if version != fmt.Sprint(b.Now) && version != fmt.Sprint(b.Next) {
			return fmt.Sprintf("%s has the version %s, not %d or %d", b.Ref, version, b.Now, b.Next)
		}
	}
	return ""
}

func count(t *testing.T, db *bun.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.NewRaw(query, args...).Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// open opens the database of the catalog.
func open(t *testing.T, section map[string]any) *bun.DB {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{t})
	manager, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section}}),
		service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	db, err := manager.Open(t.Context(), "catalog")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}
