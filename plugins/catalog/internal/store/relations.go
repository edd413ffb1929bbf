package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	for _, r := range before {
		for _, relation := range r.relations {
			old[r.row(relation)] = true
		}
	}
	if len(old) > 0 {
		for _, r := range after {
			for _, relation := range r.relations {
				now[r.row(relation)] = true
			}
		}
	}
	changed = map[string]bool{}
	sources, origins := map[string]bool{}, map[string]bool{} // of relations that went away
	for row := range old {
		if now[row] {
			continue
		}
		changed[row.Source] = true
		if row.Source != row.Origin {
			sources[row.Source], origins[row.Origin] = true, true
		}
	}
	var added []relationRow
	for _, r := range after {
		for _, relation := range r.relations {
			row := r.row(relation)
			deleted := sources[row.Source] && origins[row.Origin] // together with others
			if !old[row] {
				changed[row.Source] = true
			}
			if row.Source != row.Origin && (deleted || !old[row]) {
				added = append(added, row)
			}
		}
	}
	all := slices.Sorted(maps.Keys(origins))
	for some := range slices.Chunk(slices.Sorted(maps.Keys(sources)), lookupRows) {
		const gone = "DELETE FROM relations WHERE source_entity_ref IN (?) AND originating_entity_ref IN (?)"
		for of := range slices.Chunk(all, lookupRows) {
			if _, err := w.NewRaw(gone, bun.List(some), bun.List(of)).Exec(ctx); err != nil {
				return nil, fmt.Errorf("deleting relations: %w", err)
			}
		}
	}
	slices.SortFunc(added, func(a, b relationRow) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Origin, b.Origin))
	})
	if err := insert(ctx, w, added); err != nil {
		return nil, fmt.Errorf("relations: %w", err)
	}
	return changed, nil
}

// row is the form in which a relation is stored.
func (r related) row(relation Relation) relationRow {
	row := relationRow{Source: relation.Source, Origin: r.ref, Type: relation.Type, Target: relation.Target}
	if row.Target == row.Origin {
		row.Target = ""
	}
	return row
}
