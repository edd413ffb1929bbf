package events

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/telemetry"
)

// MaxSize is how many bytes the topic, payload and metadata of an event may have together.
const MaxSize = 5 << 20

// Options are what a [Bus] is made of.
type Options struct {
	// Log is the logger of the backend.
	Log *slog.Logger
	// Database opens the database of the log, with its tables made by [Migrate]. It is called when somebody first publishes or subscribes.
	// Without it events stay in this process, where durable subscriptions are like others.
	Database func(context.Context) (*bun.DB, error)
	// Lease is how long the durable subscriptions of a replica that was killed wait until another one takes them over. Default: 15 seconds.
	Lease time.Duration
	// MaxAge is how long events are kept for durable subscriptions. Default: a day.
	MaxAge time.Duration
	// MaxEvents is how many events are kept for durable subscriptions. Default: 100,000.
	MaxEvents int64
	// Telemetry is who wants to know what is published and processed.
	Telemetry telemetry.Providers
}

// Bus passes events on: in this process, and through the log. Plugins use it by [Bus.ForPlugin]. Safe for concurrent use.
type Bus struct {
	options  Options
	observer *observer // nil if nobody wants to know
	writer   writer

	ctx     context.Context // ends with the stop
	cancel  context.CancelFunc
	running sync.WaitGroup // goroutines and calls of publish

	opening sync.Mutex // held while the database is being opened

	mu      sync.RWMutex // guards what follows
	stopped bool
	log     *eventLog                // nil before the database is open, and without one
	topics  map[string][]*subscriber // who is told in this process
	durable map[string]*subscriber   // by id
	ids     map[string]bool
	head    head
	wake    chan struct{} // has a value when durable subscriptions have changed
}

// subscriber is a subscription of a plugin.
type subscriber struct {
	service.Subscription
	id     string // "<plugin>.<id>"
	log    *slog.Logger
	bus    *Bus
	ctx    context.Context // ends with the subscription
	cancel context.CancelFunc
	active sync.WaitGroup // calls of OnEvent, and goroutines
}

// New returns a bus, which is used until [Bus.Stop].
func New(options Options) *Bus {
	if options.Lease == 0 {
		options.Lease = defaultLease
	}
	if options.MaxAge == 0 {
		options.MaxAge = defaultMaxAge
	}
	if options.MaxEvents == 0 {
		options.MaxEvents = defaultMaxEvents
	}
	b := &Bus{
		options: options,
		topics:  map[string][]*subscriber{},
		durable: map[string]*subscriber{},
		ids:     map[string]bool{},
		wake:    make(chan struct{}, 1),
	}
	b.writer.bus = b
	b.observer = newObserver(options.Telemetry, options.Log)
	b.head.changed = make(chan struct{})
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

const (
	defaultLease     = 15 * time.Second
	defaultMaxAge    = 24 * time.Hour
	defaultMaxEvents = 100_000
)

// Stop waits for what is being published, and ends all subscriptions.
func (b *Bus) Stop(ctx context.Context) error {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.cancel()
	return wait(ctx, &b.running, "events are still being passed on")
}

// wait waits for the group, until the context ends.
func wait(ctx context.Context, group *sync.WaitGroup, otherwise string) error {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("events: %s: %w", otherwise, ctx.Err())
	}
}

// publish implements service.Events.
func (b *Bus) publish(ctx context.Context, event service.Event) (err error) {
	if event, err = checked(event); err != nil {
		return err
	}
	if b.observer != nil {
		var published func(error)
		ctx, event, published = b.observer.publish(ctx, event)
		defer func() { published(err) }()
	}
	b.mu.RLock()
	if b.stopped {
		b.mu.RUnlock()
		return service.ServiceUnavailableError.Errorf("Events can't be published any more: the backend is stopping")
	}
	b.running.Add(1)
	b.mu.RUnlock()
	defer b.running.Done()

	log, err := b.open()
	if err != nil {
		return err
	}
	b.tell(ctx, event)
	if log == nil || !b.isStored(log, event.Topic) {
		return nil
	}
	stored, err := store(event)
	if err != nil {
		return err
	}
	return b.writer.write(ctx, log, stored)
}

// isStored tells whether somebody may read the events of a topic in the log.
func (b *Bus) isStored(log *eventLog, topic string) bool {
	if log.shared() {
		return true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, s := range b.durable {
		if slices.Contains(s.Topics, topic) {
			return true
		}
	}
	return false
}

// checked is the event as it is passed on.
func checked(event service.Event) (service.Event, error) {
	size := len(event.Topic) + len(event.Payload)
	for name, values := range event.Metadata {
		size += len(name)
		for _, v := range values {
			size += len(v)
		}
	}
	if len(event.Payload) == 0 {
		event.Payload = json.RawMessage("null")
	}
	switch {
	case event.Topic == "":
		return event, service.InputError.Errorf("An event needs a topic")
	case len(event.Topic) > 255:
		return event, service.InputError.Errorf("Topic %s… has more than 255 characters", event.Topic[:40])
	case size > MaxSize:
		return event, service.InputError.Errorf("The event of topic %s has %.1f MiB, more than the %d MiB that are allowed: publish where "+
			"to find the data instead", event.Topic, float64(size)/(1<<20), MaxSize>>20)
	case !utf8.Valid(event.Payload) || !json.Valid(event.Payload):
		return event, service.InputError.Errorf("The payload of the event of topic %s is not JSON in UTF-8", event.Topic)
	}
	return event, nil
}

// tell passes an event to those who are told in this process, side by side, and waits for them.
func (b *Bus) tell(ctx context.Context, event service.Event) {
	b.mu.RLock()
	subscribers := b.topics[event.Topic]
	for _, s := range subscribers {
		s.active.Add(1)
	}
	b.mu.RUnlock()
	var others sync.WaitGroup
	for n, s := range subscribers {
		if n == len(subscribers)-1 {
			s.told(ctx, event)
			break
		}
		others.Go(func() { s.told(ctx, event) })
	}
	others.Wait()
}

// told calls OnEvent. The context is not the publisher's: what has happened has happened, also when its request is over.
func (s *subscriber) told(ctx context.Context, event service.Event) {
	defer s.active.Done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if err := s.handle(ctx, event); err != nil {
		s.logFailure("a subscriber failed", event.Topic, err)
	}
}

func (s *subscriber) handle(ctx context.Context, event service.Event) (err error) {
	if o := s.bus.observer; o != nil {
		var processed func(error)
		ctx, processed = o.process(ctx, s.id, event)
		defer func() { processed(err) }()
	}
	defer panics.Recover(&err)
	return s.OnEvent(ctx, event)
}

func (s *subscriber) logFailure(message, topic string, err error) {
	s.log.Warn(message, panics.Attrs(err, "subscription", s.id, "topic", topic)...)
}

// open opens the database, if there is one, and begins to follow the log.
func (b *Bus) open() (*eventLog, error) {
	if b.options.Database == nil {
		return nil, nil
	}
	b.mu.RLock()
	log := b.log
	b.mu.RUnlock()
	if log != nil {
		return log, nil
	}
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.log != nil {
		return b.log, nil
	}
	// Others wait for this too: it doesn't end with the request of one.
	db, err := b.options.Database(b.ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the log of events (with events.useEventBus: never, they stay in the process): %w", err)
	}
	log = &eventLog{db: db, origin: rand.Text()}
	position, dropped, err := log.head(b.ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the log of events: %w", err)
	}
	b.head.advance(position, dropped)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return nil, service.ServiceUnavailableError.Errorf("The backend is stopping")
	}
	b.log = log
	b.running.Go(func() { b.watch(log) })
	b.running.Go(func() { b.keep(log) })
	return log, nil
}

// newSubscriber checks a subscription of a plugin.
func (b *Bus) newSubscriber(pluginID string, s service.Subscription, log *slog.Logger) (*subscriber, error) {
	switch {
	case s.ID == "":
		return nil, errors.New("events: a subscription needs an ID")
	case len(s.ID) > 150:
		return nil, fmt.Errorf("events: subscription %s… has an ID of more than 150 characters", s.ID[:40])
	case s.OnEvent == nil:
		return nil, fmt.Errorf("events: subscription %s needs an OnEvent function", s.ID)
	case len(s.Topics) == 0 || slices.Contains(s.Topics, ""):
		return nil, fmt.Errorf("events: subscription %s needs Topics", s.ID)
	}
	s.Topics = slices.Clone(s.Topics)
	slices.Sort(s.Topics)
	s.Topics = slices.Compact(s.Topics)
	added := &subscriber{Subscription: s, id: pluginID + "." + s.ID, log: log, bus: b}
	added.ctx, added.cancel = context.WithCancel(b.ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids[added.id] {
		return nil, fmt.Errorf("events: there is a subscription %s already", s.ID)
	}
	b.ids[added.id] = true
	return added, nil
}

// begin begins to pass events to a subscriber.
func (b *Bus) begin(ctx context.Context, s *subscriber) error {
	log, err := b.open()
	if err != nil {
		return fmt.Errorf("events: subscription %s: %w", s.ID, err)
	}
	if log != nil && s.Durable {
		if err := log.register(ctx, s.id, topicList(s.Topics), b.options.Lease); err != nil {
			return fmt.Errorf("events: subscription %s: registering it: %w", s.ID, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case log != nil && s.Durable:
		b.durable[s.id] = s
		b.attendSoon()
		return nil
	case log != nil && log.shared():
		from := b.head.position()
		s.active.Go(func() { b.follow(log, s, from) })
	}
	for _, topic := range s.Topics {
		b.topics[topic] = append(slices.Clip(b.topics[topic]), s)
	}
	return nil
}

// attendSoon has durable subscriptions taken or given back soon.
func (b *Bus) attendSoon() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// end ends a subscription, and waits for the calls of its OnEvent.
func (b *Bus) end(ctx context.Context, s *subscriber) error {
	b.mu.Lock()
	delete(b.ids, s.id)
	delete(b.durable, s.id)
	for _, topic := range s.Topics {
		b.topics[topic] = slices.DeleteFunc(slices.Clone(b.topics[topic]), func(other *subscriber) bool { return other == s })
	}
	b.mu.Unlock()
	s.cancel()
	b.attendSoon()
	return wait(ctx, &s.active, "subscription "+s.id+" is still busy")
}
