package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service"
)

// importLease is how long a full import that has stopped dead keeps others waiting.
const importLease = 5 * time.Minute

// Import is a full import that runs: nobody else, on any replica, imports anything of the provider.
type Import struct {
	store *Store
	row   importRow
}

type importRow struct {
	bun.BaseModel `bun:"table:imports"`

	Provider  string `bun:"provider"`
	Holder    string `bun:"holder"`
	ExpiresAt int64  `bun:"expires_at"`
}

// BeginImport begins a full import. If there is one of the provider already, that is a ConflictError.
func (s *Store) BeginImport(ctx context.Context, provider string) (*Import, error) {
	if err := s.RequireNoImport(ctx, provider); err != nil {
		return nil, err
	}
	i := &Import{store: s, row: importRow{Provider: provider, Holder: uuid.NewString(), ExpiresAt: s.now().Add(importLease).UnixMilli()}}
	if _, err := s.db.ExecContext(ctx, "DELETE FROM imports WHERE provider = ? AND expires_at <= ?", provider, s.now().UnixMilli()); err != nil {
		return nil, fmt.Errorf("catalog: ending the lost import of %s: %w", provider, err)
	}
	result, err := s.db.NewInsert().Model(&i.row).Ignore().Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("catalog: beginning an import of %s: %w", provider, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return nil, importRuns(provider) // somebody else was quicker
	}
	return i, nil
}

// RequireNoImport returns a ConflictError if there is a full import of the provider.
func (s *Store) RequireNoImport(ctx context.Context, provider string) error {
	runs, err := s.db.NewSelect().Model((*importRow)(nil)).Where("provider = ? AND expires_at > ?", provider, s.now().UnixMilli()).Exists(ctx)
	if err != nil {
		return fmt.Errorf("catalog: reading whether there is an import of %s: %w", provider, err)
	}
	if runs {
		return importRuns(provider)
	}
	return nil
}

func importRuns(provider string) error {
	return service.ConflictError.Errorf("A full import of %s is running; try again when it has ended", provider)
}

// Extend tells that the import goes on. It must be called at least every two minutes. If somebody else has taken over, that is a ConflictError.
func (i *Import) Extend(ctx context.Context) error {
	now := i.store.now()
	if left := i.row.ExpiresAt - now.UnixMilli(); left > importLease.Milliseconds()/2 {
		return nil
	}
	extended := now.Add(importLease).UnixMilli()
	result, err := i.store.db.ExecContext(ctx, "UPDATE imports SET expires_at = ? WHERE provider = ? AND holder = ?", extended, i.row.Provider, i.row.Holder)
	if err != nil {
		return fmt.Errorf("catalog: extending the import of %s: %w", i.row.Provider, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return service.ConflictError.Errorf("Another full import of %s has begun, as this one was silent for too long", i.row.Provider)
	}
	i.row.ExpiresAt = extended
	return nil
}

// End ends the import.
func (i *Import) End(ctx context.Context) error {
	if _, err := i.store.db.ExecContext(ctx, "DELETE FROM imports WHERE provider = ? AND holder = ?", i.row.Provider, i.row.Holder); err != nil {
		return fmt.Errorf("catalog: ending the import of %s: %w", i.row.Provider, err)
	}
	return nil
}
