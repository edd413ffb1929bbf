package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Ingested is an entity as a provider or the processing of another entity brings it.
type Ingested struct {
	Entity catalogmodel.Entity
	// LocationKey guards the entity: others that bring it with another key are refused. Empty: it may be taken by one with a key.
	LocationKey string
	// Place is where what may turn out to be wrong with the entity stands, as file and line. Empty: not known, or nothing is expected to be.
	Place string
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
// those led to. The entities are gone through once.
func (s *Store) Replace(ctx context.Context, provider string, entities iter.Seq[Ingested]) ([]Conflict, error) {
	return s.mutate(ctx, provider, entities, nil, true)
}

// Update adds entities to what the provider brings, or replaces them, and takes others away. The entities are gone through once.
func (s *Store) Update(ctx context.Context, provider string, added iter.Seq[Ingested], removed []string) ([]Conflict, error) {
	return s.mutate(ctx, provider, added, removed, false)
}

// none is no entity.
func none(func(Ingested) bool) {}

// Forget takes away everything that providers other than these have brought, with what only that led to. It answers who they were.
func (s *Store) Forget(ctx context.Context, except []string) (forgotten []string, err error) {
	providers, err := s.providers(ctx)
	if err != nil {
		return nil, err
	}
	for _, provider := range providers {
		if slices.Contains(except, provider) {
			continue
		}
		if _, err := s.Replace(ctx, provider, none); err != nil {
			return forgotten, err
		}
		forgotten = append(forgotten, provider)
	}
	return forgotten, nil
}

func (s *Store) mutate(ctx context.Context, provider string, entities iter.Seq[Ingested], removed []string, full bool) ([]Conflict, error) {
	var conflicts []Conflict
	err := s.write(ctx, func(w *writer) (err error) {
		conflicts, err = w.mutate(ctx, provider, entities, removed, full)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: applying a mutation of provider %s: %w", provider, err)
	}
	return conflicts, nil
}

func (w *writer) mutate(ctx context.Context, provider string, entities iter.Seq[Ingested], removed []string, full bool) ([]Conflict, error) {
	w.cause = Cause{Reason: Withdrawn, Provider: provider}
	source := providerSource(provider)
	before, err := w.brings(ctx, source, removed)
	if full && err == nil {
		var all map[string]map[string]bool
		all, err = w.targets(ctx, []string{source})
		before = all[source]
		removed = slices.Collect(maps.Keys(before))
	}
	if err != nil {
		return nil, err
	}
	taken := newTaken()
	for some := range batches(entities) {
		if !full {
			brought, err := w.brings(ctx, source, refs(some))
			if err != nil {
				return nil, err
			}
			maps.Copy(before, brought)
		}
		if err := w.ingest(ctx, some, taken); err != nil {
			return nil, err
		}
	}
	var gone []string
	for _, ref := range removed {
		if before[ref] && !taken.brought[ref] {
			gone = append(gone, ref)
		}
	}
	var added []referenceRow
	for _, ref := range slices.Sorted(maps.Keys(taken.brought)) {
		if !before[ref] {
			added = append(added, referenceRow{Source: source, Target: ref})
		}
	}
	if err := insert(ctx, w, added); err != nil {
		return nil, err
	}
	if err := w.unreference(ctx, source, gone); err != nil {
		return nil, err
	}
	if err := w.stitchAdopted(ctx, added, taken); err != nil {
		return nil, err
	}
	return taken.conflicts, w.deleteUnreferenced(ctx, gone)
}

// prepared is an entity in the form that is stored: its JSON and, where one is known, a line break and its place.
type prepared struct {
	ref, text, hash, key string
}

func prepare(entities []Ingested) []prepared {
	all := make([]prepared, len(entities))
	var buffer []byte
	for i, e := range entities {
		buffer = e.Entity.AppendJSON(buffer[:0])
		if e.Place != "" {
			buffer = append(append(buffer, '\n'), e.Place...)
		}
		all[i] = prepared{ref: e.Entity.Ref().String(), text: string(buffer), key: e.LocationKey}
		all[i].hash = hash(all[i].text)
	}
	return all
}

// mutated is how many entities of a mutation are stored at a time: all of them may be many, and most are no different from those that are there.
const mutated = 1000

// batches prepares entities, some at a time.
func batches(entities iter.Seq[Ingested]) iter.Seq[[]prepared] {
	return func(yield func([]prepared) bool) {
		var some []Ingested
		for e := range entities {
			if some = append(some, e); len(some) == mutated {
				if !yield(prepare(some)) {
					return
				}
				some = some[:0]
			}
		}
		if len(some) > 0 {
			yield(prepare(some))
		}
	}
}

func refs(entities []prepared) []string {
	refs := make([]string, len(entities))
	for i, e := range entities {
		refs[i] = e.ref
	}
	return refs
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

// brings are those of the refs that a source brings already.
func (w *writer) brings(ctx context.Context, source string, refs []string) (map[string]bool, error) {
	brings := map[string]bool{}
	rows, err := selectIn[referenceRow](ctx, w, refs, "SELECT source, target_entity_ref FROM refresh_state_references WHERE source = ? AND target_entity_ref IN (?)", source)
	if err != nil {
		return nil, fmt.Errorf("reading references: %w", err)
	}
	for _, row := range rows {
		brings[row.Target] = true
	}
	return brings, nil
}

// taken is what became of entities that somebody brings.
type taken struct {
	brought   map[string]bool // all but those that conflict with others
	fresh     map[string]bool // those that had not been there
	conflicts []Conflict
}

func newTaken() *taken { return &taken{brought: map[string]bool{}, fresh: map[string]bool{}} }

// ingest stores entities, and adds to t what became of them.
func (w *writer) ingest(ctx context.Context, entities []prepared, t *taken) error {
	existing, err := selectIn[refreshRow](ctx, w, refs(entities),
		"SELECT entity_ref, entity_id, location_key, unprocessed_hash FROM refresh_state WHERE entity_ref IN (?)")
	if err != nil {
		return fmt.Errorf("reading the refresh state: %w", err)
	}
	known := make(map[string]refreshRow, len(existing))
	for _, row := range existing {
		known[row.Ref] = row
	}
	now := w.store.now().UnixMilli()
	var states, added []refreshRow
	var contents, addedContents []prepared
	for _, e := range entities {
		row, exists := known[e.ref]
		switch {
		case exists && row.LocationKey != e.key && row.LocationKey != "":
			t.conflicts = append(t.conflicts, Conflict{Ref: e.ref, Key: e.key, Existing: row.LocationKey})
			continue
		case exists && t.brought[e.ref]: // once more: the first one stays
			if row.Hash != e.hash {
				t.conflicts = append(t.conflicts, Conflict{Ref: e.ref, Key: e.key, Existing: row.LocationKey})
			}
			continue
		case !exists:
			id, err := uuid.NewV7() // those of one time are near each other in an index
			if err != nil {
				return fmt.Errorf("a new uid: %w", err)
			}
			row = refreshRow{Ref: e.ref, ID: id.String()}
			t.fresh[e.ref] = true
		}
		t.brought[e.ref] = true
		if exists && row.Hash == e.hash && row.LocationKey == e.key {
			continue
		}
		row.Hash, row.LocationKey, row.Due, row.Asked = e.hash, e.key, now, w.asked
		known[e.ref] = row
		if exists {
			states, contents = append(states, row), append(contents, e)
		} else {
			added, addedContents = append(added, row), append(addedContents, e)
		}
	}
	if err := errors.Join(insert(ctx, w, added), insert(ctx, w, w.contents(addedContents))); err != nil {
		return fmt.Errorf("new entities: %w", err)
	}
	if err := upsert(ctx, w, states, "location_key", "unprocessed_hash", "next_update_at", "asked"); err != nil {
		return fmt.Errorf("the refresh state: %w", err)
	}
	if err := upsert(ctx, w, w.contents(contents), "entity"); err != nil {
		return fmt.Errorf("ingested entities: %w", err)
	}
	return nil
}

func (w *writer) contents(entities []prepared) []ingestedRow {
	rows := make([]ingestedRow, len(entities))
	each(len(rows), func(i int) {
		rows[i] = ingestedRow{Ref: entities[i].ref, Entity: w.store.packer.pack([]byte(entities[i].text))}
	})
	return rows
}

// stitchAdopted queues entities that had been orphans until now.
func (w *writer) stitchAdopted(ctx context.Context, added []referenceRow, taken *taken) error {
	var targets []string
	for _, row := range added {
		if !taken.fresh[row.Target] { // that has not been processed, and is queued when it has
			targets = append(targets, row.Target)
		}
	}
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

// unreference notes that the source does not bring the targets any more. Others who do are asked again.
func (w *writer) unreference(ctx context.Context, source string, targets []string) error {
	if err := execIn(ctx, w, targets, "DELETE FROM refresh_state_references WHERE source = ? AND target_entity_ref IN (?)", source); err != nil {
		return fmt.Errorf("deleting references: %w", err)
	}
	return w.askAgain(ctx, targets)
}

// askAgain has those processed as if they had never been that lead to the targets, so that they bring them in their own form.
func (w *writer) askAgain(ctx context.Context, targets []string) error {
	rows, err := selectIn[referenceRow](ctx, w, targets, references)
	if err != nil {
		return fmt.Errorf("reading references: %w", err)
	}
	sources := map[string]bool{}
	for _, row := range rows {
		sources[row.Source] = true
	}
	refs := slices.Collect(maps.Keys(sources)) // providers are not among those that are processed
	if err := execIn(ctx, w, refs, "UPDATE processed_entities SET result_hash = '', memory = '' WHERE entity_ref IN (?)"); err != nil {
		return fmt.Errorf("forgetting results: %w", err)
	}
	return w.due(ctx, refs)
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

// DeleteByUID deletes the entity with a uid. What it has led to becomes orphaned; who has brought it may do so again. An unknown uid is a
// NotFoundError.
func (s *Store) DeleteByUID(ctx context.Context, uid string) error {
	err := s.write(ctx, func(w *writer) error {
		var rows []stitchRow
		if err := w.NewRaw("SELECT entity_ref FROM refresh_state WHERE entity_id = ?", uid).Scan(ctx, &rows); err != nil {
			return err
		}
		if len(rows) == 0 {
			return service.NotFoundError.Errorf("Entity with ID %s not found", uid)
		}
		w.cause = Cause{Reason: Withdrawn}
		return w.uproot(ctx, rows[0].Ref)
	})
	if err != nil {
		return fmt.Errorf("catalog: deleting the entity with the uid %s: %w", uid, err)
	}
	return nil
}

// uproot deletes an entity whoever brings it.
func (w *writer) uproot(ctx context.Context, ref string) error {
	if err := w.askAgain(ctx, []string{ref}); err != nil { // it comes back if it is still there
		return err
	}
	children, err := w.delete(ctx, []string{ref})
	if err != nil {
		return err
	}
	if err := execIn(ctx, w, []string{ref}, "DELETE FROM refresh_state_references WHERE target_entity_ref IN (?)"); err != nil {
		return fmt.Errorf("deleting references: %w", err)
	}
	orphans := map[string]bool{}
	for _, child := range children {
		orphans[child] = true
	}
	if err := w.leave(ctx, children); err != nil {
		return err
	}
	return w.queue(ctx, orphans)
}

// delete deletes entities and answers what they had brought. Others who bring that are asked again.
func (w *writer) delete(ctx context.Context, refs []string) (children []string, err error) {
	if len(refs) == 0 {
		return nil, nil
	}
	slices.Sort(refs)
	changes, err := w.deletions(ctx, refs)
	if err != nil {
		return nil, err
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
		"DELETE FROM refresh_keys WHERE entity_ref IN (?)",
		"DELETE FROM stitch_queue WHERE entity_ref IN (?)",
		"DELETE FROM final_entities WHERE entity_ref IN (?)",
	} {
		if err := execIn(ctx, w, refs, statement); err != nil {
			return nil, fmt.Errorf("deleting entities: %w", err)
		}
	}
	if err := w.log(ctx, changes); err != nil {
		return nil, err
	}
	slices.Sort(children)
	children = slices.Compact(children)
	if err := w.askAgain(ctx, children); err != nil {
		return nil, err
	}
	return children, w.queue(ctx, peers)
}
