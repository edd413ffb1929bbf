package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/portico-dev/portico/catalogmodel"
)

// QueueLength is how many final entities wait to be made.
func (s *Store) QueueLength(ctx context.Context) (n int64, err error) {
	if err := s.db.NewRaw("SELECT COUNT(*) FROM stitch_queue").Scan(ctx, &n); err != nil {
		return 0, fmt.Errorf("catalog: counting entities to stitch: %w", err)
	}
	return n, nil
}

// Stitch makes the final entities that wait for it, up to batch of them in a transaction. Those that come out as they are already are not
// written.
func (s *Store) Stitch(ctx context.Context, batch int) error {
	var telling sync.WaitGroup
	defer telling.Wait()
	for more := true; more; {
		var waiting int
		if err := s.db.NewRaw("SELECT COUNT(*) FROM (SELECT 1 AS one FROM stitch_queue LIMIT 1) AS waiting").Scan(ctx, &waiting); err != nil {
			return fmt.Errorf("catalog: looking for entities to stitch: %w", err)
		}
		if waiting == 0 {
			return nil
		}
		unchanged := 0
		changes, err := s.commit(ctx, func(w *writer) error {
			var refs []string
			if err := w.NewRaw("SELECT entity_ref FROM stitch_queue ORDER BY entity_ref LIMIT ?", batch).Scan(ctx, &refs); err != nil {
				return fmt.Errorf("reading the queue: %w", err)
			}
			rest, err := w.stitch(ctx, refs)
			more = len(refs) == batch || len(rest) > 0
			unchanged = w.unchanged
			return err
		})
		if err != nil {
			return fmt.Errorf("catalog: stitching: %w", err)
		}
		if s.Stitched != nil {
			s.Stitched(ctx, len(changes), unchanged)
		}
		telling.Wait() // in order
		telling.Go(func() { s.tell(ctx, changes) })
	}
	return nil
}

// part is what the final form of an entity is made of, beside its relations.
type part struct {
	Ref       string `bun:"entity_ref"`
	ID        string `bun:"entity_id"`
	Entity    []byte `bun:"entity"` // packed
	Relations string `bun:"relations"`
	Errors    string `bun:"errors"`
	FinalHash string `bun:"final_hash"`
	Source    string `bun:"-"` // one of those that bring it, or empty
}

// stitch makes the final forms of entities; it answers those that are left for another time.
func (w *writer) stitch(ctx context.Context, refs []string) (rest []string, err error) {
	var added, rows []finalRow
	var changes []Change
	take := func(parts []part, finals []finalRow) {
		for i, p := range parts {
			row := finals[i]
			if row.Hash == p.FinalHash {
				if row.Hash != "" { // or else there is none: it was never processed without errors
					w.unchanged++
				}
				continue
			}
			c := Change{Ref: row.Ref, ID: row.ID, JSON: []byte(row.Entity), cause: causeOf(p.Source)}
			if p.FinalHash == "" {
				added = append(added, row)
			} else {
				rows = append(rows, row)
				c.before = []byte{} // to be read
			}
			changes = append(changes, c)
		}
	}
	// While some are assembled, the database reads what the next ones are made of.
	var assembling sync.WaitGroup
	var failure error
	size := 0
	for rest = refs; len(rest) > 0 && size < maxRead; {
		chunk := rest[:min(len(rest), batchRows)]
		rest = rest[len(chunk):]
		parts, given, err := w.parts(ctx, chunk)
		assembling.Wait()
		if err = errors.Join(err, failure); err != nil {
			return nil, err
		}
		for _, p := range parts {
			size += len(p.Entity)
		}
		assembling.Go(func() {
			var finals []finalRow
			if finals, failure = w.assemble(parts, given); failure == nil {
				take(parts, finals)
			}
		})
	}
	if assembling.Wait(); failure != nil {
		return nil, failure
	}
	if err := w.readBefore(ctx, changes); err != nil {
		return nil, err
	}
	if err := insert(ctx, w, added); err != nil {
		return nil, fmt.Errorf("final entities: %w", err)
	}
	if err := upsert(ctx, w, rows, "entity_id", "entity", "hash"); err != nil {
		return nil, fmt.Errorf("final entities: %w", err)
	}
	if err := w.log(ctx, changes); err != nil {
		return nil, err
	}
	if err := execIn(ctx, w, refs[:len(refs)-len(rest)], "DELETE FROM stitch_queue WHERE entity_ref IN (?)"); err != nil {
		return nil, fmt.Errorf("emptying the queue: %w", err)
	}
	return rest, nil
}

// parts reads what the final forms of entities are made of, and the relations that others have given to them.
func (w *writer) parts(ctx context.Context, refs []string) ([]part, map[string][]Relation, error) {
	parts, err := selectIn[part](ctx, w, refs, `SELECT r.entity_ref, r.entity_id, p.entity, p.relations, p.errors, COALESCE(f.hash, '') AS final_hash
		FROM refresh_state r JOIN processed_entities p ON p.entity_ref = r.entity_ref
		LEFT JOIN final_entities f ON f.entity_ref = r.entity_ref WHERE r.entity_ref IN (?)`)
	if err != nil {
		return nil, nil, fmt.Errorf("reading processed entities: %w", err)
	}
	others, err := selectIn[relationRow](ctx, w, refs,
		"SELECT source_entity_ref, originating_entity_ref, type, target_entity_ref FROM relations WHERE source_entity_ref IN (?)")
	if err != nil {
		return nil, nil, fmt.Errorf("reading relations: %w", err)
	}
	given := map[string][]Relation{}
	for _, row := range others {
		if row.Target == "" {
			row.Target = row.Origin
		}
		given[row.Source] = append(given[row.Source], Relation{Source: row.Source, Type: row.Type, Target: row.Target})
	}
	return parts, given, w.attribute(ctx, parts)
}

// attribute fills in who brings the entities: of several, always the same one. As a part of the query above, the least source would be looked for
// in the order of sources, through all that one brings, by a database that has no statistics yet.
func (w *writer) attribute(ctx context.Context, parts []part) error {
	refs := make([]string, len(parts))
	for i, p := range parts {
		refs[i] = p.Ref
	}
	rows, err := selectIn[referenceRow](ctx, w, refs, references)
	if err != nil {
		return fmt.Errorf("reading references: %w", err)
	}
	least := make(map[string]string, len(rows))
	for _, row := range rows {
		if source, ok := least[row.Target]; !ok || row.Source < source {
			least[row.Target] = row.Source
		}
	}
	for i, p := range parts {
		parts[i].Source = least[p.Ref]
	}
	return nil
}

// assemble makes final forms, on all cores. Entities that were never processed without errors have none.
func (w *writer) assemble(parts []part, given map[string][]Relation) ([]finalRow, error) {
	finals, failures := make([]finalRow, len(parts)), make([]error, len(parts))
	each(len(parts), func(i int) {
		p := parts[i]
		if p.Entity, failures[i] = w.store.packer.unpack(p.Entity); len(p.Entity) > 0 {
			finals[i], failures[i] = p.final(given[p.Ref])
		}
	})
	return finals, errors.Join(failures...)
}

// listedRelation is a relation in the final form of its source.
type listedRelation struct {
	Type      string `json:"type"`
	TargetRef string `json:"targetRef"`
}

// final is the final form of an entity.
func (p part) final(given []Relation) (finalRow, error) {
	e, err := catalogmodel.ParseJSON(p.Entity)
	if err != nil {
		return finalRow{}, fmt.Errorf("the stored entity %s: %w", p.Ref, err)
	}
	own, err := decodeRelated(p.Ref, p.Relations)
	if err != nil {
		return finalRow{}, err
	}
	relations := given
	for _, r := range own.relations {
		if r.Source == p.Ref {
			relations = append(relations, r)
		}
	}
	slices.SortFunc(relations, compareRelations)
	listed := make([]listedRelation, 0, len(relations))
	for _, r := range slices.Compact(relations) {
		listed = append(listed, listedRelation{r.Type, r.Target})
	}
	v, err := catalogmodel.ValueOf(listed)
	if err != nil {
		return finalRow{}, err
	}
	if p.Source == "" {
		e = e.WithAnnotation(catalogmodel.AnnotationOrphan, "true")
	}
	for _, name := range []string{catalogmodel.AnnotationViewURL, catalogmodel.AnnotationEditURL} {
		if isScript(e.Annotation(name)) {
			e = e.WithAnnotation(name, "https://backstage.io/annotation-rejected-for-security-reasons")
		}
	}
	e = e.With(v, "relations")
	if e, err = withErrors(e, p.Errors); err != nil {
		return finalRow{}, err
	}
	sum := hash(e.String())
	e = e.With(catalogmodel.StringValue(p.ID), "metadata", "uid")
	if e.ETag() == "" {
		e = e.With(catalogmodel.StringValue(sum), "metadata", "etag")
	}
	return finalRow{Ref: p.Ref, ID: p.ID, Entity: e.String(), Hash: sum}, nil
}

// withErrors adds what went wrong with the entity to the items of its status.
func withErrors(e catalogmodel.Entity, text string) (catalogmodel.Entity, error) {
	if text == "[]" {
		return e, nil
	}
	var failures []Error
	if err := json.Unmarshal([]byte(text), &failures); err != nil {
		return e, fmt.Errorf("the stored errors: %w", err)
	}
	var items []any
	for _, item := range e.Get("status", "items").Elements() {
		items = append(items, item)
	}
	for _, failure := range failures {
		items = append(items, map[string]any{
			"type":    catalogmodel.StatusCatalogProcessing,
			"level":   catalogmodel.StatusError,
			"message": failure.Name + ": " + failure.Message,
			"error":   map[string]any{"name": failure.Name, "message": failure.Message},
		})
	}
	v, err := catalogmodel.ValueOf(items)
	if err != nil {
		return e, err
	}
	return e.With(v, "status", "items"), nil
}

// isScript reports whether a link runs a script in browsers, which pass over leading control characters, and line ends anywhere.
func isScript(link string) bool {
	if link == "" {
		return false
	}
	link = strings.TrimLeftFunc(link, func(r rune) bool { return r <= ' ' })
	return strings.HasPrefix(strings.ToLower(strings.NewReplacer("\r", "", "\n", "", "\t", "").Replace(link)), "javascript:")
}
