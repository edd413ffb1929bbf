package incremental

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

const (
	// minInterval is the shortest time between bursts.
	minInterval = 5 * time.Second
	// overtime is how long the last page of a burst may take.
	overtime = time.Minute
	// pause is how long a provider rests that an operator has stopped.
	pause = 24 * time.Hour
	// maxError is about how much of an error is kept.
	maxError = 4096
)

// engine ingests one source. It is the catalog.EntityProvider for it.
type engine struct {
	source    Source
	ledger    *ledger
	scheduler service.Scheduler
	events    service.Events
	clock     clockwork.Clock
	log       *slog.Logger
	conn      catalog.EntityProviderConnection
}

// Name implements catalog.EntityProvider.
func (e *engine) Name() string { return e.source.name }

// Connect implements catalog.EntityProvider.
func (e *engine) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	e.conn = conn
	if e.source.events != nil {
		if topics := e.source.events.Topics(); len(topics) > 0 {
			err := e.events.Subscribe(service.Subscription{
				ID: "catalog-backend-module-incremental-ingestion:" + e.source.name, Topics: topics, OnEvent: e.onEvent, Durable: true,
			})
			if err != nil {
				return err
			}
		}
	}
	return e.scheduler.Schedule(service.Task{
		ID: e.source.name, Every: max(e.source.options.BurstInterval, minInterval), Timeout: e.source.options.BurstLength + overtime, Run: e.tick,
	})
}

// tick does what is due: usually nothing, or one burst.
func (e *engine) tick(ctx context.Context) error {
	in, err := e.due(ctx)
	if err != nil || in == nil {
		return err
	}
	err = e.burst(ctx, in)
	switch {
	case errors.Is(err, errSuperseded):
		e.log.InfoContext(ctx, "The ingestion was stopped", "ingestion", in.ID)
		return nil
	case errors.Is(err, ErrCancel):
		e.log.InfoContext(ctx, "The provider has cancelled the ingestion, which begins anew", "ingestion", in.ID)
		return e.settle(ctx, in, func(now time.Time, in *ingestion) {
			in.fail(ErrCancel.Error())
			in.set(statusCanceling, actionBegin, now)
		})
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return err // a shutdown: another tick goes on after the last mark
	case err != nil:
		return e.backOff(ctx, in, err)
	}
	return nil
}

// due is the ingestion to go on with, if there is anything to do.
func (e *engine) due(ctx context.Context) (*ingestion, error) {
	in, err := e.ledger.current(ctx, e.source.name)
	if err != nil {
		return nil, err
	}
	waits := in != nil && (in.Action == actionRest || in.Action == actionBackoff)
	switch {
	case waits && e.clock.Now().UnixMilli() < in.ActionAt:
		return nil, nil
	case in == nil || in.Action == actionRest || in.Action == actionBegin:
		if in, err = e.ledger.begin(ctx, e.source.name); err == nil {
			e.log.InfoContext(ctx, "An ingestion begins", "ingestion", in.ID)
		}
		return in, err
	}
	_, err = e.ledger.change(ctx, e.source.name, func(_ context.Context, _ bun.Tx, now *ingestion) error {
		if now.ID != in.ID || now.Action != in.Action {
			return errSuperseded
		}
		now.set(statusBursting, actionIngest, e.clock.Now())
		return nil
	})
	if errors.Is(err, errSuperseded) {
		return nil, nil // the next tick sees what it is told to do instead
	}
	return in, err
}

// burst goes through pages for some time.
func (e *engine) burst(ctx context.Context, in *ingestion) error {
	last, err := e.ledger.marks(ctx, in, 1)
	if err != nil {
		return err
	}
	var cursor json.RawMessage
	sequence := 0
	if len(last) > 0 {
		cursor, sequence = last[0].cursor(), last[0].Sequence+1
	}
	first, began, done := sequence, e.clock.Now(), false
	err = e.source.around(ctx, func(ctx context.Context, get fetch) error {
		for !done {
			page, err := get(ctx, cursor)
			if err != nil {
				return fmt.Errorf("page %d: %w", sequence+1, err)
			}
			if err := e.take(ctx, in, sequence, page); err != nil {
				return err
			}
			sequence++
			cursor, done = page.next, page.next == nil
			if e.clock.Since(began) >= e.source.options.BurstLength || ctx.Err() != nil {
				break
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "A burst has ended", "ingestion", in.ID, "pages", sequence-first, "last", done)
	if done {
		return nil // and resting already
	}
	return e.settle(ctx, in, func(now time.Time, in *ingestion) {
		in.Attempts = 0
		in.set(statusInterstitial, actionIngest, now)
	})
}

// take gives a page to the catalog and marks it. What it brings is noted first: so whatever is in the catalog can be removed one day. The
// mark comes last: so a page without one is not in the catalog for certain, and is asked for again.
func (e *engine) take(ctx context.Context, in *ingestion, sequence int, p page) error {
	if err := e.ledger.saw(ctx, in, refsOf(p.entities)); err != nil {
		return err
	}
	var gone []string
	var rejected string
	if p.next == nil {
		var err error
		if gone, rejected, err = e.gone(ctx, in); err != nil {
			return err
		}
	}
	removed, err := parse(gone)
	if err != nil {
		return err
	}
	if err := e.conn.ApplyMutation(ctx, catalog.DeltaMutationOf(p.entities, removed)); err != nil {
		return fmt.Errorf("page %d: %w", sequence+1, err)
	}
	if err := e.ledger.forget(ctx, in.Provider, gone); err != nil {
		return err
	}
	return e.ledger.goOn(ctx, in, func(ctx context.Context, tx bun.Tx, in *ingestion) error {
		now := e.clock.Now()
		m := &mark{Provider: in.Provider, Ingestion: in.ID, Sequence: sequence, ID: uuid.NewString(), CreatedAt: now.UnixMilli()}
		if p.next == nil {
			in.set(statusResting, actionRest, now.Add(e.source.options.RestLength))
			if rejected != "" {
				in.fail(rejected)
			}
		} else {
			m.Cursor = new(string(p.next))
		}
		_, err := tx.NewInsert().Model(m).Exec(ctx)
		return err
	})
}

// gone are the entities to remove at the end of an ingestion, or why there are none although some are missing.
func (e *engine) gone(ctx context.Context, in *ingestion) (refs []string, rejected string, err error) {
	missing, seen, err := e.ledger.unseen(ctx, in)
	if err != nil || len(missing) == 0 {
		return nil, "", err
	}
	percent := 100.0
	if seen > 0 {
		percent = float64(len(missing)) / float64(seen) * 100
	}
	switch limit := e.source.options.RejectRemovalsAbovePercentage; {
	case e.source.options.RejectEmptySourceCollections && seen == 0:
		rejected = fmt.Sprintf("the source has no entities: %d are kept", len(missing))
	case limit > 0 && percent > limit:
		rejected = fmt.Sprintf("REMOVAL_THRESHOLD exceeded: %d entities are gone, and %d there: these are %.1f%%, more than %g%%; nothing is removed",
			len(missing), seen, percent, limit)
	default:
		e.log.InfoContext(ctx, "Entities are gone", "ingestion", in.ID, "entities", len(missing))
		return missing, "", nil
	}
	e.log.ErrorContext(ctx, "Entities are not removed", "ingestion", in.ID, "reason", rejected)
	return nil, rejected, nil
}

// settle ends a burst.
func (e *engine) settle(ctx context.Context, in *ingestion, change func(now time.Time, in *ingestion)) error {
	err := e.ledger.goOn(ctx, in, func(_ context.Context, _ bun.Tx, in *ingestion) error {
		change(e.clock.Now(), in)
		return nil
	})
	if errors.Is(err, errSuperseded) {
		return nil // whoever stopped it has said what is next
	}
	return err
}

// backOff has a failed burst tried again after a while.
func (e *engine) backOff(ctx context.Context, in *ingestion, failure error) error {
	waits := e.source.options.Backoff
	if len(waits) == 0 {
		waits = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 3 * time.Hour}
	}
	wait := waits[min(in.Attempts, len(waits)-1)]
	message := failure.Error()
	message = strings.ToValidUTF8(strings.ReplaceAll(message[:min(len(message), maxError)], "\x00", ""), "") // as PostgreSQL wants it
	// The failure may be that the time was up; that is still to be noted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), overtime)
	defer cancel()
	err := e.settle(ctx, in, func(now time.Time, in *ingestion) {
		in.fail(message)
		in.Attempts++
		in.set(statusBackingOff, actionBackoff, now.Add(wait))
	})
	return errors.Join(fmt.Errorf("ingestion of %s, which goes on in %s: %w", in.Provider, wait, failure), err)
}

// onEvent applies what an event changes.
func (e *engine) onEvent(ctx context.Context, event service.Event) error {
	m, err := e.source.events.OnEvent(ctx, event)
	if err != nil {
		return err
	}
	added, removed := m.Added(), m.Removed()
	switch {
	case m.Full():
		return fmt.Errorf("the incremental provider %s answers the event %s by a full mutation; only deltas are possible", e.source.name, event.Topic)
	case len(added) == 0 && len(removed) == 0:
		return nil
	}
	in, err := e.ledger.current(ctx, e.source.name)
	if err != nil {
		return err
	}
	if in == nil { // the first ingestion has yet to begin, and will see for itself
		return nil
	}
	if err := e.ledger.saw(ctx, in, refsOf(added)); err != nil {
		return err
	}
	if err := e.conn.ApplyMutation(ctx, m); err != nil {
		return err
	}
	gone := make([]string, len(removed))
	for i, ref := range removed {
		gone[i] = ref.String()
	}
	brought := refsOf(added)
	return e.ledger.forget(ctx, e.source.name, slices.DeleteFunc(gone, func(ref string) bool { return slices.Contains(brought, ref) }))
}

func refsOf(entities []catalog.DeferredEntity) []string {
	refs := make([]string, len(entities))
	for i, d := range entities {
		refs[i] = d.Entity.Ref().String()
	}
	return refs
}

func parse(refs []string) ([]catalogmodel.Ref, error) {
	parsed := make([]catalogmodel.Ref, len(refs))
	for i, ref := range refs {
		var err error
		if parsed[i], err = catalogmodel.ParseRef(ref, catalogmodel.RefDefaults{}); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}
