package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

// Relation is a relation between the entities with these refs.
type Relation struct{ Source, Type, Target string }

// related are the relations that came of processing one entity.
type related struct {
	ref       string
	relations []Relation
}

// encode writes the relations as JSON, in which an empty ref stands for the entity itself.
func (r related) encode() (string, error) {
	rows := make([][3]string, len(r.relations))
	for i, relation := range r.relations {
		rows[i] = [3]string{relation.Source, relation.Type, relation.Target}
		for end := 0; end < 3; end += 2 {
			if rows[i][end] == r.ref {
				rows[i][end] = ""
			}
		}
	}
	text, err := json.Marshal(rows)
	return string(text), err
}

func decodeRelated(ref, text string) (related, error) {
	var rows [][3]string
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return related{}, fmt.Errorf("the stored relations of %s: %w", ref, err)
	}
	r := related{ref: ref, relations: make([]Relation, len(rows))}
	for i, row := range rows {
		for end := 0; end < 3; end += 2 {
			if row[end] == "" {
				row[end] = ref
			}
		}
		r.relations[i] = Relation{Source: row[0], Type: row[1], Target: row[2]}
	}
	return r, nil
}

// relate replaces the relations that processing some entities had led to, before, by others, after. It answers the sources of the
// relations that differ: the entities whose final form changes.
func (w *writer) relate(ctx context.Context, before, after []related) (changed map[string]bool, err error) {
	old, now := map[relationRow]bool{}, map[relationRow]bool{}
	collect := func(set map[relationRow]bool, all []related) {
		for _, r := range all {
			for _, relation := range r.relations {
				set[relationRow{Source: relation.Source, Origin: r.ref, Type: relation.Type, Target: relation.Target}] = true
			}
		}
	}
	collect(old, before)
	collect(now, after)
	changed = map[string]bool{}
	var rewritten, origins []string // sources of relations that went away, and whose they were
	for row := range old {
		if now[row] {
			continue
		}
		changed[row.Source] = true
		if row.Source != row.Origin {
			rewritten, origins = append(rewritten, row.Source), append(origins, row.Origin)
		}
	}
	slices.Sort(rewritten)
	rewritten = slices.Compact(rewritten)
	slices.Sort(origins)
	origins = slices.Compact(origins)
	var added []relationRow
	for row := range now {
		_, again := slices.BinarySearch(rewritten, row.Source)
		if _, of := slices.BinarySearch(origins, row.Origin); !of {
			again = false
		}
		if !old[row] {
			changed[row.Source] = true
		}
		if row.Source != row.Origin && (again || !old[row]) {
			added = append(added, row)
		}
	}
	for sources := range slices.Chunk(rewritten, batchRows) {
		for of := range slices.Chunk(origins, batchRows) {
			_, err := w.NewDelete().Model((*relationRow)(nil)).
				Where("source_entity_ref IN (?)", list(sources)).Where("originating_entity_ref IN (?)", list(of)).Exec(ctx)
			if err != nil {
				return nil, fmt.Errorf("deleting relations: %w", err)
			}
		}
	}
	slices.SortFunc(added, func(a, b relationRow) int {
		if c := strings.Compare(a.Source, b.Source); c != 0 {
			return c
		}
		return strings.Compare(a.Origin, b.Origin)
	})
	if err := insert(ctx, w, added); err != nil {
		return nil, fmt.Errorf("relations: %w", err)
	}
	return changed, nil
}

func list(refs []string) any { return bun.List(refs) }
