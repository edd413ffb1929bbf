package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// many is the number of entities for which plans are looked at.
const many = 100_000

// recorder remembers the longest statement of each shape, and what the transaction around it has set before.
type recorder struct {
	mu         sync.Mutex
	statements map[string]string
	settings   map[string]string
	set        string
}

func (*recorder) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (r *recorder) AfterQuery(_ context.Context, event *bun.QueryEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	shape := shapeOf(event.Query)
	switch {
	case transaction.MatchString(shape):
		r.set = ""
	case strings.HasPrefix(shape, "SELECT set_config"):
		r.set = event.Query
	case len(event.Query) > len(r.statements[shape]):
		r.statements[shape], r.settings[shape] = event.Query, r.set
	}
}

var (
	literal     = regexp.MustCompile(`X?'(?:[^']|'')*'|\b\d+\b`)
	list        = regexp.MustCompile(`\(\?(?:, \?)*\)(?:, \(\?(?:, \?)*\))*`)
	transaction = regexp.MustCompile(`^(?i:BEGIN|COMMIT|ROLLBACK|START)\b`)
	spaces      = regexp.MustCompile(`\s+`)
)

func shapeOf(query string) string {
	return spaces.ReplaceAllString(list.ReplaceAllString(literal.ReplaceAllString(query, "?"), "(?)"), " ")
}

// TestPlans has the store do everything that it can with many entities, and looks at how the database goes about each statement: none may
// read a whole table. What PostgreSQL plans without statistics, as for tables that were just filled, is run: estimates say little then.
func TestPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, db *bun.DB) {
		if name := db.Dialect().Name(); name == dialect.MySQL || strings.HasSuffix(t.Name(), "/SQLite") {
			t.Skip("plans are looked at on SQLite in memory, which has those of files, and PostgreSQL")
		}
		fill(t, db)
		r := &recorder{statements: map[string]string{}, settings: map[string]string{}}
		work(t, store.New(db.WithQueryHook(r), func() time.Time { return time.UnixMilli(many * 20) }, func(context.Context, []store.Change) {}))
		if len(r.statements) < 50 {
			t.Errorf("only %d statements were recorded", len(r.statements))
		}
		r.each(func(shape, statement string) {
			if db.Dialect().Name() == dialect.PG {
				if rows := reads(t, db, r.settings[shape], statement); rows > maxRows {
					t.Errorf("%s\nreads %.0f rows without statistics", shape, rows)
				}
			}
		})
		if _, err := db.ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
		r.each(func(shape, statement string) {
			for _, scan := range scans(t, db, statement) {
				t.Errorf("%s\nhas the plan\n%s", shape, scan)
			}
		})
	})
}

// each calls do with each statement that is not meant to read a whole table.
func (r *recorder) each(do func(shape, statement string)) {
	for _, shape := range slices.Sorted(maps.Keys(r.statements)) {
		if !wholeTable[shape] && !strings.Contains(shape, pending) {
			do(shape, r.statements[shape])
		}
	}
}

// wholeTable are the statements that are meant to read a whole table: at the start of a replica, and for the list of locations.
var wholeTable = map[string]bool{
	"SELECT entity_ref, entity_id, entity FROM final_entities": true,
	`SELECT "registered_location"."id", "registered_location"."type", "registered_location"."target", "registered_location"."entity_ref" ` +
		`FROM "locations" AS "registered_location" ORDER BY "id"`: true,
}

// pending is a part of the statement that compares all entities that were brought with those that are served, when an administrator asks.
const pending = "WHERE f.entity_ref IS NULL"

// maxRows is the most rows that a statement may read on its way: of each of the refs that it is about, some in several tables.
const maxRows = 10_000

// fill makes many entities, of which each has been brought by one of 100 parents, related to another, changed once and changed again.
func fill(t *testing.T, db *bun.DB) {
	t.Helper()
	numbers := "(SELECT generate_series AS n FROM generate_series(1, ?0)) AS numbers"
	if db.Dialect().Name() == dialect.SQLite {
		numbers = "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?0) SELECT n FROM c) AS numbers"
	}
	// Of usual sizes: small tables are read whole for a reason.
	const ref, id = "'component:default/c' || n", "'00000000-0000-4000-8000-' || (100000000000 + n)"
	const hash, key = "'0123456789abcdef-' || (1000000000 + n)", "'url:https://git.example.com/acme/component-' || n || '/blob/main/catalog-info.yaml'"
	body := `'{"apiVersion":"v1","kind":"Component","metadata":{"name":"c' || n || '","description":"` + strings.Repeat("text ", 100) + `"},"spec":{}}'`
	stored := body
	if db.Dialect().Name() == dialect.PG {
		stored = "convert_to(" + body + ", 'UTF8')"
	}
	if db.Dialect().Name() == dialect.PG { // nobody else shall gather statistics
		for _, table := range []string{"refresh_state", "ingested_entities", "refresh_state_references", "processed_entities", "relations", "final_entities",
			"entity_log", "refresh_keys", "locations"} {
			if _, err := db.ExecContext(t.Context(), "ALTER TABLE "+table+" SET (autovacuum_enabled = false)"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, insert := range []string{
		"refresh_state (entity_ref, entity_id, location_key, unprocessed_hash, next_update_at) SELECT " + ref + ", " + id + ", " + key + ", " + hash + ", n * 10",
		"ingested_entities (entity_ref, entity) SELECT " + ref + ", " + stored,
		"refresh_state_references (source, target_entity_ref) SELECT 'location:default/l' || (n % 100), " + ref,
		"processed_entities (entity_ref, entity, relations, errors, result_hash, memory) SELECT " + ref + ", " + stored + ", '[]', '[]', 'h', ''",
		"relations (source_entity_ref, originating_entity_ref, type, target_entity_ref) SELECT " + ref + ", 'component:default/c' || (n + k), 'dependencyOf', 'component:default/c' || (n + k)",
		"final_entities (entity_ref, entity_id, entity, hash) SELECT " + ref + ", " + id + ", " + body + ", 'h'",
		"entity_log (seq, entity_ref, entity_id, action, at, cause) SELECT n, " + ref + ", " + id + ", 'created', n * 10, 'content'",
		"entity_log (seq, entity_ref, entity_id, action, at, cause) SELECT ?0 + n, " + ref + ", " + id + ", 'updated', (?0 + n) * 10, 'content'",
		"refresh_keys (entity_ref, key_hash) SELECT " + ref + ", " + hash,
		"locations (id, type, target, entity_ref) SELECT 'l' || n, 'url', 'https://example.com/' || n, 'location:default/l' || n",
	} {
		from := " FROM " + numbers
		if regexp.MustCompile(`\bk\b`).MatchString(insert) { // several of each entity
			from += ", (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3) AS several"
		}
		if _, err := db.NewRaw("INSERT INTO "+insert+from, many).Exec(t.Context()); err != nil {
			t.Fatalf("%s: %v", insert, err)
		}
	}
	if _, err := db.NewRaw("UPDATE entity_log_head SET seq = ?, at = ?", 2*many, 2*many*10).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// work has the store do everything.
func work(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.UnixMilli(many * 20)
	entities := make([]store.Ingested, 600)
	refs := make([]string, len(entities))
	for i := range entities {
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": fmt.Sprint("c", i*100)}})
		must(err)
		entities[i], refs[i] = store.Ingested{Entity: e}, e.Ref().String()
	}
	_, err := s.Replace(ctx, "p", slices.Values(entities))
	must(err)
	_, err = s.Update(ctx, "p", slices.Values(entities[:100]), refs[100:200])
	must(err)
	_, err = s.Replace(ctx, "p", slices.Values(entities[:300]))
	must(err)
	claimed, _, err := s.Claim(ctx, 500, now.Add(time.Second), nil)
	must(err)
	results := make([]store.Result, len(claimed))
	for i, item := range claimed {
		results[i] = store.Result{Work: item, JSON: append([]byte{}, item.JSON...), RefreshKeys: []string{"url:" + item.Ref},
			Relations: []store.Relation{{Source: item.Ref, Type: "y", Target: refs[i]}, {Source: refs[i], Type: "z", Target: item.Ref}}}
		if i == 7 {
			results[i].Emitted = entities[300:310]
		}
		if i == 8 {
			results[i].Errors = []store.Error{{Name: "Error", Message: "wrong"}}
		}
	}
	_, _, err = s.Save(ctx, results, now.Add(time.Second))
	must(err)
	for i := range results { // once more, otherwise
		results[i].Relations, results[i].RefreshKeys, results[i].Emitted = results[i].Relations[:1], nil, nil
	}
	_, _, err = s.Save(ctx, results, now.Add(time.Second))
	must(err)
	must(s.Stitch(ctx, 500))
	must(s.DeleteOrphans(ctx))
	must(s.Refresh(ctx, refs[1]))
	_, err = s.RefreshByKeys(ctx, []string{"url:" + refs[1]})
	must(err)
	must(s.Due(ctx, refs[:20]))
	must(s.DeleteByUID(ctx, "00000000-0000-4000-8000-100000000005"))
	_, err = s.Parents(ctx, refs)
	must(err)
	read(t, s, refs, must)
}

// read has the store answer everything.
func read(t *testing.T, s *store.Store, refs []string, must func(error)) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Load(ctx, func(store.Change) error { return nil })
	must(err)
	_, err = s.Since(ctx, many, 500)
	must(err)
	_, err = s.Entries(ctx, many, 100)
	must(err)
	_, err = s.History(ctx, refs[3], 0, 20)
	must(err)
	_, err = s.History(ctx, refs[3], many, 20)
	must(err)
	_, err = s.At(ctx, refs[3], time.UnixMilli(many*15))
	must(err)
	must(s.Rewind(ctx, time.UnixMilli(2*many*10-1000), func([]store.Change) error { return nil }))
	_, err = s.FinalsAfter(ctx, refs[3], 500)
	must(err)
	_, err = s.Brought(ctx, "p")
	must(err)
	_, err = s.Providers(ctx, "import:")
	must(err)
	must(s.AddWebhook(ctx, store.Webhook{ID: "a"}))
	must(s.SaveWebhook(ctx, store.Webhook{ID: "a", Seq: 1}))
	must(s.EnableWebhook(ctx, "a"))
	_, err = s.Webhooks(ctx, "a")
	must(err)
	_, err = s.Failed(ctx)
	must(err)
	_, err = s.Pending(ctx)
	must(err)
	locate(t, s, must)
	_, err = s.Forget(ctx, []string{"p"})
	must(err)
	must(s.ForgetLog(ctx, time.UnixMilli(2000)))
}

// locate has the store do what it does with registered locations.
func locate(t *testing.T, s *store.Store, must func(error)) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Location(ctx, "l7")
	must(err)
	_, err = s.Locations(ctx)
	must(err)
	ingested := func(l store.RegisteredLocation) (store.Ingested, error) {
		ref, err := catalogmodel.ParseRef(l.EntityRef, catalogmodel.RefDefaults{})
		must(err)
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": ref.Kind, "metadata": map[string]any{"name": ref.Name}})
		return store.Ingested{Entity: e, LocationKey: l.Target}, err
	}
	l, err := s.Register(ctx, store.RegisteredLocation{Type: "url", Target: "https://example.com/new", EntityRef: "location:default/new"}, false, ingested)
	must(err)
	_, err = s.Move(ctx, l.ID, "url", "https://example.com/newer", ingested)
	must(err)
	_, err = s.Unregister(ctx, l.ID)
	must(err)
}

// reads are the rows that PostgreSQL reads for a statement, wanted or not. It is run, and taken back.
func reads(t *testing.T, db *bun.DB, settings, statement string) float64 {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if settings != "" {
		if _, err := tx.ExecContext(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
	}
	var text string
	err = tx.NewRaw("EXPLAIN (ANALYZE, FORMAT JSON) ?", bun.Safe(statement)).Scan(t.Context(), &text)
	if err = errors.Join(err, tx.Rollback()); err != nil {
		t.Fatalf("%s: %v", shapeOf(statement), err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.reads()
}

// scans are the parts of a statement's plan that read a whole table.
func scans(t *testing.T, db *bun.DB, statement string) (found []string) {
	t.Helper()
	if db.Dialect().Name() == dialect.SQLite {
		var steps []struct {
			ID, Parent, Notused int
			Detail              string
		}
		if err := db.NewRaw("EXPLAIN QUERY PLAN ?", bun.Safe(statement)).Scan(t.Context(), &steps); err != nil {
			t.Fatalf("%s: %v", shapeOf(statement), err)
		}
		for _, s := range steps {
			if table, ok := strings.CutPrefix(s.Detail, "SCAN "); ok && !strings.Contains(table, "USING") && !harmless(table) {
				found = append(found, s.Detail)
			}
		}
		return found
	}
	var text string
	if err := db.NewRaw("EXPLAIN (FORMAT JSON) ?", bun.Safe(statement)).Scan(t.Context(), &text); err != nil {
		t.Fatalf("%s: %v", shapeOf(statement), err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		found = append(found, p.Plan.scans()...)
	}
	return found
}

// plan is a node of a plan of PostgreSQL.
type plan struct {
	NodeType string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Filter   string  `json:"Filter"`
	Rows     float64 `json:"Plan Rows"`
	Plans    []plan

	// Of a plan that was run, each time on the average.
	Found     float64 `json:"Actual Rows"`
	Times     float64 `json:"Actual Loops"`
	Unwanted  float64 `json:"Rows Removed by Filter"`
	Rechecked float64 `json:"Rows Removed by Index Recheck"`
}

// reads are the rows that were read from tables and indexes.
func (p plan) reads() (rows float64) {
	if strings.Contains(p.NodeType, "Scan") {
		rows = (p.Found + p.Unwanted + p.Rechecked) * p.Times
	}
	for _, part := range p.Plans {
		rows += part.reads()
	}
	return rows
}

func (p plan) scans() (found []string) {
	if p.NodeType == "Seq Scan" && !harmless(p.Relation) {
		found = append(found, fmt.Sprintf("%s on %s, filter %s, %.0f rows", p.NodeType, p.Relation, p.Filter, p.Rows))
	}
	for _, part := range p.Plans {
		found = append(found, part.scans()...)
	}
	return found
}

// harmless are tables of one row or of what is being worked on, and what is no table.
func harmless(table string) bool {
	for _, small := range []string{"entity_log_head", "stitch_queue", "webhooks", "wanted", "waiting", "orphans", "CONSTANT ROW", "(subquery", "sources"} {
		if strings.HasPrefix(table, small) || strings.HasSuffix(table, "-ROW VALUES CLAUSE") {
			return true
		}
	}
	return false
}
