package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/events"
)

func TestEventsReachTheirSubscribersAtOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	all, some := newRecorder(), newRecorder()
	r := startReplica(t, events.Options{Log: slog.New(slog.NewTextHandler(&log, nil))},
		all.subscription("all", false, "push", "merge"),
		some.subscription("some", true, "push"),
		service.Subscription{ID: "moody", Topics: []string{"push"}, OnEvent: func(context.Context, service.Event) error {
			return errors.New("not today")
		}},
		service.Subscription{ID: "rude", Topics: []string{"merge"}, OnEvent: func(context.Context, service.Event) error {
			panic("go away")
		}},
	)
	r.publish(t, "push", 1)
	r.publish(t, "merge", "two")
	r.publish(t, "other", 3)
	expect(t, all.got, "push 1", `merge "two"`)
	expect(t, some.got, "push 1")
	for _, want := range []string{"not today", "panic: go away", "todo.moody"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.publish(t, "push", 4)
	expect(t, some.got, "push 1")
}

func TestHandlersOutliveTheRequestButNotThePlugin(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	r := startReplica(t, events.Options{}, service.Subscription{ID: "slow", Topics: []string{"push"}, OnEvent: func(ctx context.Context, _ service.Event) error {
		if ctx.Err() != nil {
			t.Error("the context has ended with the request")
		}
		close(began)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() { _ = r.Publish(ctx, service.Event{Topic: "push"}) }() // ends with the stop
	<-began
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-ended
}

func TestBadEventsAreRefused(t *testing.T) {
	t.Parallel()
	all := newRecorder()
	r := startReplica(t, events.Options{}, all.subscription("all", false, "push"))
	for name, c := range map[string]struct {
		event service.Event
		want  string
	}{
		"no topic":         {service.Event{Payload: json.RawMessage("1")}, "topic"},
		"an endless topic": {service.Event{Topic: strings.Repeat("x", 256)}, "255"},
		"no JSON":          {service.Event{Topic: "push", Payload: json.RawMessage("{")}, "JSON"},
		"no UTF-8":         {service.Event{Topic: "push", Payload: json.RawMessage("\"\xff\"")}, "UTF-8"},
		"ten megabytes":    {service.Event{Topic: "push", Payload: json.RawMessage(`"` + strings.Repeat("x", 10_000_000) + `"`)}, "5 MiB"},
		"huge metadata": {service.Event{Topic: "push", Metadata: map[string][]string{"x": {strings.Repeat("x", 6<<20)}}},
			"5 MiB"},
	} {
		err := r.Publish(t.Context(), c.event)
		if !errors.Is(err, service.InputError) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want an InputError about %s", name, err, c.want)
		}
	}
	expect(t, all.got)
}

func TestIncompleteSubscriptionsAreRefused(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, service.Event) error { return nil }
	topics := []string{"push"}
	r := startReplica(t, events.Options{}, service.Subscription{ID: "taken", Topics: topics, OnEvent: nothing})
	for name, s := range map[string]service.Subscription{
		"no id":          {Topics: topics, OnEvent: nothing},
		"an endless id":  {ID: strings.Repeat("x", 151), Topics: topics, OnEvent: nothing},
		"no topics":      {ID: "a", OnEvent: nothing},
		"an empty topic": {ID: "a", Topics: []string{""}, OnEvent: nothing},
		"no OnEvent":     {ID: "a", Topics: topics},
		"an id in use":   {ID: "taken", Topics: topics, OnEvent: nothing},
	} {
		if err := r.Subscribe(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Subscribe(service.Subscription{ID: "late", Topics: topics, OnEvent: nothing}); err == nil {
		t.Error("a subscription was accepted after the stop")
	}
	if err := r.bus.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(t.Context(), service.Event{Topic: "push"}); !errors.Is(err, service.ServiceUnavailableError) {
		t.Errorf("publishing after the stop: %v", err)
	}
}

func TestADatabaseThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	bus := events.New(events.Options{Log: slog.New(slog.DiscardHandler), Database: func(context.Context) (*bun.DB, error) {
		return nil, errors.New("nobody answers")
	}})
	all := newRecorder()
	e := bus.ForPlugin("todo", slog.New(slog.DiscardHandler))
	if err := e.Subscribe(all.subscription("all", true, "push")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"subscribing": e.Start(t.Context()),
		"publishing":  e.Publish(t.Context(), service.Event{Topic: "push"}),
	} {
		if err == nil || !strings.Contains(err.Error(), "nobody answers") || !strings.Contains(err.Error(), "events.useEventBus") {
			t.Errorf("%s: the error is %v", what, err)
		}
	}
	if err := bus.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
