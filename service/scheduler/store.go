package scheduler

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/internal/dbtime"
)

//go:embed migrations
var migrations embed.FS

// Migrate creates the table of a plugin's global tasks.
func Migrate(ctx context.Context, db *bun.DB, pluginID string, log *slog.Logger) error {
	return database.Migrate(ctx, db, pluginID+"/scheduler", migrations, log)
}

// store is the table in which replicas settle who runs what. Its times are those of the database.
type store struct{ db *bun.DB }

// chunkSize is how many tasks a statement is about at most.
const chunkSize = 500

// registration is a task as a replica knows it.
type registration struct {
	id       string
	settings string
	plan     plan
	delay    time.Duration
}

// register makes tasks known to all replicas. If one is known with other settings, it gets these, and runs sooner if they say so.
func (s store) register(ctx context.Context, tasks []registration) error {
	for chunk := range slices.Chunk(tasks, chunkSize) {
		if err := s.registerChunk(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (s store) registerChunk(ctx context.Context, tasks []registration) error {
	now, err := dbtime.Read(ctx, s.db)
	if err != nil {
		return err
	}
	type row struct {
		bun.BaseModel `bun:"portico_scheduler_tasks"`
		ID            string
		Settings      string
		NextRunAt     *int64
		ReadyAt       *int64
	}
	rows := make([]row, len(tasks))
	ids := make([]string, len(tasks))
	for n, t := range tasks {
		ids[n] = t.id
		due := milliseconds(t.plan.first(now, t.delay))
		rows[n] = row{ID: t.id, Settings: t.settings, NextRunAt: due, ReadyAt: due}
	}
	if _, err := s.db.NewInsert().Model(&rows).Ignore().Exec(ctx); err != nil {
		return err
	}
	var known []row
	if err := s.db.NewSelect().Model(&known).Column("id", "settings").Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return err
	}
	for _, k := range known {
		t := tasks[slices.Index(ids, k.ID)]
		if k.Settings == t.settings {
			continue
		}
		if err := s.change(ctx, t, now); err != nil {
			return err
		}
	}
	return nil
}

// change gives a task other settings.
func (s store) change(ctx context.Context, t registration, now time.Time) error {
	due := milliseconds(t.plan.next(now, now))
	next := bun.SafeQuery("?", due)
	if due != nil {
		next = bun.SafeQuery("CASE WHEN next_run_at < ? THEN next_run_at ELSE ? END", *due, *due)
	}
	// MySQL sets one column after the other, and so ready_at before next_run_at, which it depends on.
	_, err := s.db.ExecContext(ctx, `UPDATE portico_scheduler_tasks
		SET ready_at = CASE WHEN owner IS NULL THEN ? ELSE ready_at END, next_run_at = ?, settings = ? WHERE id = ?`,
		next, next, t.settings, t.id)
	return err
}

// upcoming is a task that is due soon, or whose lease ends.
type upcoming struct {
	ID    string
	DueIn int64 // milliseconds
}

// upcoming lists the tasks that can be claimed within a time.
func (s store) upcoming(ctx context.Context, within time.Duration) ([]upcoming, error) {
	var found []upcoming
	now := dbtime.Now(s.db)
	err := s.db.NewRaw("SELECT id, ready_at - ? AS due_in FROM portico_scheduler_tasks WHERE ready_at <= ? + ? ORDER BY ready_at",
		now, now, within.Milliseconds()).Scan(ctx, &found)
	return found, err
}

// claim is a task that this replica is to run.
type claim struct {
	id   string
	plan plan
}

// claim takes those of the tasks that are due and that no other replica has or is about to take. The settings of tasks that this
// program doesn't understand go to unknown; those are left to others.
func (s store) claim(ctx context.Context, ids []string, owner string, lease time.Duration, unknown func(id string, err error)) ([]claim, error) {
	query := "SELECT id, settings FROM portico_scheduler_tasks WHERE id IN (?) AND ready_at <= ? ORDER BY id"
	if s.db.Dialect().Name() != dialect.SQLite {
		query += " FOR UPDATE SKIP LOCKED"
	}
	var all []claim
	for chunk := range slices.Chunk(ids, chunkSize) {
		var claimed []claim
		err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			var free []struct{ ID, Settings string }
			if err := tx.NewRaw(query, bun.List(chunk), dbtime.Now(tx)).Scan(ctx, &free); err != nil {
				return err
			}
			var taken []string
			for _, row := range free {
				p, err := parsePlan(row.Settings)
				if err != nil {
					unknown(row.ID, err)
					continue
				}
				claimed = append(claimed, claim{id: row.ID, plan: p})
				taken = append(taken, row.ID)
			}
			if len(taken) == 0 {
				return nil
			}
			now := dbtime.Now(tx)
			_, err := tx.ExecContext(ctx, `UPDATE portico_scheduler_tasks
				SET owner = ?, started_at = ?, ready_at = ? + ?, cancel_requested = 0 WHERE id IN (?)`,
				owner, now, now, lease.Milliseconds(), bun.List(taken))
			return err
		})
		if err != nil {
			return all, err
		}
		all = append(all, claimed...)
	}
	return all, nil
}

// renew renews the leases of tasks, and tells which the replica still has, and whether their runs are to be cancelled.
func (s store) renew(ctx context.Context, ids []string, owner string, lease time.Duration) (cancelled map[string]bool, err error) {
	cancelled = map[string]bool{}
	for chunk := range slices.Chunk(ids, chunkSize) {
		_, err := s.db.ExecContext(ctx, "UPDATE portico_scheduler_tasks SET ready_at = ? + ? WHERE owner = ? AND id IN (?)",
			dbtime.Now(s.db), lease.Milliseconds(), owner, bun.List(chunk))
		if err != nil {
			return nil, err
		}
		var rows []struct {
			ID              string
			CancelRequested bool
		}
		err = s.db.NewRaw("SELECT id, cancel_requested FROM portico_scheduler_tasks WHERE owner = ? AND id IN (?)", owner, bun.List(chunk)).
			Scan(ctx, &rows)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			cancelled[row.ID] = row.CancelRequested
		}
	}
	return cancelled, nil
}

// release ends the run of a task, which is due again as its present settings say, or at once. It does nothing if the replica doesn't have
// the task any more.
func (s store) release(ctx context.Context, id, owner string, failure error, again bool) error {
	var message *string
	if failure != nil {
		text := errorJSON(failure)
		message = &text
	}
	for {
		var row struct {
			Settings  string
			StartedAt int64
			Present   int64
		}
		err := s.db.NewRaw("SELECT settings, started_at, ? AS present FROM portico_scheduler_tasks WHERE id = ? AND owner = ?",
			dbtime.Now(s.db), id, owner).Scan(ctx, &row)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		due := &row.Present
		if p, err := parsePlan(row.Settings); err == nil && !again {
			due = milliseconds(p.next(time.UnixMilli(row.StartedAt), time.UnixMilli(row.Present)))
		}
		result, err := s.db.ExecContext(ctx, `UPDATE portico_scheduler_tasks SET next_run_at = ?, ready_at = ?, owner = NULL,
			started_at = NULL, cancel_requested = 0, last_ended_at = ?, last_error = ? WHERE id = ? AND owner = ? AND settings = ?`,
			due, due, row.Present, message, id, owner, row.Settings)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		// Between the two, a newer replica has changed the settings, or another one has taken over.
	}
}

// trigger has a task run now.
func (s store) trigger(ctx context.Context, id string) error {
	now := dbtime.Now(s.db)
	result, err := s.db.ExecContext(ctx, "UPDATE portico_scheduler_tasks SET next_run_at = ?, ready_at = ? WHERE id = ? AND owner IS NULL",
		now, now, id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	running, err := s.isRunning(ctx, id)
	if err == nil && running {
		return errRunning(id)
	}
	return err
}

// cancel asks the replica that runs the task to end the run.
func (s store) cancel(ctx context.Context, id string) error {
	running, err := s.isRunning(ctx, id)
	if err != nil {
		return err
	}
	if !running {
		return errNotRunning(id)
	}
	_, err = s.db.ExecContext(ctx, "UPDATE portico_scheduler_tasks SET cancel_requested = 1 WHERE id = ? AND owner IS NOT NULL", id)
	return err
}

func (s store) isRunning(ctx context.Context, id string) (bool, error) {
	var owner *string
	err := s.db.NewRaw("SELECT owner FROM portico_scheduler_tasks WHERE id = ?", id).Scan(ctx, &owner)
	if errors.Is(err, sql.ErrNoRows) {
		return false, service.NotFoundError.Errorf("Task %s does not exist", id)
	}
	return owner != nil, err
}

// states are the states of all tasks, by their ids.
func (s store) states(ctx context.Context) (map[string]*taskState, error) {
	var rows []struct {
		ID          string
		Settings    string
		NextRunAt   *int64
		StartedAt   *int64
		LastEndedAt *int64
		LastError   string
	}
	err := s.db.NewRaw(`SELECT id, settings, next_run_at, started_at, last_ended_at, coalesce(last_error, '') AS last_error
		FROM portico_scheduler_tasks`).Scan(ctx, &rows)
	states := make(map[string]*taskState, len(rows))
	for _, row := range rows {
		state := &taskState{Status: "idle", LastRunEndedAt: isoTime(timeOf(row.LastEndedAt)), LastRunError: row.LastError}
		if row.StartedAt == nil {
			state.StartsAt = isoTime(timeOf(row.NextRunAt))
		} else {
			p, _ := parsePlan(row.Settings) // without a timeout, if it isn't understood
			state.running(timeOf(row.StartedAt), p.timeout)
		}
		states[row.ID] = state
	}
	return states, err
}

// milliseconds is a time as it is stored: NULL for the zero time.
func milliseconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func timeOf(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return time.UnixMilli(*ms)
}
