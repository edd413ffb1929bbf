package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// FinalsAfter answers up to limit final entities whose refs come after one, in the order of their refs as the database has it.
func (s *Store) FinalsAfter(ctx context.Context, ref string, limit int) ([]Change, error) {
	var rows []finalRow
	err := s.db.NewRaw("SELECT entity_ref, entity_id, entity FROM final_entities WHERE entity_ref > ? ORDER BY entity_ref LIMIT ?", ref, limit).
		Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("catalog: reading entities: %w", err)
	}
	changes := make([]Change, len(rows))
	for i, row := range rows {
		changes[i] = Change{Ref: row.Ref, ID: strings.TrimSpace(row.ID), JSON: []byte(row.Entity)}
	}
	return changes, nil
}

// Brought answers the refs of the entities that a provider brings.
func (s *Store) Brought(ctx context.Context, provider string) ([]string, error) {
	var refs []string
	err := s.db.NewRaw("SELECT target_entity_ref FROM refresh_state_references WHERE source = ?", providerSource(provider)).Scan(ctx, &refs)
	if err != nil {
		return nil, fmt.Errorf("catalog: reading what provider %s brings: %w", provider, err)
	}
	return refs, nil
}

// Providers answers the names of the providers that bring something and begin with a prefix.
func (s *Store) Providers(ctx context.Context, prefix string) ([]string, error) {
	all, err := s.providers(ctx)
	return slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, prefix) }), err
}
