package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/catalogmodel"
)

// Stitch makes up to limit of the final entities that wait for it, and reports whether there may be more. Those that come out as they are
// already are not written.
func (s *Store) Stitch(ctx context.Context, limit int) (more bool, err error) {
	var waiting int
	if err := s.db.NewRaw("SELECT COUNT(*) FROM (SELECT 1 AS one FROM stitch_queue LIMIT 1) AS waiting").Scan(ctx, &waiting); err != nil {
		return false, fmt.Errorf("catalog: looking for entities to stitch: %w", err)
	}
	if waiting == 0 {
		return false, nil
	}
	err = s.write(ctx, func(w *writer) error {
		var refs []string
		if err := w.NewRaw("SELECT entity_ref FROM stitch_queue ORDER BY entity_ref LIMIT ?", limit).Scan(ctx, &refs); err != nil {
			return fmt.Errorf("reading the queue: %w", err)
		}
		more = len(refs) == limit
		return w.stitch(ctx, refs)
	})
	if err != nil {
		return false, fmt.Errorf("catalog: stitching: %w", err)
	}
	return more, nil
}

// part is what the final form of an entity is made of, beside its relations.
type part struct {
	Ref        string `bun:"entity_ref"`
	ID         string `bun:"entity_id"`
	Entity     string `bun:"entity"`
	Relations  string `bun:"relations"`
	Errors     string `bun:"errors"`
	FinalHash  string `bun:"final_hash"`
	Referenced int    `bun:"referenced"`
}

func (w *writer) stitch(ctx context.Context, refs []string) error {
	parts, err := selectIn[part](ctx, w, refs, `SELECT r.entity_ref, r.entity_id, p.entity, p.relations, p.errors,
		COALESCE(f.hash, '') AS final_hash,
		CASE WHEN EXISTS (SELECT 1 FROM refresh_state_references t WHERE t.target_entity_ref = r.entity_ref) THEN 1 ELSE 0 END AS referenced
		FROM refresh_state r JOIN processed_entities p ON p.entity_ref = r.entity_ref
		LEFT JOIN final_entities f ON f.entity_ref = r.entity_ref WHERE r.entity_ref IN (?)`)
	if err != nil {
		return fmt.Errorf("reading processed entities: %w", err)
	}
	others, err := selectIn[relationRow](ctx, w, refs,
		"SELECT source_entity_ref, originating_entity_ref, type, target_entity_ref FROM relations WHERE source_entity_ref IN (?)")
	if err != nil {
		return fmt.Errorf("reading relations: %w", err)
	}
	given := map[string][]Relation{}
	for _, row := range others {
		given[row.Source] = append(given[row.Source], Relation{Source: row.Source, Type: row.Type, Target: row.Target})
	}
	var rows []finalRow
	var changes []Change
	for _, p := range parts {
		if p.Entity == "" { // it was never processed without errors
			continue
		}
		row, err := p.final(given[p.Ref])
		if err != nil {
			return fmt.Errorf("%s: %w", p.Ref, err)
		}
		if row.Hash == p.FinalHash {
			continue
		}
		rows = append(rows, row)
		changes = append(changes, Change{Ref: row.Ref, ID: row.ID, JSON: []byte(row.Entity)})
	}
	if err := upsert(ctx, w, rows, "entity_id", "entity", "hash"); err != nil {
		return fmt.Errorf("final entities: %w", err)
	}
	if err := w.log(ctx, "upsert", changes); err != nil {
		return err
	}
	for chunk := range slices.Chunk(refs, batchRows) {
		if _, err := w.NewRaw("DELETE FROM stitch_queue WHERE entity_ref IN (?)", bun.List(chunk)).Exec(ctx); err != nil {
			return fmt.Errorf("emptying the queue: %w", err)
		}
	}
	return nil
}

// final is the final form of an entity.
func (p part) final(given []Relation) (finalRow, error) {
	e, err := catalogmodel.ParseJSON([]byte(p.Entity))
	if err != nil {
		return finalRow{}, fmt.Errorf("the stored entity: %w", err)
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
	listed := make([]any, 0, len(relations))
	for _, r := range slices.Compact(relations) {
		listed = append(listed, relationValue{r.Type, r.Target})
	}
	v, err := catalogmodel.ValueOf(listed)
	if err != nil {
		return finalRow{}, err
	}
	if p.Referenced == 0 {
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

type relationValue struct {
	Type   string `json:"type"`
	Target string `json:"targetRef"`
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
	link = strings.TrimLeftFunc(link, func(r rune) bool { return r <= ' ' })
	return strings.HasPrefix(strings.ToLower(strings.NewReplacer("\r", "", "\n", "", "\t", "").Replace(link)), "javascript:")
}
