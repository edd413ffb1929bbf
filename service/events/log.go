package events

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/internal/dbtime"
)

//go:embed migrations
var migrations embed.FS

// Migrate creates the tables of the log.
func Migrate(ctx context.Context, db *bun.DB, log *slog.Logger) error {
	return database.Migrate(ctx, db, "events/bus", migrations, log)
}

// eventLog is the log in the database.
type eventLog struct {
	db     *bun.DB
	origin string // names this process
}

// shared tells whether there may be other replicas.
func (l *eventLog) shared() bool { return l.db.Dialect().Name() != dialect.SQLite }

// storedEvent is an event with its number.
type storedEvent struct {
	bun.BaseModel `bun:"portico_events"`

	ID       int64
	Topic    string
	Payload  string
	Metadata *string
	Size     int
	Origin   string
}

func store(e service.Event) (storedEvent, error) {
	s := storedEvent{Topic: e.Topic, Payload: string(e.Payload), Size: len(e.Topic) + len(e.Payload)}
	if len(e.Metadata) == 0 {
		return s, nil
	}
	encoded, err := json.Marshal(e.Metadata)
	if err != nil {
		return s, err
	}
	text := string(encoded)
	s.Metadata = &text
	s.Size += len(text)
	return s, nil
}

func (s storedEvent) event() (service.Event, error) {
	e := service.Event{Topic: s.Topic, Payload: json.RawMessage(s.Payload)}
	if s.Metadata == nil {
		return e, nil
	}
	return e, json.Unmarshal([]byte(*s.Metadata), &e.Metadata)
}

// channel is what processes listen to on PostgreSQL.
const channel = "portico_events"

// append stores events, and returns the number of the last one. The row of the head stays locked until the commit, so that numbers become
// visible in order.
func (l *eventLog) append(ctx context.Context, events []storedEvent) (position int64, err error) {
	if l.db.Dialect().Name() == dialect.PG {
		return l.appendAtOnce(ctx, events)
	}
	err = l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE portico_event_head SET position = position + ? WHERE id = 1", len(events))
		if err != nil {
			return err
		}
		if err := tx.NewRaw("SELECT position FROM portico_event_head WHERE id = 1").Scan(ctx, &position); err != nil {
			return err
		}
		for n := range events {
			events[n].ID = position - int64(len(events)-1-n)
			events[n].Origin = l.origin
		}
		_, err = tx.NewInsert().Model(&events).Value("created_at", "?", dbtime.Now(tx)).Exec(ctx)
		return err
	})
	return position, err
}

// appendAtOnce stores events in one statement, and notifies those who listen: how fast events get to other replicas depends on it.
func (l *eventLog) appendAtOnce(ctx context.Context, events []storedEvent) (position int64, err error) {
	args := make([]any, 0, 5*len(events)+6)
	args = append(args, len(events))
	for n, e := range events {
		args = append(args, n+1-len(events), e.Topic, e.Payload, e.Metadata, e.Size)
	}
	args = append(args, l.origin, dbtime.Now(l.db), channel)
	err = l.db.NewRaw(`WITH head AS (
			UPDATE portico_event_head SET position = position + ? WHERE id = 1 RETURNING position
		), event (n, topic, payload, metadata, size) AS (
			VALUES `+strings.Repeat(", (?, ?, ?, ?, ?)", len(events))[2:]+`
		), stored AS (
			INSERT INTO portico_events (id, topic, payload, metadata, size, origin, created_at)
			SELECT position + n, topic, payload, metadata, size, ?, ? FROM head, event
		)
		SELECT position FROM (SELECT position, pg_notify(?, '') FROM head) AS notified`, args...).Scan(ctx, &position)
	return position, err
}

// head is the number of the last event, and of the last one that was dropped.
func (l *eventLog) head(ctx context.Context) (position, dropped int64, err error) {
	err = l.db.NewRaw("SELECT position, dropped_to FROM portico_event_head WHERE id = 1").Scan(ctx, &position, &dropped)
	return position, dropped, err
}

// What is read at once, at most.
const (
	batchEvents = 200
	batchBytes  = 8 << 20
)

// read reads events of the topics after one position and up to another, except those of a process. It returns how far that goes.
func (l *eventLog) read(ctx context.Context, after, upTo int64, topics []string, except string) (events []storedEvent, read int64, err error) {
	var found []struct {
		ID   int64
		Size int
	}
	err = l.db.NewRaw("SELECT id, size FROM portico_events WHERE id > ? AND id <= ? AND topic IN (?) AND origin <> ? ORDER BY id LIMIT ?",
		after, upTo, bun.List(topics), except, batchEvents).Scan(ctx, &found)
	if err != nil || len(found) == 0 {
		return nil, upTo, err
	}
	var ids []int64
	bytes := 0
	for _, f := range found {
		if bytes += f.Size; bytes > batchBytes && len(ids) > 0 {
			break
		}
		ids = append(ids, f.ID)
	}
	read = upTo
	if last := ids[len(ids)-1]; len(ids) < len(found) || len(found) == batchEvents {
		read = last
	}
	err = l.db.NewSelect().Model(&events).Column("id", "topic", "payload", "metadata").Where("id IN (?)", bun.List(ids)).Order("id").Scan(ctx)
	return events, read, err
}

// subscription is a durable subscription as it is stored.
type subscription struct {
	ID       string
	Topics   string
	Position int64
	Owner    string
	Free     bool // nobody holds a lease on it
}

func topicList(topics []string) string {
	topics = slices.Clone(topics)
	slices.Sort(topics)
	text, _ := json.Marshal(slices.Compact(topics)) // strings can always be encoded
	return string(text)
}

// register makes a durable subscription known. A new one begins at the present; one with other topics is taken over at once.
func (l *eventLog) register(ctx context.Context, id, topics string, lease time.Duration) error {
	now := dbtime.Now(l.db)
	insert := "INSERT INTO portico_event_subscriptions (id, topics, position, seen_at) SELECT ?, ?, position, ? FROM portico_event_head WHERE id = 1"
	if l.db.Dialect().Name() == dialect.MySQL {
		insert = "INSERT IGNORE" + insert[len("INSERT"):]
	} else {
		insert += " ON CONFLICT DO NOTHING"
	}
	if _, err := l.db.ExecContext(ctx, insert, id, topics, now); err != nil {
		return err
	}
	_, err := l.db.ExecContext(ctx, `UPDATE portico_event_subscriptions SET topics = ?, owner = ?, lease_until = ? + ?
		WHERE id = ? AND topics <> ?`, topics, l.origin, now, lease.Milliseconds(), id, topics)
	return err
}

// subscriptions are those with the ids.
func (l *eventLog) subscriptions(ctx context.Context, ids []string) ([]subscription, error) {
	var found []subscription
	err := l.db.NewRaw(`SELECT id, topics, position, coalesce(owner, '') AS owner,
		CASE WHEN owner IS NULL OR lease_until < ? THEN 1 ELSE 0 END AS free
		FROM portico_event_subscriptions WHERE id IN (?)`, dbtime.Now(l.db), bun.List(ids)).Scan(ctx, &found)
	return found, err
}

// take takes a subscription that nobody holds. It answers false if another replica was faster.
func (l *eventLog) take(ctx context.Context, id, topics string, lease time.Duration) (bool, error) {
	now := dbtime.Now(l.db)
	result, err := l.db.ExecContext(ctx, `UPDATE portico_event_subscriptions SET owner = ?, topics = ?, lease_until = ? + ?, seen_at = ?
		WHERE id = ? AND (owner IS NULL OR lease_until < ?)`, l.origin, topics, now, lease.Milliseconds(), now, id, now)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// renew renews the leases of subscriptions.
func (l *eventLog) renew(ctx context.Context, ids []string, lease time.Duration) error {
	now := dbtime.Now(l.db)
	_, err := l.db.ExecContext(ctx, "UPDATE portico_event_subscriptions SET lease_until = ? + ?, seen_at = ? WHERE owner = ? AND id IN (?)",
		now, lease.Milliseconds(), now, l.origin, bun.List(ids))
	return err
}

// release gives a subscription back.
func (l *eventLog) release(ctx context.Context, id string) error {
	_, err := l.db.ExecContext(ctx, "UPDATE portico_event_subscriptions SET owner = NULL, lease_until = NULL WHERE owner = ? AND id = ?", l.origin, id)
	return err
}

// errLost is the end of the lease on a subscription.
var errLost = errors.New("another replica has taken over the subscription")

// acknowledge moves a subscription forward.
func (l *eventLog) acknowledge(ctx context.Context, id string, position int64) error {
	result, err := l.db.ExecContext(ctx, "UPDATE portico_event_subscriptions SET position = ? WHERE id = ? AND owner = ?", position, id, l.origin)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return errLost
}

const (
	cleanEvery  = time.Minute
	keepAtLeast = time.Minute // for other replicas, which may be a little behind
)

// clean deletes events that nobody needs any more, or that are too many or too old, and subscriptions for which no replica has been there
// for long. It does nothing if another replica did so a minute ago.
func (l *eventLog) clean(ctx context.Context, maxEvents int64, maxAge time.Duration) error {
	now := dbtime.Now(l.db)
	result, err := l.db.ExecContext(ctx, "UPDATE portico_event_head SET cleaned_at = ? WHERE id = 1 AND cleaned_at < ? - ?",
		now, now, cleanEvery.Milliseconds())
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = l.db.ExecContext(ctx, "DELETE FROM portico_event_subscriptions WHERE seen_at < ? - ?", now, maxAge.Milliseconds())
	if err != nil {
		return err
	}
	position, _, err := l.head(ctx)
	if err != nil {
		return err
	}
	handled := position
	var behind sql.NullInt64
	if err := l.db.NewRaw("SELECT min(position) FROM portico_event_subscriptions").Scan(ctx, &behind); err != nil {
		return err
	}
	if behind.Valid {
		handled = behind.Int64
	}
	tooOld, err := l.before(ctx, maxAge, position)
	if err != nil {
		return err
	}
	settled, err := l.before(ctx, keepAtLeast, position)
	if err != nil {
		return err
	}
	drop := max(tooOld, position-maxEvents)
	if drop > handled {
		if _, err := l.db.ExecContext(ctx, "UPDATE portico_event_head SET dropped_to = ? WHERE id = 1 AND dropped_to < ?", drop, drop); err != nil {
			return err
		}
	}
	_, err = l.db.ExecContext(ctx, "DELETE FROM portico_events WHERE id <= ?", max(drop, min(handled, settled)))
	return err
}

// before is the number of the last event that is older than age.
func (l *eventLog) before(ctx context.Context, age time.Duration, head int64) (int64, error) {
	var younger int64
	err := l.db.NewRaw("SELECT id FROM portico_events WHERE created_at >= ? - ? ORDER BY id LIMIT 1", dbtime.Now(l.db), age.Milliseconds()).
		Scan(ctx, &younger)
	if errors.Is(err, sql.ErrNoRows) {
		return head, nil
	}
	return younger - 1, err
}
