package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

type orphanRow struct {
	bun.BaseModel `bun:"table:orphans"`

	Ref string `bun:"entity_ref"`
}

// leave notes that somebody does not bring the entities any more: perhaps nobody does.
func (w *writer) leave(ctx context.Context, refs []string) error {
	rows := make([]orphanRow, len(refs))
	for i, ref := range slices.Sorted(slices.Values(refs)) {
		rows[i] = orphanRow{Ref: ref}
	}
	if err := insertNew(ctx, w, rows); err != nil {
		return fmt.Errorf("noting orphans: %w", err)
	}
	return nil
}

// DeleteOrphans deletes the entities that nobody brings, and then what only those had brought.
func (s *Store) DeleteOrphans(ctx context.Context) error {
	for {
		var refs []string
		if err := s.db.NewRaw("SELECT entity_ref FROM orphans ORDER BY entity_ref LIMIT ?", batchRows).Scan(ctx, &refs); err != nil {
			return fmt.Errorf("catalog: looking for orphans: %w", err)
		}
		if len(refs) == 0 {
			return nil
		}
		err := s.write(ctx, func(w *writer) error {
			w.cause = Cause{Reason: Orphaned}
			if err := execIn(ctx, w, refs, "DELETE FROM orphans WHERE entity_ref IN (?)"); err != nil {
				return err
			}
			return w.deleteUnreferenced(ctx, refs)
		})
		if err != nil {
			return fmt.Errorf("catalog: deleting orphans: %w", err)
		}
	}
}

// providers are the names of those that bring something. They are few among many sources, of which each is looked up once.
func (s *Store) providers(ctx context.Context) ([]string, error) {
	const query = `WITH RECURSIVE sources (source) AS (
		SELECT MIN(source) FROM refresh_state_references UNION ALL
		SELECT (SELECT MIN(r.source) FROM refresh_state_references r WHERE r.source > sources.source) FROM sources WHERE sources.source IS NOT NULL
	) SELECT source FROM sources WHERE source LIKE '@%'`
	var sources []string
	if err := s.db.NewRaw(query).Scan(ctx, &sources); err != nil {
		return nil, fmt.Errorf("catalog: reading which providers there are: %w", err)
	}
	names := map[string]bool{}
	for _, source := range sources {
		names[strings.TrimPrefix(source, providerSource(""))] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}
