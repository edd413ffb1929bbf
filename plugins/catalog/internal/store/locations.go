package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service"
)

// LocationStore is the name of the provider that brings registered locations: Backstage's.
const LocationStore = "DefaultLocationStore"

// RegisteredLocation is a location that was registered over the API.
type RegisteredLocation struct {
	bun.BaseModel `bun:"table:locations" json:"-"`

	ID     string `bun:"id" json:"id"`
	Type   string `bun:"type" json:"type"`
	Target string `bun:"target" json:"target"`
	// EntityRef is the ref of the entity that stands for it.
	EntityRef string `bun:"entity_ref" json:"entityRef"`
}

// LocationEntity makes the entity that stands for a registered location.
type LocationEntity func(RegisteredLocation) (Ingested, error)

// Locations are the registered locations, by id.
func (s *Store) Locations(ctx context.Context) ([]RegisteredLocation, error) {
	rows, err := locations(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("catalog: reading the registered locations: %w", err)
	}
	return rows, nil
}

func locations(ctx context.Context, db bun.IDB) ([]RegisteredLocation, error) {
	rows := []RegisteredLocation{}
	return rows, db.NewSelect().Model(&rows).Order("id").Scan(ctx)
}

// Location is the registered location with an id. An unknown one is a NotFoundError.
func (s *Store) Location(ctx context.Context, id string) (RegisteredLocation, error) {
	return location(ctx, s.db, id)
}

func location(ctx context.Context, db bun.IDB, id string) (RegisteredLocation, error) {
	var rows []RegisteredLocation
	if err := db.NewSelect().Model(&rows).Where("id = ?", id).Scan(ctx); err != nil {
		return RegisteredLocation{}, fmt.Errorf("catalog: reading a registered location: %w", err)
	}
	if len(rows) == 0 {
		return RegisteredLocation{}, service.NotFoundError.Errorf("Found no location with ID %s", id)
	}
	return rows[0], nil
}

// same are the registered locations with the type and target of one.
func same(ctx context.Context, db bun.IDB, l RegisteredLocation) ([]RegisteredLocation, error) {
	var rows []RegisteredLocation
	err := db.NewSelect().Model(&rows).Where("type = ? AND target = ?", l.Type, l.Target).Order("id").Scan(ctx)
	return rows, err
}

// Register registers a location, and answers it with its id. If it is registered already, that is a ConflictError, or, with again, it is
// refreshed.
func (s *Store) Register(ctx context.Context, l RegisteredLocation, again bool, entity LocationEntity) (RegisteredLocation, error) {
	err := s.write(ctx, func(w *writer) error {
		existing, err := same(ctx, w, l)
		switch {
		case err != nil:
			return err
		case len(existing) > 0 && !again:
			return service.ConflictError.Errorf("Location %s:%s already exists", l.Type, l.Target)
		case len(existing) > 0:
			l = existing[0]
		default:
			l.ID = uuid.NewString()
			if _, err := w.NewInsert().Model(&l).Exec(ctx); err != nil {
				return err
			}
		}
		if err := w.bring(ctx, l, entity); err != nil {
			return err
		}
		return w.due(ctx, []string{l.EntityRef})
	})
	if err != nil {
		return l, fmt.Errorf("catalog: registering a location: %w", err)
	}
	return l, nil
}

// Move changes type and target of a registered location. The entity that stands for it keeps its name.
func (s *Store) Move(ctx context.Context, id, typ, target string, entity LocationEntity) (moved RegisteredLocation, err error) {
	err = s.write(ctx, func(w *writer) error {
		if moved, err = location(ctx, w, id); err != nil {
			return err
		}
		moved.Type, moved.Target = typ, target
		existing, err := same(ctx, w, moved)
		if err != nil {
			return err
		}
		for _, other := range existing {
			if other.ID != id {
				return service.ConflictError.Errorf("Location %s:%s already exists", typ, target)
			}
		}
		if _, err := w.NewUpdate().Model(&moved).Column("type", "target").Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if err := w.release(ctx, moved.EntityRef); err != nil {
			return err
		}
		return w.bring(ctx, moved, entity)
	})
	if err != nil {
		return moved, fmt.Errorf("catalog: changing a registered location: %w", err)
	}
	return moved, nil
}

// release takes the location keys from an entity and all that it leads to. They are brought with others next, and would be refused.
func (w *writer) release(ctx context.Context, ref string) error {
	released := map[string]bool{ref: true}
	for next := []string{ref}; len(next) > 0; {
		if err := execIn(ctx, w, next, "UPDATE refresh_state SET location_key = '' WHERE entity_ref IN (?)"); err != nil {
			return fmt.Errorf("releasing location keys: %w", err)
		}
		targets, err := w.targets(ctx, next)
		if err != nil {
			return err
		}
		next = nil
		for _, brought := range targets {
			for target := range brought {
				if !released[target] {
					released[target] = true
					next = append(next, target)
				}
			}
		}
		slices.Sort(next)
	}
	return nil
}

// Unregister forgets a registered location, and all that only it led to.
func (s *Store) Unregister(ctx context.Context, id string) (gone RegisteredLocation, err error) {
	err = s.write(ctx, func(w *writer) error {
		if gone, err = location(ctx, w, id); err != nil {
			return err
		}
		if _, err := w.NewDelete().Model(&gone).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err := w.mutate(ctx, LocationStore, none, []string{gone.EntityRef}, false)
		return err
	})
	if err != nil {
		return gone, fmt.Errorf("catalog: unregistering a location: %w", err)
	}
	return gone, nil
}

// RestoreLocations brings the entities of all registered locations, and only those.
func (s *Store) RestoreLocations(ctx context.Context, entity LocationEntity) error {
	err := s.write(ctx, func(w *writer) error {
		rows, err := locations(ctx, w)
		if err != nil {
			return err
		}
		entities := make([]Ingested, len(rows))
		for i, row := range rows {
			if entities[i], err = entity(row); err != nil {
				return err
			}
		}
		_, err = w.mutate(ctx, LocationStore, slices.Values(entities), nil, true)
		return err
	})
	if err != nil {
		return fmt.Errorf("catalog: restoring the registered locations: %w", err)
	}
	return nil
}

func (w *writer) bring(ctx context.Context, l RegisteredLocation, entity LocationEntity) error {
	e, err := entity(l)
	if err != nil {
		return err
	}
	_, err = w.mutate(ctx, LocationStore, slices.Values([]Ingested{e}), nil, false)
	return err
}
