package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
)

// Load calls add with each final entity and answers the number of the log entry from which on Since has what was not seen. Entities that
// change meanwhile may be seen in either form.
func (s *Store) Load(ctx context.Context, add func(Change) error) (seq int64, err error) {
	if err := s.db.NewRaw("SELECT seq FROM entity_log_head WHERE id = 1").Scan(ctx, &seq); err != nil {
		return 0, fmt.Errorf("catalog: reading the end of the log: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, "SELECT entity_ref, entity_id, entity FROM final_entities")
	if err != nil {
		return 0, fmt.Errorf("catalog: loading entities: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c Change
		if err := rows.Scan(&c.Ref, &c.ID, &c.JSON); err != nil {
			return 0, fmt.Errorf("catalog: loading entities: %w", err)
		}
		if err := add(c); err != nil {
			return 0, err
		}
	}
	return seq, rows.Err()
}

// Since answers up to limit changes after the log entry seq, in order.
func (s *Store) Since(ctx context.Context, seq int64, limit int) ([]Change, error) {
	type row struct {
		Seq    int64  `bun:"seq"`
		Ref    string `bun:"entity_ref"`
		ID     string `bun:"entity_id"`
		Entity string `bun:"entity"`
	}
	var rows []row
	err := s.db.NewRaw(`SELECT l.seq, l.entity_ref, l.entity_id, COALESCE(f.entity, '') AS entity FROM entity_log l
		LEFT JOIN final_entities f ON f.entity_ref = l.entity_ref AND f.entity_id = l.entity_id
		WHERE l.seq > ? ORDER BY l.seq LIMIT ?`, seq, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("catalog: reading the log: %w", err)
	}
	changes := make([]Change, len(rows))
	for i, row := range rows {
		changes[i] = Change{Seq: row.Seq, Ref: row.Ref, ID: row.ID}
		if row.Entity != "" {
			changes[i].JSON = []byte(row.Entity)
		}
	}
	return changes, nil
}

// Parents answers, for each of the refs, the refs of the entities whose processing has led to it.
func (s *Store) Parents(ctx context.Context, refs []string) (map[string][]string, error) {
	var rows []referenceRow
	var finals []stitchRow
	err := s.lookUp(ctx, func(db bun.IDB) (err error) {
		if rows, err = selectIn[referenceRow](ctx, db, refs, references); err != nil {
			return err
		}
		sources := make([]string, len(rows))
		for i, row := range rows {
			sources[i] = row.Source
		}
		finals, err = selectIn[stitchRow](ctx, db, sources, "SELECT entity_ref FROM final_entities WHERE entity_ref IN (?)")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: reading references: %w", err)
	}
	served := refSet(finals)
	parents := map[string][]string{}
	for _, row := range rows {
		if served[row.Source] {
			parents[row.Target] = append(parents[row.Target], row.Source)
		}
	}
	for _, sources := range parents {
		slices.Sort(sources)
	}
	return parents, nil
}
