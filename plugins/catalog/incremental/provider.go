package incremental

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// Provider is a source of entities that is read page by page. Client is what pages are fetched with, such as a connection. Cursor says
// where a page begins; it is kept as JSON between bursts. The methods are called by one goroutine at a time.
type Provider[Client, Cursor any] interface {
	// Name tells the provider from others. It must never change: the catalog remembers by it what the provider has brought. It has up
	// to 100 bytes.
	Name() string
	// Around makes a client, calls burst with it once, closes the client, and returns the error of burst. The context ends when the
	// burst has to.
	Around(ctx context.Context, burst func(context.Context, Client) error) error
	// Next fetches the page at the cursor, or the first page if that is nil. An error has the page fetched again after a while.
	Next(ctx context.Context, client Client, cursor *Cursor) (Page[Cursor], error)
}

// ErrCancel is an error for [Provider.Next] that has the ingestion begin anew, from the first page.
var ErrCancel = errors.New("CANCEL")

// Page is one of the pages of a source.
type Page[Cursor any] struct {
	// Entities are what the page has. It may be empty, even if it is not the last page.
	Entities []catalog.DeferredEntity
	// Next is the cursor of the page after this one. Nil: this is the last page.
	Next *Cursor
}

// EventHandler is a [Provider] that also learns of changes by events.
type EventHandler interface {
	// Topics are the topics of the events that tell of changes. Without any, there are no events.
	Topics() []string
	// OnEvent answers what an event changes, made with catalog.DeltaMutation; the zero Mutation is nothing. The same event may come twice,
	// and does after an error. It may be called during a burst.
	OnEvent(ctx context.Context, event service.Event) (catalog.Mutation, error)
}

// Options are the rhythm and the caution with which a source is read. They can be decoded from the configuration, with the keys of
// Backstage.
type Options struct {
	// BurstInterval is the time from the beginning of one burst to that of the next, at least 5 seconds. Required.
	BurstInterval time.Duration `config:"burstInterval" schema:"required" doc:"The time from the beginning of one burst of pages to that of the next."`
	// BurstLength is how long a burst goes on asking for pages. Required.
	BurstLength time.Duration `config:"burstLength" schema:"required" doc:"How long a burst goes on asking for pages."`
	// RestLength is the time from the end of one ingestion to the beginning of the next. Required.
	RestLength time.Duration `config:"restLength" schema:"required" doc:"The time from the end of one ingestion to the beginning of the next."`
	// Backoff are the times after which a burst that has failed is tried again: the first one after the first failure, and so on; the last
	// one applies to all further failures. The default is 1, 5 and 30 minutes, and 3 hours.
	Backoff []time.Duration `config:"backoff" doc:"After which time a failed burst is tried again: the first time, the second time, ..."`
	// RejectRemovalsAbovePercentage keeps all entities if more would be removed than this percentage of those that the source has. Zero
	// is no limit.
	RejectRemovalsAbovePercentage float64 `config:"rejectRemovalsAbovePercentage" schema:"min=0" doc:"Keep all entities if more than this percentage would be removed."`
	// RejectEmptySourceCollections keeps all entities if the source has none at all.
	RejectEmptySourceCollections bool `config:"rejectEmptySourceCollections" doc:"Keep all entities if the source has none at all."`
}

// Source is a [Provider] with its options. Make one with [NewSource].
type Source struct {
	name    string
	options Options
	events  EventHandler // or nil
	around  func(context.Context, func(context.Context, fetch) error) error
}

// NewSource makes the source of a provider. A provider that is an [EventHandler] also gets events.
func NewSource[Client, Cursor any](p Provider[Client, Cursor], options Options) Source {
	events, _ := p.(EventHandler)
	return Source{
		name: p.Name(), options: options, events: events,
		around: func(ctx context.Context, burst func(context.Context, fetch) error) error {
			return p.Around(ctx, func(ctx context.Context, client Client) error {
				return burst(ctx, func(ctx context.Context, cursor json.RawMessage) (page, error) {
					return next(ctx, p, client, cursor)
				})
			})
		},
	}
}

// Name is the name of the provider.
func (s Source) Name() string { return s.name }

// fetch gets the page at a cursor, or the first one.
type fetch func(ctx context.Context, cursor json.RawMessage) (page, error)

// page is a [Page] whose cursor is JSON.
type page struct {
	entities []catalog.DeferredEntity
	next     json.RawMessage
}

func next[Client, Cursor any](ctx context.Context, p Provider[Client, Cursor], client Client, at json.RawMessage) (page, error) {
	var cursor *Cursor
	if at != nil {
		cursor = new(Cursor)
		if err := json.Unmarshal(at, cursor); err != nil {
			return page{}, fmt.Errorf("the cursor %s of the last page is not one of this version of the provider: POST /api/catalog"+
				"/incremental/providers/%s/start begins anew: %w", at, p.Name(), err)
		}
	}
	found, err := p.Next(ctx, client, cursor)
	if err != nil || found.Next == nil {
		return page{entities: found.Entities}, err
	}
	following, err := json.Marshal(found.Next)
	if err != nil {
		return page{}, fmt.Errorf("the cursor of the next page: %w", err)
	}
	return page{entities: found.Entities, next: following}, nil
}

// maxName is the length of names that the database has room for.
const maxName = 100

func (s Source) validate() error {
	switch o := s.options; {
	case s.around == nil:
		return errors.New("a source must be made with incremental.NewSource")
	case s.name == "" || len(s.name) > maxName:
		return fmt.Errorf("an incremental provider has the name %q, which must have 1 to %d bytes", s.name, maxName)
	case o.BurstInterval <= 0 || o.BurstLength <= 0 || o.RestLength <= 0:
		return fmt.Errorf("the incremental provider %s needs a BurstInterval, a BurstLength and a RestLength", s.name)
	case o.RejectRemovalsAbovePercentage < 0:
		return fmt.Errorf("the incremental provider %s has a negative RejectRemovalsAbovePercentage", s.name)
	}
	for _, wait := range s.options.Backoff {
		if wait <= 0 {
			return fmt.Errorf("the incremental provider %s has a Backoff of %s, which must be positive", s.name, wait)
		}
	}
	return nil
}
