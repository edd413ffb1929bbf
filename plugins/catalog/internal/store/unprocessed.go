package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Unprocessed is an entity that is not in the catalog as it was brought.
type Unprocessed struct {
	// Ref and ID are the entity's ref and uid.
	Ref, ID string
	// LocationKey guards the entity.
	LocationKey string
	// Ingested is the entity as it was brought, with its hash.
	Ingested     json.RawMessage
	IngestedHash string
	// Processed is what processing made of it the last time without errors, or nil, with the hash of the last result.
	Processed  json.RawMessage
	ResultHash string
	// Errors are those of the last time.
	Errors []Error
	// Due is when it is processed next.
	Due time.Time
}

type unprocessedRow struct {
	Ref          string `bun:"entity_ref"`
	ID           string `bun:"entity_id"`
	LocationKey  string `bun:"location_key"`
	IngestedHash string `bun:"unprocessed_hash"`
	Due          int64  `bun:"next_update_at"`
	Ingested     []byte `bun:"ingested"`  // packed
	Processed    []byte `bun:"processed"` // packed
	ResultHash   string `bun:"result_hash"`
	Errors       string `bun:"errors"`
}

const unprocessed = `SELECT r.entity_ref, r.entity_id, r.location_key, r.unprocessed_hash, r.next_update_at, i.entity AS ingested,
	p.entity AS processed, COALESCE(p.result_hash, '') AS result_hash, COALESCE(p.errors, '[]') AS errors
	FROM refresh_state r JOIN ingested_entities i ON i.entity_ref = r.entity_ref `

// Failed are the entities that were processed with errors the last time, by ref.
func (s *Store) Failed(ctx context.Context) ([]Unprocessed, error) {
	return s.unprocessed(ctx, unprocessed+`JOIN processed_entities p ON p.entity_ref = r.entity_ref
		WHERE p.errors <> '[]' ORDER BY r.entity_ref`)
}

// Pending are the entities that are not served and have no errors: they have yet to be processed, or stitched. By ref.
func (s *Store) Pending(ctx context.Context) ([]Unprocessed, error) {
	return s.unprocessed(ctx, unprocessed+`LEFT JOIN processed_entities p ON p.entity_ref = r.entity_ref
		LEFT JOIN final_entities f ON f.entity_ref = r.entity_ref
		WHERE f.entity_ref IS NULL AND COALESCE(p.errors, '[]') = '[]' ORDER BY r.entity_ref`)
}

func (s *Store) unprocessed(ctx context.Context, query string) ([]Unprocessed, error) {
	var rows []unprocessedRow
	if err := s.lookUp(ctx, func(db bun.IDB) error { return db.NewRaw(query).Scan(ctx, &rows) }); err != nil {
		return nil, fmt.Errorf("catalog: reading unprocessed entities: %w", err)
	}
	all := make([]Unprocessed, len(rows))
	for i, row := range rows {
		ingested, _, err := s.packer.unpackIngested(row.Ingested)
		if err != nil {
			return nil, fmt.Errorf("catalog: %s as it was brought: %w", row.Ref, err)
		}
		processed, err := s.packer.unpack(row.Processed)
		if err != nil {
			return nil, fmt.Errorf("catalog: %s as it was processed: %w", row.Ref, err)
		}
		all[i] = Unprocessed{
			Ref: row.Ref, ID: row.ID, LocationKey: row.LocationKey, Ingested: ingested, IngestedHash: row.IngestedHash,
			Processed: processed, ResultHash: row.ResultHash, Due: time.UnixMilli(row.Due),
		}
		if err := json.Unmarshal([]byte(row.Errors), &all[i].Errors); err != nil {
			return nil, fmt.Errorf("catalog: the errors of %s: %w", row.Ref, err)
		}
	}
	return all, nil
}
