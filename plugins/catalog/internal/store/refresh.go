package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service"
)

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
			parents, err := selectIn[referenceRow](ctx, w, next, references)
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
		return w.due(ctx, due)
	})
	if err != nil {
		return fmt.Errorf("catalog: refreshing %s: %w", ref, err)
	}
	return nil
}

// RefreshByKeys makes the entities due now that were made of something with one of the names, and answers how many there are.
func (s *Store) RefreshByKeys(ctx context.Context, keys []string) (int, error) {
	hashes := make([]string, len(keys))
	for i, key := range keys {
		hashes[i] = hash(key)
	}
	var rows []stitchRow
	err := s.lookUp(ctx, func(db bun.IDB) (err error) {
		rows, err = selectIn[stitchRow](ctx, db, hashes, "SELECT DISTINCT entity_ref FROM refresh_keys WHERE key_hash IN (?)")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("catalog: looking for what is to be refreshed: %w", err)
	}
	refs := make([]string, len(rows))
	for i, row := range rows {
		refs[i] = row.Ref
	}
	return len(refs), s.Due(ctx, refs)
}

type keyRow struct {
	bun.BaseModel `bun:"table:refresh_keys"`

	Ref  string `bun:"entity_ref"`
	Hash string `bun:"key_hash"`
}

// key replaces the refresh keys of entities, of which those again may have some, by those of their outcomes.
func (w *writer) key(ctx context.Context, refs, again []string, outcomes map[string]outcome) error {
	before, err := selectIn[keyRow](ctx, w, again, "SELECT entity_ref, key_hash FROM refresh_keys WHERE entity_ref IN (?)")
	if err != nil {
		return fmt.Errorf("reading refresh keys: %w", err)
	}
	gone := make(map[keyRow]bool, len(before))
	for _, row := range before {
		gone[row] = true
	}
	var added []keyRow
	for _, ref := range refs {
		for _, key := range outcomes[ref].RefreshKeys {
			row := keyRow{Ref: ref, Hash: hash(key)}
			if !gone[row] {
				added = append(added, row)
			}
			delete(gone, row)
		}
	}
	for row := range gone {
		if _, err := w.NewRaw("DELETE FROM refresh_keys WHERE entity_ref = ? AND key_hash = ?", row.Ref, row.Hash).Exec(ctx); err != nil {
			return fmt.Errorf("deleting refresh keys: %w", err)
		}
	}
	if err := insert(ctx, w, added); err != nil {
		return fmt.Errorf("refresh keys: %w", err)
	}
	return nil
}
