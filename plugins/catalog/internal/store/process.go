package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Work is an entity that is to be processed.
type Work struct {
	Ref string
	// JSON is the entity as it was ingested.
	JSON []byte
	// Place is that of what was ingested.
	Place string
	// Hash is that of the result stored last, or empty.
	Hash string
	// Memory is what that result remembers.
	Memory string

	input string // the hash of JSON
	asked int64  // tells whether somebody has asked for it since
}

// Digest is a hash of what is to be processed, and of a salt.
func (w Work) Digest(salt string) string { return hash(salt, w.input) }

// Error is something that went wrong with an entity.
type Error struct {
	// Name is the name of the error, as Backstage's clients know it.
	Name string `json:"name"`
	// Message says what is wrong.
	Message string `json:"message"`
}

// Result is what processing an entity has led to.
type Result struct {
	Work Work
	// JSON is the processed entity, or nil if processing failed: then what it led to the last time stays, except for the errors.
	JSON []byte
	// Relations are what it says about itself and others.
	Relations []Relation
	// Emitted are the entities that it has led to.
	Emitted []Ingested
	// Partial is set if some that it leads to are missing, as something could not be read: then those that it has led to before stay.
	Partial bool
	// RefreshKeys name what it was made of.
	RefreshKeys []string
	// Errors are what went wrong.
	Errors []Error
	// Memory is for the next time that the entity is processed.
	Memory string
	// Unchanged is set if it is known to be the result stored last. Nothing else is set then.
	Unchanged bool
}

// Digest is a hash of what the result has so far, and of a salt.
func (r Result) Digest(salt string) string {
	o, err := newOutcome(r)
	if err != nil {
		return ""
	}
	return hash(salt, o.row.Hash)
}

// Claim hands out up to limit entities that are due, fewer if they are large, and makes them due again at next. Those that are settled, by
// what is known of them without their JSON, need no processing: they are claimed, but not handed out. Nil settles none. Claim also answers for how
// long each that is claimed has been due, in any order.
func (s *Store) Claim(ctx context.Context, limit int, next time.Time, settled func(Work) bool) (_ []Work, waited []time.Duration, err error) {
	refs, waited, err := s.claim(ctx, limit, next)
	if err != nil {
		return nil, nil, fmt.Errorf("catalog: claiming entities to process: %w", err)
	}
	var rows []ingestedRow
	var rest []string
	unsettled := make(map[string]Work, len(refs))
	err = s.lookUp(ctx, func(db bun.IDB) error {
		states, err := selectIn[workRow](ctx, db, refs, `SELECT r.entity_ref, r.unprocessed_hash, r.asked, COALESCE(p.result_hash, '') AS result_hash,
			COALESCE(p.memory, '') AS memory FROM refresh_state r LEFT JOIN processed_entities p ON p.entity_ref = r.entity_ref WHERE r.entity_ref IN (?)`)
		if err != nil {
			return err
		}
		for _, row := range states {
			if w := row.work(); settled == nil || !settled(w) {
				unsettled[row.Ref] = w
			}
		}
		// If the JSON is newer than its hash, the entity is due again, and what came of it is passed over.
		rows, rest, err = selectSome(ctx, db, slices.Collect(maps.Keys(unsettled)), "SELECT entity_ref, entity FROM ingested_entities WHERE entity_ref IN (?)",
			func(r ingestedRow) int { return len(r.Entity) })
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("catalog: reading entities to process: %w", err)
	}
	if err := s.Due(ctx, rest); err != nil {
		return nil, nil, err
	}
	work, failures := make([]Work, len(rows)), make([]error, len(rows))
	each(len(rows), func(i int) {
		work[i] = unsettled[rows[i].Ref]
		work[i].JSON, work[i].Place, failures[i] = s.packer.unpackIngested(rows[i].Entity)
	})
	if err := errors.Join(failures...); err != nil {
		return nil, nil, fmt.Errorf("catalog: reading entities to process: %w", err)
	}
	return work, waited, nil
}

type workRow struct {
	Ref    string `bun:"entity_ref"`
	Input  string `bun:"unprocessed_hash"`
	Asked  int64  `bun:"asked"`
	Hash   string `bun:"result_hash"`
	Memory string `bun:"memory"`
}

// work is the work without its JSON.
func (r workRow) work() Work {
	return Work{Ref: r.Ref, Hash: r.Hash, Memory: r.Memory, input: r.Input, asked: r.Asked}
}

// claim answers also for how long what it claims has been due.
func (s *Store) claim(ctx context.Context, limit int, next time.Time) (refs []string, waited []time.Duration, err error) {
	const due = "SELECT entity_ref, next_update_at FROM refresh_state WHERE next_update_at <= ? ORDER BY next_update_at LIMIT ?"
	now := s.now().UnixMilli()
	var rows []dueRow
	// Mostly nothing is due, which is found out without a lock.
	if err := s.db.NewRaw(due, now, 1).Scan(ctx, &rows); err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	tx, err := s.begin(ctx, s.db)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if failure := rollback(tx); err == nil {
			err = failure
		}
	}()
	query := due
	if s.db.Dialect().Name() != dialect.SQLite {
		query += " FOR UPDATE SKIP LOCKED"
	}
	rows = nil
	if err := tx.NewRaw(query, now, limit).Scan(ctx, &rows); err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	for _, row := range rows {
		refs = append(refs, row.Ref)
		waited = append(waited, time.Duration(now-row.Due)*time.Millisecond)
	}
	slices.Sort(refs)
	if err := execIn(ctx, tx, refs, "UPDATE refresh_state SET next_update_at = ? WHERE entity_ref IN (?)", next.UnixMilli()); err != nil {
		return nil, nil, err
	}
	return refs, waited, tx.Commit()
}

type dueRow struct {
	Ref string `bun:"entity_ref"`
	Due int64  `bun:"next_update_at"`
}

// outcome is a result in the form that is stored.
type outcome struct {
	Result
	related related
	emitted []prepared
	row     processedRow
}

func newOutcome(result Result) (outcome, error) {
	o := outcome{Result: result, related: related{ref: result.Work.Ref, relations: slices.Clone(result.Relations)}, emitted: prepare(result.Emitted)}
	slices.SortFunc(o.related.relations, compareRelations)
	o.related.relations = slices.Compact(o.related.relations)
	relations, err := o.related.encode()
	if err != nil {
		return o, err
	}
	failures, err := json.Marshal(append([]Error{}, result.Errors...))
	if err != nil {
		return o, err
	}
	parts := []string{string(result.JSON), relations, string(failures), result.Memory, strconv.FormatBool(result.Partial)}
	for _, e := range o.emitted {
		parts = append(parts, e.ref, e.hash, e.key)
	}
	o.RefreshKeys = slices.Sorted(slices.Values(o.RefreshKeys))
	o.RefreshKeys = slices.Compact(o.RefreshKeys)
	parts = append(parts, o.RefreshKeys...)
	o.row = processedRow{Ref: result.Work.Ref, Relations: relations, Errors: string(failures), Hash: hash(parts...), Memory: result.Memory}
	return o, nil
}

// differs tells whether it is not the result stored last.
func (o outcome) differs() bool { return !o.Unchanged && o.row.Hash != o.Work.Hash }

func compareRelations(a, b Relation) int {
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.Target, b.Target)
}

// Save stores the results that differ from those of the last time. Entities that were deleted or brought anew in the meantime are passed
// over. The final entities that are affected wait for Stitch. If next is not zero, the entities are due again then, unless somebody has asked for
// them since they were claimed. It answers those of the results that differed, and the entities that were refused.
func (s *Store) Save(ctx context.Context, results []Result, next time.Time) (different []Result, refused []Conflict, err error) {
	made, failures := make([]outcome, len(results)), make([]error, len(results))
	each(len(results), func(i int) {
		if results[i].Unchanged {
			made[i].Result = results[i]
			return
		}
		if made[i], failures[i] = newOutcome(results[i]); made[i].differs() {
			made[i].row.Entity = s.packer.pack(results[i].JSON)
		}
	})
	if err := errors.Join(failures...); err != nil {
		return nil, nil, err
	}
	outcomes := map[string]outcome{}
	var refs []string
	for _, o := range made {
		if o.differs() {
			outcomes[o.Work.Ref] = o
			refs = append(refs, o.Work.Ref)
			different = append(different, o.Result)
		}
	}
	if len(refs) == 0 && next.IsZero() {
		return nil, nil, nil
	}
	slices.Sort(refs)
	refs = slices.Compact(refs)
	err = s.write(ctx, func(w *writer) (err error) {
		if !next.IsZero() {
			if err := w.postpone(ctx, results, next); err != nil {
				return err
			}
		}
		refused, err = w.save(ctx, refs, outcomes)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("catalog: storing processed entities: %w", err)
	}
	return different, refused, nil
}

// postpone makes the entities due next, but for those that somebody has asked for since they were claimed.
func (w *writer) postpone(ctx context.Context, results []Result, next time.Time) error {
	together := map[int64][]string{} // those that the same transaction has asked for last
	for _, result := range results {
		together[result.Work.asked] = append(together[result.Work.asked], result.Work.Ref)
	}
	for asked, refs := range together {
		slices.Sort(refs)
		err := execIn(ctx, w, refs, "UPDATE refresh_state SET next_update_at = ? WHERE asked = ? AND entity_ref IN (?)", next.UnixMilli(), asked)
		if err != nil {
			return fmt.Errorf("postponing entities: %w", err)
		}
	}
	return nil
}

// Due makes entities due now.
func (s *Store) Due(ctx context.Context, refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	if err := s.write(ctx, func(w *writer) error { return w.due(ctx, refs) }); err != nil {
		return fmt.Errorf("catalog: making entities due: %w", err)
	}
	return nil
}

func (w *writer) due(ctx context.Context, refs []string) error {
	slices.Sort(refs)
	const due = "UPDATE refresh_state SET next_update_at = ?, asked = ? WHERE entity_ref IN (?)"
	if err := execIn(ctx, w, refs, due, w.store.now().UnixMilli(), w.asked); err != nil {
		return fmt.Errorf("making entities due: %w", err)
	}
	return nil
}

func (w *writer) save(ctx context.Context, refs []string, outcomes map[string]outcome) ([]Conflict, error) {
	type row struct {
		Ref       string `bun:"entity_ref"`
		Input     string `bun:"unprocessed_hash"`
		Relations string `bun:"relations"` // empty if it was never processed
	}
	rows, err := selectIn[row](ctx, w, refs, `SELECT r.entity_ref, r.unprocessed_hash, COALESCE(p.relations, '') AS relations
		FROM refresh_state r LEFT JOIN processed_entities p ON p.entity_ref = r.entity_ref WHERE r.entity_ref IN (?)`)
	if err != nil {
		return nil, fmt.Errorf("reading the last results: %w", err)
	}
	var first, succeeded, failed []processedRow
	var before, after []related
	var sources, again []string // those that succeeded now, and of them those that have been processed before
	var emitted []prepared
	stitch := map[string]bool{}
	for _, row := range rows {
		o := outcomes[row.Ref]
		if row.Input != o.Work.input {
			continue
		}
		stitch[row.Ref] = true
		if o.JSON == nil {
			o.row.Entity, o.row.Relations = []byte{}, "[]"
			failed = append(failed, o.row)
			continue
		}
		if row.Relations == "" {
			first = append(first, o.row)
		} else {
			was, err := decodeRelated(row.Ref, row.Relations)
			if err != nil {
				return nil, err
			}
			before, again = append(before, was), append(again, row.Ref)
			succeeded = append(succeeded, o.row)
		}
		after = append(after, o.related)
		sources, emitted = append(sources, row.Ref), append(emitted, o.emitted...)
	}
	taken := newTaken()
	if err := w.ingest(ctx, emitted, taken); err != nil {
		return nil, err
	}
	// Several may lead to the same place, and to what stands there. Either form of it will do.
	taken.conflicts = slices.DeleteFunc(taken.conflicts, func(c Conflict) bool { return c.Key == c.Existing })
	retry(first, outcomes, taken.conflicts)
	retry(succeeded, outcomes, taken.conflicts)
	if err := insert(ctx, w, first); err != nil {
		return nil, err
	}
	if err := upsert(ctx, w, succeeded, "entity", "relations", "errors", "result_hash", "memory"); err != nil {
		return nil, err
	}
	if err := upsert(ctx, w, failed, "errors", "result_hash", "memory"); err != nil {
		return nil, err
	}
	if err := w.key(ctx, sources, again, outcomes); err != nil {
		return nil, err
	}
	if err := w.refer(ctx, sources, again, outcomes, taken, stitch); err != nil {
		return nil, err
	}
	changed, err := w.relate(ctx, before, after)
	if err != nil {
		return nil, err
	}
	for ref := range changed {
		stitch[ref] = true
	}
	return taken.conflicts, w.queue(ctx, stitch)
}

// retry has the results stored once more next time from which an entity was refused: it may be free by then.
func retry(rows []processedRow, outcomes map[string]outcome, conflicts []Conflict) {
	if len(conflicts) == 0 {
		return
	}
	refused := map[Conflict]bool{}
	for _, c := range conflicts {
		refused[Conflict{Ref: c.Ref, Key: c.Key}] = true
	}
	for i, row := range rows {
		if slices.ContainsFunc(outcomes[row.Ref].emitted, func(e prepared) bool { return refused[Conflict{Ref: e.ref, Key: e.key}] }) {
			rows[i].Hash, rows[i].Memory = "", ""
		}
	}
}

// refer replaces what the sources, of which those again may have some, have brought by what their outcomes emit. Entities that gained or lost
// someone are added to stitch: they may have become orphans, or stopped being some.
func (w *writer) refer(ctx context.Context, sources, again []string, outcomes map[string]outcome, taken *taken, stitch map[string]bool) error {
	before, err := w.targets(ctx, again)
	if err != nil {
		return err
	}
	refused := map[Conflict]bool{}
	for _, c := range taken.conflicts {
		refused[Conflict{Ref: c.Ref, Key: c.Key}] = true
	}
	var added []referenceRow
	for _, source := range sources {
		now := map[string]bool{}
		for _, e := range outcomes[source].emitted {
			if !taken.brought[e.ref] || refused[Conflict{Ref: e.ref, Key: e.key}] || now[e.ref] {
				continue
			}
			now[e.ref] = true
			if !before[source][e.ref] {
				added = append(added, referenceRow{Source: source, Target: e.ref})
			}
		}
		var gone []string
		for target := range before[source] {
			if !now[target] && !outcomes[source].Partial {
				gone = append(gone, target)
				stitch[target] = true
			}
		}
		if err := w.unreference(ctx, source, gone); err != nil {
			return err
		}
		if err := w.leave(ctx, gone); err != nil {
			return err
		}
	}
	if err := insert(ctx, w, added); err != nil {
		return fmt.Errorf("references: %w", err)
	}
	return w.stitchAdopted(ctx, added, taken)
}
