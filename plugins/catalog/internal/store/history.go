package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service"
)

// readBefore fills in what the changed entities are until now, and the reasons of their changes.
func (w *writer) readBefore(ctx context.Context, changes []Change) error {
	var refs []string
	for i := range changes {
		if changes[i].before == nil {
			changes[i].cause.Reason = Content
			continue
		}
		refs = append(refs, changes[i].Ref)
	}
	rows, err := selectIn[finalRow](ctx, w, refs, "SELECT entity_ref, entity FROM final_entities WHERE entity_ref IN (?)")
	if err != nil {
		return fmt.Errorf("reading final entities: %w", err)
	}
	before := make(map[string]string, len(rows))
	for _, row := range rows {
		before[row.Ref] = row.Entity
	}
	for i := range changes {
		if c := &changes[i]; c.before != nil {
			c.before = []byte(before[c.Ref])
			c.cause.Reason = reasonOf(c.before, c.JSON)
		}
	}
	return nil
}

// deletions are the changes of the final entities that are about to be deleted.
func (w *writer) deletions(ctx context.Context, refs []string) ([]Change, error) {
	rows, err := selectIn[finalRow](ctx, w, refs, "SELECT entity_ref, entity_id, entity FROM final_entities WHERE entity_ref IN (?)")
	if err != nil {
		return nil, fmt.Errorf("reading final entities: %w", err)
	}
	changes := make([]Change, len(rows))
	for i, row := range rows {
		changes[i] = Change{Ref: row.Ref, ID: strings.TrimSpace(row.ID), before: []byte(row.Entity), cause: w.cause}
	}
	return changes, nil
}

// Entry is an entry of the log, with the entity as it was then.
type Entry struct {
	// Seq is the number of the entry: the one after that of the entry before.
	Seq    int64
	Action Action
	// Ref and ID are the ref and the uid of the entity.
	Ref, ID string
	// At is when it changed. It is never before that of an earlier entry.
	At    time.Time
	Cause Cause
	// Before and After are the JSON of the entity; Before is nil where there was none, and After where there is none any more.
	Before, After []byte
}

// ErrForgotten is the error of a question about a part of the log that has been deleted for its age.
var ErrForgotten = errors.New("the log does not go back that far")

// entryRow is an entry, with the entry that follows for the same entity, or its present form where none does.
type entryRow struct {
	Seq      int64   `bun:"seq"`
	Action   string  `bun:"action"`
	Ref      string  `bun:"entity_ref"`
	ID       string  `bun:"entity_id"`
	At       int64   `bun:"at"`
	Cause    string  `bun:"cause"`
	Previous []byte  `bun:"previous"`
	NextSeq  *int64  `bun:"next_seq"`
	Next     []byte  `bun:"next_previous"`
	Final    *string `bun:"entity"`
}

// selectEntries reads entries of the log. What an entity became is what it was at its next change: each version is stored once, when it is
// over. The sum keeps databases without statistics from looking for the least number through the whole log.
const selectEntries = `SELECT l.seq, l.action, l.entity_ref, l.entity_id, l.at, l.cause, l.previous, n.seq AS next_seq,
	n.previous AS next_previous, f.entity FROM entity_log l
	LEFT JOIN entity_log n ON n.seq = (SELECT MIN(m.seq + 0) FROM entity_log m WHERE m.entity_ref = l.entity_ref AND m.seq > l.seq)
	LEFT JOIN final_entities f ON f.entity_ref = l.entity_ref `

func (s *Store) entries(ctx context.Context, where string, args ...any) ([]Entry, error) {
	var rows []entryRow
	err := s.lookUp(ctx, func(db bun.IDB) error { return db.NewRaw(selectEntries+where, args...).Scan(ctx, &rows) })
	if err != nil {
		return nil, fmt.Errorf("catalog: reading the log: %w", err)
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		e := Entry{Seq: row.Seq, Action: Action(row.Action), Ref: row.Ref, ID: strings.TrimSpace(row.ID), At: time.UnixMilli(row.At),
			Cause: decodeCause(row.Cause)}
		if e.Before, err = s.packer.unpack(row.Previous); err != nil {
			return nil, fmt.Errorf("catalog: entry %d of the log: %w", row.Seq, err)
		}
		switch {
		case e.Action == Deleted:
		case row.NextSeq != nil:
			if e.After, err = s.packer.unpack(row.Next); err != nil {
				return nil, fmt.Errorf("catalog: entry %d of the log: %w", *row.NextSeq, err)
			}
		case row.Final != nil:
			e.After = []byte(*row.Final)
		}
		entries[i] = e
	}
	return entries, nil
}

// Head is the number of the last entry of the log.
func (s *Store) Head(ctx context.Context) (seq int64, err error) {
	if err := s.db.NewRaw("SELECT seq FROM entity_log_head WHERE id = 1").Scan(ctx, &seq); err != nil {
		return 0, fmt.Errorf("catalog: reading the end of the log: %w", err)
	}
	return seq, nil
}

// Start is the number after which the log begins: from there, Entries answers everything that is left of it.
func (s *Store) Start(ctx context.Context) (int64, error) {
	head, err := s.Head(ctx) // first, for the log may grow
	if err != nil {
		return 0, err
	}
	var first []int64
	if err := s.db.NewRaw("SELECT seq FROM entity_log ORDER BY seq LIMIT 1").Scan(ctx, &first); err != nil {
		return 0, fmt.Errorf("catalog: reading the beginning of the log: %w", err)
	}
	if len(first) == 0 {
		return head, nil
	}
	return first[0] - 1, nil
}

// Entries answers up to limit entries of the log after the one with the number after, in order. If some of them have been deleted, the
// error is ErrForgotten; if the log ends before that number, it is a NotFoundError.
func (s *Store) Entries(ctx context.Context, after int64, limit int) ([]Entry, error) {
	head, err := s.Head(ctx)
	switch {
	case err != nil:
		return nil, err
	case after == head || limit == 0:
		return nil, nil
	case after > head:
		return nil, service.NotFoundError.Errorf("The log of changes ends before %d", after)
	}
	// The bound makes sure that a gap is one.
	entries, err := s.entries(ctx, "WHERE l.seq > ? AND l.seq <= ? ORDER BY l.seq LIMIT ?", after, head, limit)
	if err == nil && (len(entries) == 0 || entries[0].Seq != after+1) {
		return nil, ErrForgotten
	}
	return entries, err
}

// History answers up to limit entries of an entity before the one with the number before, the latest one first. Zero is the end.
func (s *Store) History(ctx context.Context, ref string, before int64, limit int) ([]Entry, error) {
	if before <= 0 {
		return s.entries(ctx, "WHERE l.entity_ref = ? ORDER BY l.seq DESC LIMIT ?", ref, limit)
	}
	return s.entries(ctx, "WHERE l.entity_ref = ? AND l.seq < ? ORDER BY l.seq DESC LIMIT ?", ref, before, limit)
}

// At answers the JSON of an entity at a time, or nil if there was none. The error is ErrForgotten if nobody knows any more.
func (s *Store) At(ctx context.Context, ref string, at time.Time) ([]byte, error) {
	if err := s.remembers(ctx, at); err != nil {
		return nil, err
	}
	type row struct {
		Previous []byte  `bun:"previous"`
		Later    *int64  `bun:"seq"`
		Final    *string `bun:"entity"`
	}
	var rows []row
	// One statement, so that no change comes in between.
	err := s.db.NewRaw(`SELECT l.previous, l.seq, f.entity FROM (SELECT ? AS entity_ref) AS wanted
		LEFT JOIN entity_log l ON l.seq = (SELECT MIN(m.seq + 0) FROM entity_log m WHERE m.entity_ref = ? AND m.at > ?)
		LEFT JOIN final_entities f ON f.entity_ref = ?`, ref, ref, at.UnixMilli(), ref).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("catalog: reading %s as of %s: %w", ref, at, err)
	}
	switch {
	case len(rows) > 0 && rows[0].Later != nil:
		return s.packer.unpack(rows[0].Previous)
	case len(rows) > 0 && rows[0].Final != nil:
		return []byte(*rows[0].Final), nil
	}
	return nil, nil
}

// remembers fails with ErrForgotten if the log does not reach back to a time.
func (s *Store) remembers(ctx context.Context, at time.Time) error {
	var forgotten int64
	if err := s.db.NewRaw("SELECT forgotten_at FROM entity_log_head WHERE id = 1").Scan(ctx, &forgotten); err != nil {
		return fmt.Errorf("catalog: reading the end of the log: %w", err)
	}
	if at.UnixMilli() < forgotten {
		return ErrForgotten
	}
	return nil
}

// Rewind answers the entities that have changed after a time as they were then, in the form of changes that undo what happened: those that
// came to be later have no JSON. The error is ErrForgotten if nobody knows any more.
func (s *Store) Rewind(ctx context.Context, to time.Time, undo func([]Change) error) error {
	if err := s.remembers(ctx, to); err != nil {
		return err
	}
	start, err := s.seqAt(ctx, to)
	if err != nil {
		return err
	}
	type row struct {
		Seq      int64  `bun:"seq"`
		Ref      string `bun:"entity_ref"`
		ID       string `bun:"entity_id"`
		Previous []byte `bun:"previous"`
	}
	for after := start; ; {
		var rows []row
		err := s.db.NewRaw(`SELECT l.seq, l.entity_ref, l.entity_id, l.previous FROM entity_log l WHERE l.seq > ? AND NOT EXISTS (
			SELECT 1 FROM entity_log e WHERE e.entity_ref = l.entity_ref AND e.seq > ? AND e.seq < l.seq) ORDER BY l.seq LIMIT ?`,
			after, start, batchRows).Scan(ctx, &rows)
		if err != nil {
			return fmt.Errorf("catalog: reading the log: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		changes := make([]Change, len(rows))
		for i, row := range rows {
			after = row.Seq
			changes[i] = Change{Seq: row.Seq, Ref: row.Ref, ID: strings.TrimSpace(row.ID)}
			if changes[i].JSON, err = s.packer.unpack(row.Previous); err != nil {
				return fmt.Errorf("catalog: entry %d of the log: %w", row.Seq, err)
			}
		}
		if err := undo(changes); err != nil {
			return err
		}
	}
}

// seqAt is the number of the last entry that is not after a time, or the one before the first that is left.
func (s *Store) seqAt(ctx context.Context, at time.Time) (int64, error) {
	start, err := s.Start(ctx)
	if err != nil {
		return 0, err
	}
	head, err := s.Head(ctx)
	if err != nil {
		return 0, err
	}
	// The times are in order, and need no index.
	n := sort.Search(int(head-start), func(i int) bool {
		if err != nil {
			return true
		}
		var later int64
		switch failure := s.db.NewRaw("SELECT at FROM entity_log WHERE seq = ?", start+1+int64(i)).Scan(ctx, &later); {
		case errors.Is(failure, sql.ErrNoRows): // it has just been deleted for its age
			return false
		case failure != nil:
			err = failure
		}
		return later > at.UnixMilli()
	})
	if err != nil {
		return 0, fmt.Errorf("catalog: looking for a time in the log: %w", err)
	}
	return start + int64(n), nil
}

// ForgetLog deletes the entries of the log that are from before a time.
func (s *Store) ForgetLog(ctx context.Context, before time.Time) error {
	start, err := s.Start(ctx)
	if err != nil {
		return err
	}
	end, err := s.seqAt(ctx, before.Add(-time.Millisecond))
	if err != nil || end <= start {
		return err
	}
	// Said first: who asks in between is told that it is gone.
	if _, err := s.db.ExecContext(ctx, "UPDATE entity_log_head SET forgotten_at = ? WHERE id = 1 AND forgotten_at < ?",
		before.UnixMilli(), before.UnixMilli()); err != nil {
		return fmt.Errorf("catalog: shortening the log: %w", err)
	}
	for start < end {
		from := start
		start = min(from+batchRows, end)
		if _, err := s.db.ExecContext(ctx, "DELETE FROM entity_log WHERE seq > ? AND seq <= ?", from, start); err != nil {
			return fmt.Errorf("catalog: shortening the log: %w", err)
		}
	}
	return nil
}
