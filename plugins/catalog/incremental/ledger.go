package incremental

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// ledger keeps in the plugin's database how far ingestions have come. It is safe for concurrent use, also by several replicas.
type ledger struct {
	db  *bun.DB
	now func() time.Time
}

// What an ingestion does now, as the routes tell it.
const (
	statusBursting     = "bursting"
	statusInterstitial = "interstitial"
	statusBackingOff   = "backing off"
	statusResting      = "resting"
	statusCanceling    = "canceling"
	statusComplete     = "complete"
)

// What an ingestion does next.
const (
	actionIngest  = "ingest"
	actionBackoff = "backoff"
	actionRest    = "rest"
	actionBegin   = "nothing (done)" // this one does nothing more: the next one begins
)

// ingestion is the present ingestion of a provider.
type ingestion struct {
	bun.BaseModel `bun:"table:ingestions"`

	Provider  string  `bun:"provider_name,pk"`
	ID        string  `bun:"id"`
	Status    string  `bun:"status"`
	Action    string  `bun:"next_action"`
	ActionAt  int64   `bun:"next_action_at"`
	LastError *string `bun:"last_error"`
	Attempts  int     `bun:"attempts"`
}

// set changes what the ingestion does, from when on.
func (in *ingestion) set(status, action string, at time.Time) {
	in.Status, in.Action, in.ActionAt = status, action, at.UnixMilli()
}

func (in *ingestion) fail(message string) { in.LastError = &message }

// mark is a page that an ingestion has gone through.
type mark struct {
	bun.BaseModel `bun:"table:ingestion_marks"`

	Provider  string  `bun:"provider_name"`
	Ingestion string  `bun:"ingestion_id"`
	Sequence  int     `bun:"sequence"`
	ID        string  `bun:"id"`
	Cursor    *string `bun:"next_cursor"`
	CreatedAt int64   `bun:"created_at"`
}

// cursor is that of the page after this one, or nil.
func (m mark) cursor() json.RawMessage {
	if m.Cursor == nil {
		return nil
	}
	return json.RawMessage(*m.Cursor)
}

// markedEntity is an entity that a provider has brought.
type markedEntity struct {
	bun.BaseModel `bun:"table:ingestion_mark_entities"`

	Provider  string `bun:"provider_name"`
	Ref       string `bun:"ref"`
	Ingestion string `bun:"ingestion_id"`
}

// batchRows is the most rows of one statement.
const batchRows = 500

// current is the present ingestion of a provider. It is nil for one that has never begun.
func (l *ledger) current(ctx context.Context, provider string) (*ingestion, error) {
	in := new(ingestion)
	err := l.db.NewSelect().Model(in).Where("provider_name = ?", provider).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ingestion of %s: %w", provider, err)
	}
	return in, nil
}

// providers are the names of all that have ever begun.
func (l *ledger) providers(ctx context.Context) ([]string, error) {
	names := []string{}
	if err := l.db.NewSelect().Model((*ingestion)(nil)).Column("provider_name").Order("provider_name").Scan(ctx, &names); err != nil {
		return nil, fmt.Errorf("reading which providers there are: %w", err)
	}
	return names, nil
}

// begin begins a new ingestion. The marks of the one before are not needed any more; what it brought is, in order to know what is gone.
func (l *ledger) begin(ctx context.Context, provider string) (*ingestion, error) {
	in := &ingestion{Provider: provider, ID: uuid.NewString()}
	in.set(statusBursting, actionIngest, l.now())
	err := l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := deleteOf[ingestion](ctx, tx, provider); err != nil {
			return err
		}
		if _, err := deleteOf[mark](ctx, tx, provider); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(in).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("beginning an ingestion of %s: %w", provider, err)
	}
	return in, nil
}

// change changes the present ingestion of a provider, and whatever else fn does in the transaction. Nobody else changes it meanwhile. It
// answers false for a provider that has never begun.
func (l *ledger) change(ctx context.Context, provider string, fn func(context.Context, bun.Tx, *ingestion) error) (found bool, err error) {
	err = l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		in := new(ingestion)
		query := tx.NewSelect().Model(in).Where("provider_name = ?", provider)
		if l.db.Dialect().Name() != dialect.SQLite { // there, a transaction that writes is alone anyway
			query = query.For("UPDATE")
		}
		if err := query.Scan(ctx); errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		found = true
		if err := fn(ctx, tx, in); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model(in).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("changing the ingestion of %s: %w", provider, err)
	}
	return found, nil
}

// errSuperseded is that an ingestion is not the present one any more, or was told to stop.
var errSuperseded = errors.New("the ingestion was stopped")

// goOn changes an ingestion during a burst, unless it was stopped.
func (l *ledger) goOn(ctx context.Context, burst *ingestion, fn func(context.Context, bun.Tx, *ingestion) error) error {
	found, err := l.change(ctx, burst.Provider, func(ctx context.Context, tx bun.Tx, in *ingestion) error {
		if in.ID != burst.ID || in.Status != statusBursting {
			return errSuperseded
		}
		return fn(ctx, tx, in)
	})
	if err == nil && !found {
		return errSuperseded
	}
	return err
}

// marks are the pages that an ingestion has gone through, the last one first; at most limit of them, if that is not zero.
func (l *ledger) marks(ctx context.Context, in *ingestion, limit int64) ([]mark, error) {
	marks := []mark{}
	err := l.db.NewSelect().Model(&marks).Where("provider_name = ?", in.Provider).Where("ingestion_id = ?", in.ID).
		Order("sequence DESC").Limit(limit).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the pages of the ingestion of %s: %w", in.Provider, err)
	}
	return marks, nil
}

// saw notes that an ingestion brings entities, or an event during it.
func (l *ledger) saw(ctx context.Context, in *ingestion, refs []string) error {
	rows := make([]markedEntity, 0, len(refs))
	for _, ref := range sortedSet(refs) { // in one order everywhere, so that transactions don't lock each other out
		rows = append(rows, markedEntity{Provider: in.Provider, Ref: ref, Ingestion: in.ID})
	}
	for chunk := range slices.Chunk(rows, batchRows) {
		query := l.db.NewInsert().Model(&chunk)
		if l.db.Dialect().Name() == dialect.MySQL {
			query = query.On("DUPLICATE KEY UPDATE").Set("ingestion_id = VALUES(ingestion_id)")
		} else {
			query = query.On("CONFLICT (provider_name, ref) DO UPDATE").Set("ingestion_id = EXCLUDED.ingestion_id")
		}
		if _, err := query.Exec(ctx); err != nil {
			return fmt.Errorf("noting what %s has brought: %w", in.Provider, err)
		}
	}
	return nil
}

// unseen are the entities that earlier ingestions have brought and this one has not; seen is how many this one has.
func (l *ledger) unseen(ctx context.Context, in *ingestion) (refs []string, seen int64, err error) {
	of := func() *bun.SelectQuery {
		return l.db.NewSelect().Model((*markedEntity)(nil)).Where("provider_name = ?", in.Provider)
	}
	if seen, err = of().Where("ingestion_id = ?", in.ID).Count(ctx); err == nil {
		err = of().Column("ref").Where("ingestion_id <> ?", in.ID).Order("ref").Scan(ctx, &refs)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading what %s has brought: %w", in.Provider, err)
	}
	return refs, seen, nil
}

// forget forgets that a provider has brought entities.
func (l *ledger) forget(ctx context.Context, provider string, refs []string) error {
	for chunk := range slices.Chunk(sortedSet(refs), batchRows) {
		_, err := l.db.NewDelete().Model((*markedEntity)(nil)).Where("provider_name = ?", provider).Where("ref IN (?)", bun.List(chunk)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forgetting what %s has brought: %w", provider, err)
		}
	}
	return nil
}

// deletions are how many rows were deleted.
type deletions struct{ ingestions, marks, entities int64 }

// forgetExpired forgets what earlier ingestions have brought and the present one has not.
func (l *ledger) forgetExpired(ctx context.Context, provider string) (gone deletions, err error) {
	_, err = l.change(ctx, provider, func(ctx context.Context, tx bun.Tx, in *ingestion) (err error) {
		gone.entities, err = deleteOf[markedEntity](ctx, tx, provider, "ingestion_id <> ?", in.ID)
		return err
	})
	return gone, err
}

// reset forgets everything about a provider and pauses it.
func (l *ledger) reset(ctx context.Context, provider string) (gone deletions, found bool, err error) {
	found, err = l.change(ctx, provider, func(ctx context.Context, tx bun.Tx, in *ingestion) (err error) {
		gone.ingestions = 1
		if gone.marks, err = deleteOf[mark](ctx, tx, provider); err != nil {
			return err
		}
		if gone.entities, err = deleteOf[markedEntity](ctx, tx, provider); err != nil {
			return err
		}
		*in = ingestion{Provider: provider, ID: uuid.NewString()}
		in.set(statusResting, actionRest, l.now().Add(pause))
		return nil
	})
	return gone, found, err
}

// deleteOf deletes rows of a provider.
func deleteOf[Row any](ctx context.Context, tx bun.Tx, provider string, where ...any) (int64, error) {
	query := tx.NewDelete().Model((*Row)(nil)).Where("provider_name = ?", provider)
	if len(where) > 0 {
		query = query.Where(where[0].(string), where[1:]...)
	}
	res, err := query.Exec(ctx)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func sortedSet(refs []string) []string {
	refs = slices.Clone(refs)
	slices.Sort(refs)
	return slices.Compact(refs)
}
