package replicas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/processor"
)

const (
	interval = 2 * time.Second
	// lease is the time after which the work of a replica that was killed is done by another: entities are due again then.
	lease = interval * 3 / 2
	// steady is the number of entities that never change.
	steady = 40
	// last is the name of a replica that brings no entities.
	last = "last"
)

// portal is a program with a catalog.
func portal(name string, config object) []backend.Feature {
	config["backend"].(object)["auth"] = object{"dangerouslyDisableDefaultAuthPolicy": true, "externalAccess": []any{
		object{"type": "static", "options": object{"token": staticToken, "subject": "test"}}}}
	config["catalog"] = object{"processingInterval": interval.String()}
	return []backend.Feature{catalog.Plugin(), plugin.NewModule("catalog", "load", plugin.Init(
		func(providers catalog.EntityProviders, processing catalog.Processing, db *bun.DB, lifecycle fx.Lifecycle, log *slog.Logger) {
			l := &load{name: name, db: db, log: log}
			providers.AddEntityProvider(l)
			processing.AddProcessor(l)
			lifecycle.Append(fx.StartStopHook(l.start, l.stop))
		}))}
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

// TestKilledCatalogs kills replicas that work on one catalog. Each entity must be processed once an interval, whoever lives; what was brought
// must be served in the end; and nothing may wait for longer than a lease.
func TestKilledCatalogs(t *testing.T) {
	t.Parallel()
	section := backendtest.PostgreSQL(t)
	db := open(t, section, "catalog",
		"runs (ref text, replica text, at bigint)",
		"brought (ref text PRIMARY KEY, now integer, next integer)",
	)
	fleet := startFleet(t, "catalogs", section)
	imported(t, fleet.alive[0].url)
	await(t, "the steady entities to be processed", func() bool {
		return count(t, db, "SELECT count(DISTINCT ref) FROM runs WHERE ref LIKE '%/steady-%'") == steady
	})
	began := count(t, db, "SELECT "+milliseconds)
	kills := fleet.kill(func(*process) {})
	ended := count(t, db, "SELECT "+milliseconds)
	for _, r := range fleet.alive {
		r.kill(t)
	}
	survivor := fleet.start(last)
	await(t, "everything that was brought to be served", func() bool { return missing(t, db, survivor.url) == "" })
	took := count(t, db, "SELECT "+milliseconds) - ended
	await(t, "each steady entity to be processed by the last replica", func() bool {
		return count(t, db, "SELECT count(DISTINCT ref) FROM runs WHERE ref LIKE '%/steady-%' AND replica = ?", last) == steady
	})
	takenOver := count(t, db, `SELECT max(first) FROM (SELECT min(at) AS first FROM runs WHERE ref LIKE '%/steady-%' AND replica = ? GROUP BY ref) AS firsts`,
		last) - ended
	await(t, "nothing to wait for its final form", func() bool { return count(t, db, "SELECT count(*) FROM stitch_queue") == 0 })
	survivor.stop(t)

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
		kills+len(fleet.alive), window, count(t, db, "SELECT count(*) FROM brought"), count(t, db, "SELECT count(*) FROM runs"), most, pause, took, takenOver)
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
