package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/portico-dev/portico/catalogmodel"
)

// Ingested is an entity as a provider or the processing of another entity brings it.
type Ingested struct {
	Entity catalogmodel.Entity
	// LocationKey guards the entity: others that bring it with another key are refused. Empty: it may be taken by one with a key.
	LocationKey string
}

// Conflict tells of an entity that was refused because somebody else has brought it.
type Conflict struct {
	Ref string
	// Key and Existing are the location keys: of who was refused, and of who was first.
	Key, Existing string
}

// providerSource is who brings the entities of a provider. Refs begin with a letter, so that the two can't be mixed up.
func providerSource(provider string) string { return "@" + provider }

// Replace makes entities everything that the provider brings. What it brought before and nobody else does is deleted, with what only
// those led to.
func (s *Store) Replace(ctx context.Context, provider string, entities []Ingested) ([]Conflict, error) {
	return s.mutate(ctx, provider, entities, nil, true)
}

// Update adds entities to what the provider brings, or replaces them, and takes others away.
func (s *Store) Update(ctx context.Context, provider string, added []Ingested, removed []string) ([]Conflict, error) {
	return s.mutate(ctx, provider, added, removed, false)
}

// Forget takes away everything that providers other than these have brought, with what only that led to. It answers who they were.
func (s *Store) Forget(ctx context.Context, except []string) (forgotten []string, err error) {
	var sources []string
	const query = "SELECT DISTINCT source FROM refresh_state_references WHERE source LIKE '@%'"
	if err := s.db.NewRaw(query).Scan(ctx, &sources); err != nil {
		return nil, fmt.Errorf("catalog: reading which providers there were: %w", err)
	}
	for _, source := range sources {
		provider, ok := strings.CutPrefix(source, "@")
		if !ok || slices.Contains(except, provider) {
			continue
		}
		if _, err := s.Replace(ctx, provider, nil); err != nil {
			return forgotten, err
		}
		forgotten = append(forgotten, provider)
	}
	return forgotten, nil
}

func (s *Store) mutate(ctx context.Context, provider string, entities []Ingested, removed []string, full bool) ([]Conflict, error) {
	source := providerSource(provider)
	prepared := prepare(entities)
	var conflicts []Conflict
	err := s.write(ctx, func(w *writer) error {
		before, err := w.targets(ctx, []string{source})
		if err != nil {
			return err
		}
		brought, refused, err := w.ingest(ctx, prepared)
		if err != nil {
			return err
		}
		conflicts = refused
		var gone []string
		if full {
			for target := range before[source] {
				if !brought[target] {
					gone = append(gone, target)
				}
			}
		} else {
			for _, ref := range removed {
				if before[source][ref] && !brought[ref] {
					gone = append(gone, ref)
				}
			}
		}
		var added []referenceRow
		for ref := range brought {
			if !before[source][ref] {
				added = append(added, referenceRow{Source: source, Target: ref})
			}
		}
		if err := insert(ctx, w, added); err != nil {
			return err
		}
		for chunk := range slices.Chunk(gone, batchRows) {
			if err := w.unreference(ctx, source, chunk); err != nil {
				return err
			}
		}
		if err := w.stitchAdopted(ctx, added); err != nil {
			return err
		}
		return w.deleteUnreferenced(ctx, gone)
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: applying a mutation of provider %s: %w", provider, err)
	}
	return conflicts, nil
}

// prepared is an entity in the form that is stored.
type prepared struct {
	ref, json, hash, key string
}

func prepare(entities []Ingested) []prepared {
	all := make([]prepared, len(entities))
	var buffer []byte
	for i, e := range entities {
		buffer = e.Entity.AppendJSON(buffer[:0])
		all[i] = prepared{ref: e.Entity.Ref().String(), json: string(buffer), key: e.LocationKey}
		all[i].hash = hash(all[i].json)
	}
	return all
}

// targets are the refs that each of the sources has brought.
func (w *writer) targets(ctx context.Context, sources []string) (map[string]map[string]bool, error) {
	rows, err := selectIn[referenceRow](ctx, w, sources,
		"SELECT source, target_entity_ref FROM refresh_state_references WHERE source IN (?)")
	if err != nil {
		return nil, fmt.Errorf("reading references: %w", err)
	}
	targets := map[string]map[string]bool{}
	for _, row := range rows {
		if targets[row.Source] == nil {
			targets[row.Source] = map[string]bool{}
		}
		targets[row.Source][row.Target] = true
	}
	return targets, nil
}

// ingest stores entities and answers which of them are brought now: all but those that conflict with others.
func (w *writer) ingest(ctx context.Context, entities []prepared) (brought map[string]bool, conflicts []Conflict, err error) {
	refs := make([]string, len(entities))
	for i, e := range entities {
		refs[i] = e.ref
	}
	existing, err := selectIn[refreshRow](ctx, w, refs,
		"SELECT entity_ref, entity_id, location_key, unprocessed_hash FROM refresh_state WHERE entity_ref IN (?)")
	if err != nil {
		return nil, nil, fmt.Errorf("reading the refresh state: %w", err)
	}
	known := make(map[string]refreshRow, len(existing))
	for _, row := range existing {
		known[row.Ref] = row
	}
	brought = make(map[string]bool, len(entities))
	now := w.store.now().UnixMilli()
	var states []refreshRow
	var contents []ingestedRow
	for _, e := range entities {
		row, exists := known[e.ref]
		switch {
		case exists && row.LocationKey != e.key && row.LocationKey != "":
			conflicts = append(conflicts, Conflict{Ref: e.ref, Key: e.key, Existing: row.LocationKey})
			continue
		case exists && brought[e.ref]: // once more in the same batch: the first one stays
			if row.Hash != e.hash {
				conflicts = append(conflicts, Conflict{Ref: e.ref, Key: e.key, Existing: row.LocationKey})
			}
			continue
		case !exists:
			row = refreshRow{Ref: e.ref, ID: uuid.NewString()}
		}
		brought[e.ref] = true
		if exists && row.Hash == e.hash && row.LocationKey == e.key {
			continue
		}
		row.Hash, row.LocationKey, row.Due = e.hash, e.key, now
		known[e.ref] = row
		states = append(states, row)
		contents = append(contents, ingestedRow{Ref: e.ref, Entity: e.json})
	}
	if err := upsert(ctx, w, states, "location_key", "unprocessed_hash", "next_update_at"); err != nil {
		return nil, nil, fmt.Errorf("the refresh state: %w", err)
	}
	if err := upsert(ctx, w, contents, "entity"); err != nil {
		return nil, nil, fmt.Errorf("ingested entities: %w", err)
	}
	return brought, conflicts, nil
}

// stitchAdopted queues entities that had been orphans until now.
func (w *writer) stitchAdopted(ctx context.Context, added []referenceRow) error {
	targets := make([]string, len(added))
	for i, row := range added {
		targets[i] = row.Target
	}
	// A new entity has not been processed, and is queued when it has.
	rows, err := selectIn[stitchRow](ctx, w, targets, "SELECT entity_ref FROM final_entities WHERE entity_ref IN (?)")
	if err != nil {
		return fmt.Errorf("looking for orphans that are none any more: %w", err)
	}
	return w.queue(ctx, refSet(rows))
}

func refSet(rows []stitchRow) map[string]bool {
	set := make(map[string]bool, len(rows))
	for _, row := range rows {
		set[row.Ref] = true
	}
	return set
}

func (w *writer) unreference(ctx context.Context, source string, targets []string) error {
	_, err := w.NewDelete().Model((*referenceRow)(nil)).
		Where("source = ?", source).Where("target_entity_ref IN (?)", list(targets)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("deleting references: %w", err)
	}
	return nil
}

// deleteUnreferenced deletes those of the entities that nobody brings any more, and then what only those had brought.
func (w *writer) deleteUnreferenced(ctx context.Context, refs []string) error {
	for len(refs) > 0 {
		held, err := selectIn[stitchRow](ctx, w, refs,
			"SELECT DISTINCT target_entity_ref AS entity_ref FROM refresh_state_references WHERE target_entity_ref IN (?)")
		if err != nil {
			return fmt.Errorf("looking for references: %w", err)
		}
		set := refSet(held)
		gone := slices.DeleteFunc(slices.Clone(refs), func(ref string) bool { return set[ref] })
		if refs, err = w.delete(ctx, gone); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes entities and answers what they had brought.
func (w *writer) delete(ctx context.Context, refs []string) (children []string, err error) {
	if len(refs) == 0 {
		return nil, nil
	}
	slices.Sort(refs)
	finals, err := selectIn[finalRow](ctx, w, refs, "SELECT entity_ref, entity_id FROM final_entities WHERE entity_ref IN (?)")
	if err != nil {
		return nil, fmt.Errorf("reading final entities: %w", err)
	}
	processed, err := selectIn[processedRow](ctx, w, refs, "SELECT entity_ref, relations FROM processed_entities WHERE entity_ref IN (?)")
	if err != nil {
		return nil, fmt.Errorf("reading processed entities: %w", err)
	}
	before := make([]related, len(processed))
	for i, row := range processed {
		if before[i], err = decodeRelated(row.Ref, row.Relations); err != nil {
			return nil, err
		}
	}
	peers, err := w.relate(ctx, before, nil)
	if err != nil {
		return nil, err
	}
	targets, err := w.targets(ctx, refs)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		delete(peers, ref)
		for target := range targets[ref] {
			children = append(children, target)
		}
	}
	for _, statement := range []string{
		"DELETE FROM refresh_state_references WHERE source IN (?)",
		"DELETE FROM refresh_state WHERE entity_ref IN (?)",
		"DELETE FROM ingested_entities WHERE entity_ref IN (?)",
		"DELETE FROM processed_entities WHERE entity_ref IN (?)",
		"DELETE FROM stitch_queue WHERE entity_ref IN (?)",
		"DELETE FROM final_entities WHERE entity_ref IN (?)",
	} {
		if err := execIn(ctx, w, refs, statement); err != nil {
			return nil, fmt.Errorf("deleting entities: %w", err)
		}
	}
	changes := make([]Change, len(finals))
	for i, row := range finals {
		changes[i] = Change{Ref: row.Ref, ID: strings.TrimSpace(row.ID)}
	}
	if err := w.log(ctx, "delete", changes); err != nil {
		return nil, err
	}
	slices.Sort(children)
	return slices.Compact(children), w.queue(ctx, peers)
}
