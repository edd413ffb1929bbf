package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/portico-dev/portico/service"
)

// Work is an entity that is to be processed.
type Work struct {
	Ref string
	// JSON is the entity as it was ingested.
	JSON []byte
	// Hash is that of the result stored last, or empty.
	Hash string
}

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
	// Errors are what went wrong.
	Errors []Error
}

// Claim hands out up to limit entities that are due, and makes them due again at next.
func (s *Store) Claim(ctx context.Context, limit int, next time.Time) (_ []Work, err error) {
	refs, err := s.claim(ctx, limit, next)
	if err != nil {
		return nil, fmt.Errorf("catalog: claiming entities to process: %w", err)
	}
	if len(refs) == 0 {
		return nil, nil
	}
	type row struct {
		Ref    string `bun:"entity_ref"`
		Entity string `bun:"entity"`
		Hash   string `bun:"result_hash"`
	}
	rows, err := selectIn[row](ctx, s.db, refs, `SELECT i.entity_ref, i.entity, COALESCE(p.result_hash, '') AS result_hash
		FROM ingested_entities i LEFT JOIN processed_entities p ON p.entity_ref = i.entity_ref WHERE i.entity_ref IN (?)`)
	if err != nil {
		return nil, fmt.Errorf("catalog: reading entities to process: %w", err)
	}
	work := make([]Work, len(rows))
	for i, row := range rows {
		work[i] = Work{Ref: row.Ref, JSON: []byte(row.Entity), Hash: row.Hash}
	}
	return work, nil
}

func (s *Store) claim(ctx context.Context, limit int, next time.Time) (refs []string, err error) {
	const due = "SELECT entity_ref FROM refresh_state WHERE next_update_at <= ? ORDER BY next_update_at LIMIT ?"
	now := s.now().UnixMilli()
	// Mostly nothing is due, which is found out without a lock.
	if err := s.db.NewRaw(due, now, 1).Scan(ctx, &refs); err != nil || len(refs) == 0 {
		return nil, err
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
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
	refs = nil
	if err := tx.NewRaw(query, now, limit).Scan(ctx, &refs); err != nil || len(refs) == 0 {
		return nil, err
	}
	slices.Sort(refs)
	for chunk := range slices.Chunk(refs, batchRows) {
		_, err := tx.NewRaw("UPDATE refresh_state SET next_update_at = ? WHERE entity_ref IN (?)", next.UnixMilli(), bun.List(chunk)).Exec(ctx)
		if err != nil {
			return nil, err
		}
	}
	return refs, tx.Commit()
}

// outcome is a result in the form that is stored.
type outcome struct {
	Result
	related related
	emitted []prepared
	row     processedRow
}

func newOutcome(result Result) (outcome, error) {
	o := outcome{Result: result, related: related{ref: result.Work.Ref, relations: result.Relations}, emitted: prepare(result.Emitted)}
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
	parts := []string{string(result.JSON), relations, string(failures)}
	for _, e := range o.emitted {
		parts = append(parts, e.ref, e.hash, e.key)
	}
	o.row = processedRow{Ref: result.Work.Ref, Entity: string(result.JSON), Relations: relations, Errors: string(failures), Hash: hash(parts...)}
	return o, nil
}

func compareRelations(a, b Relation) int {
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.Target, b.Target)
}

// Save stores the results that differ from those of the last time. Entities that were deleted in the meantime are passed over. The final
// entities that are affected wait for Stitch.
func (s *Store) Save(ctx context.Context, results []Result) ([]Conflict, error) {
	outcomes := map[string]outcome{}
	var refs []string
	for _, result := range results {
		o, err := newOutcome(result)
		if err != nil {
			return nil, fmt.Errorf("catalog: the result of processing %s: %w", result.Work.Ref, err)
		}
		if o.row.Hash != result.Work.Hash {
			outcomes[result.Work.Ref] = o
			refs = append(refs, result.Work.Ref)
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	slices.Sort(refs)
	var conflicts []Conflict
	err := s.write(ctx, func(w *writer) (err error) {
		conflicts, err = w.save(ctx, refs, outcomes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: storing processed entities: %w", err)
	}
	return conflicts, nil
}

func (w *writer) save(ctx context.Context, refs []string, outcomes map[string]outcome) ([]Conflict, error) {
	type row struct {
		Ref       string `bun:"entity_ref"`
		Relations string `bun:"relations"`
	}
	rows, err := selectIn[row](ctx, w, refs, `SELECT r.entity_ref, COALESCE(p.relations, '[]') AS relations
		FROM refresh_state r LEFT JOIN processed_entities p ON p.entity_ref = r.entity_ref WHERE r.entity_ref IN (?)`)
	if err != nil {
		return nil, fmt.Errorf("reading the last results: %w", err)
	}
	var succeeded, failed []processedRow
	var before, after []related
	var sources []string
	var emitted []prepared
	stitch := map[string]bool{}
	for _, row := range rows {
		o := outcomes[row.Ref]
		stitch[row.Ref] = true
		if o.JSON == nil {
			failed = append(failed, processedRow{Ref: row.Ref, Relations: "[]", Errors: o.row.Errors, Hash: o.row.Hash})
			continue
		}
		was, err := decodeRelated(row.Ref, row.Relations)
		if err != nil {
			return nil, err
		}
		succeeded = append(succeeded, o.row)
		before, after = append(before, was), append(after, o.related)
		sources, emitted = append(sources, row.Ref), append(emitted, o.emitted...)
	}
	if err := upsert(ctx, w, succeeded, "entity", "relations", "errors", "result_hash"); err != nil {
		return nil, err
	}
	if err := upsert(ctx, w, failed, "errors", "result_hash"); err != nil {
		return nil, err
	}
	brought, conflicts, err := w.ingest(ctx, emitted)
	if err != nil {
		return nil, err
	}
	if err := w.refer(ctx, sources, outcomes, brought, conflicts, stitch); err != nil {
		return nil, err
	}
	changed, err := w.relate(ctx, before, after)
	if err != nil {
		return nil, err
	}
	for ref := range changed {
		stitch[ref] = true
	}
	return conflicts, w.queue(ctx, stitch)
}

// refer replaces what the sources have brought by what their outcomes emit. Entities that gained or lost someone are added to stitch: they
// may have become orphans, or stopped being some.
func (w *writer) refer(ctx context.Context, sources []string, outcomes map[string]outcome, brought map[string]bool, conflicts []Conflict, stitch map[string]bool) error {
	before, err := w.targets(ctx, sources)
	if err != nil {
		return err
	}
	refused := map[Conflict]bool{}
	for _, c := range conflicts {
		refused[Conflict{Ref: c.Ref, Key: c.Key}] = true
	}
	var added []referenceRow
	for _, source := range sources {
		now := map[string]bool{}
		for _, e := range outcomes[source].emitted {
			if !brought[e.ref] || refused[Conflict{Ref: e.ref, Key: e.key}] || now[e.ref] {
				continue
			}
			now[e.ref] = true
			if !before[source][e.ref] {
				added = append(added, referenceRow{Source: source, Target: e.ref})
			}
		}
		var gone []string
		for target := range before[source] {
			if !now[target] {
				gone = append(gone, target)
				stitch[target] = true
			}
		}
		for chunk := range slices.Chunk(gone, batchRows) {
			if err := w.unreference(ctx, source, chunk); err != nil {
				return err
			}
		}
	}
	if err := insert(ctx, w, added); err != nil {
		return fmt.Errorf("references: %w", err)
	}
	return w.stitchAdopted(ctx, added)
}

// DeleteOrphans deletes the entities that nobody brings, and then what only those had brought.
func (s *Store) DeleteOrphans(ctx context.Context) error {
	const query = `SELECT r.entity_ref FROM refresh_state r LEFT JOIN refresh_state_references f ON f.target_entity_ref = r.entity_ref
		WHERE f.source IS NULL`
	var refs []string
	if err := s.db.NewRaw(query).Scan(ctx, &refs); err != nil {
		return fmt.Errorf("catalog: looking for orphans: %w", err)
	}
	if len(refs) == 0 {
		return nil
	}
	if err := s.write(ctx, func(w *writer) error { return w.deleteUnreferenced(ctx, refs) }); err != nil {
		return fmt.Errorf("catalog: deleting orphans: %w", err)
	}
	return nil
}

// Refresh makes an entity due now, together with the Locations that it came from. An unknown one is a NotFoundError.
func (s *Store) Refresh(ctx context.Context, ref string) error {
	err := s.write(ctx, func(w *writer) error {
		var known []stitchRow
		if err := w.NewRaw("SELECT entity_ref FROM refresh_state WHERE entity_ref = ?", ref).Scan(ctx, &known); err != nil {
			return err
		}
		if len(known) == 0 {
			return service.NotFoundError.Errorf("Entity %s not found", ref)
		}
		due := []string{ref}
		for next := due; len(next) > 0; {
			parents, err := selectIn[referenceRow](ctx, w, next, "SELECT source, target_entity_ref FROM refresh_state_references WHERE target_entity_ref IN (?)")
			if err != nil {
				return err
			}
			next = nil
			for _, row := range parents {
				if strings.HasPrefix(row.Source, "location:") && !slices.Contains(due, row.Source) {
					due, next = append(due, row.Source), append(next, row.Source)
				}
			}
		}
		for chunk := range slices.Chunk(due, batchRows) {
			_, err := w.NewRaw("UPDATE refresh_state SET next_update_at = ? WHERE entity_ref IN (?)", s.now().UnixMilli(), bun.List(chunk)).Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("catalog: refreshing %s: %w", ref, err)
	}
	return nil
}
