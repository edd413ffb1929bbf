package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/plugins/catalog/internal/feed"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

const (
	// pageSize is the most changes of one call.
	pageSize    = 100
	callTimeout = 20 * time.Second
	firstPause  = time.Second
	longestWait = time.Hour
	// longestAsked is the longest pause that a webhook is granted.
	longestAsked = 24 * time.Hour
	// patience is how long one may fail.
	patience = 5 * 24 * time.Hour
	// look is how often a webhook that is disabled is looked at: somebody may have enabled it on another replica.
	look = 10 * time.Second
)

// Deliverer calls one webhook. One replica at a time may run it.
type Deliverer struct {
	Webhook Webhook
	Store   *store.Store
	Feed    *feed.Feed
	Client  *http.Client
	Clock   clockwork.Clock
	Log     *slog.Logger
}

// NewClient returns a client for calling webhooks by a transport.
func NewClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // what is signed is meant for nobody else
	}}
}

// Run calls the webhook with what changes, until ctx ends or the database fails.
func (d *Deliverer) Run(ctx context.Context) error {
	state, err := d.state(ctx)
	if err != nil {
		return err
	}
	var page feed.Page // what is about to be delivered: every attempt has the same content
	for {
		now := d.Clock.Now().UnixMilli()
		switch {
		case state.DisabledAt > 0:
			if err := d.wait(ctx, look, nil); err != nil {
				return err
			}
			if state, err = d.state(ctx); err != nil {
				return err
			}
		case state.NextAttemptAt > now:
			if err := d.wait(ctx, time.Duration(state.NextAttemptAt-now)*time.Millisecond, nil); err != nil {
				return err
			}
			state.NextAttemptAt = 0
		case len(page.Changes) > 0:
			done, err := d.attempt(ctx, &state, page)
			if err != nil {
				return err
			}
			if done {
				page = feed.Page{}
			}
		default:
			if page, err = d.next(ctx, &state); err != nil {
				return err
			}
		}
	}
}

// state is what is known of the webhook. A new one begins with what changes from now on.
func (d *Deliverer) state(ctx context.Context) (store.Webhook, error) {
	for {
		known, err := d.Store.Webhooks(ctx, d.Webhook.ID)
		if err != nil {
			return store.Webhook{}, err
		}
		if len(known) > 0 {
			return known[0], nil
		}
		now, err := d.Feed.Now(ctx)
		if err == nil {
			err = d.Store.AddWebhook(ctx, store.Webhook{ID: d.Webhook.ID, Seq: int64(now)})
		}
		if err != nil {
			return store.Webhook{}, err
		}
	}
}

// next waits for changes that the webhook sees.
func (d *Deliverer) next(ctx context.Context, state *store.Webhook) (feed.Page, error) {
	page, err := d.Feed.Read(ctx, feed.Cursor(state.Seq), pageSize, d.Webhook.Where)
	if errors.Is(err, store.ErrForgotten) {
		start, err := d.Feed.Earliest(ctx)
		if err != nil {
			return page, err
		}
		d.Log.ErrorContext(ctx, "Changes were deleted before a webhook has got them (see catalog.history.retention); it is told so with the next ones",
			"webhook", d.Webhook.ID, "from", state.Seq, "to", int64(start))
		state.Seq, state.Lost = int64(start), true
		return feed.Page{}, d.Store.SaveWebhook(ctx, *state)
	}
	if err != nil || len(page.Changes) > 0 {
		return page, err
	}
	if state.Seq != int64(page.Next) {
		state.Seq = int64(page.Next)
		if err := d.Store.SaveWebhook(ctx, *state); err != nil {
			return page, err
		}
	}
	return page, d.wait(ctx, 0, d.Feed.Beyond(page.Next))
}

// wait waits for a time, if it is not zero, or for what the channel tells.
func (d *Deliverer) wait(ctx context.Context, pause time.Duration, ready <-chan struct{}) error {
	var passed <-chan time.Time
	if pause > 0 {
		timer := d.Clock.NewTimer(pause)
		defer timer.Stop()
		passed = timer.Chan()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-passed:
	case <-ready:
	}
	return nil
}

// attempt calls the webhook with changes and stores how that went.
func (d *Deliverer) attempt(ctx context.Context, state *store.Webhook, page feed.Page) (done bool, err error) {
	failure := d.call(ctx, *state, page)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	now := d.Clock.Now()
	if failure == nil {
		if state.Failures > 0 {
			d.Log.InfoContext(ctx, "A webhook works again", "webhook", d.Webhook.ID, "failures", state.Failures)
		}
		*state = store.Webhook{ID: state.ID, Seq: int64(page.Next), DeliveredAt: now.UnixMilli()}
		return true, d.Store.SaveWebhook(ctx, *state)
	}
	if state.Failures++; state.Failures == 1 {
		state.FailingSince = now.UnixMilli()
		d.Log.WarnContext(ctx, "A webhook failed, and is called again", "webhook", d.Webhook.ID, "url", d.Webhook.Address(), "error", failure.reason)
	}
	state.LastError = failure.reason
	state.NextAttemptAt = now.Add(max(failure.pause, pause(state.Failures))).UnixMilli()
	if failure.gone || now.Sub(time.UnixMilli(state.FailingSince)) >= patience {
		state.DisabledAt = now.UnixMilli()
		d.Log.ErrorContext(ctx, "A webhook was disabled, for it has failed for too long or does not want to be called any more; "+
			"enable it with POST /api/catalog/webhooks/"+d.Webhook.ID+"/enable",
			"webhook", d.Webhook.ID, "url", d.Webhook.Address(), "failures", state.Failures, "error", failure.reason)
	}
	return false, d.Store.SaveWebhook(ctx, *state)
}

// pause is how long to wait after so many failures.
func pause(failures int) time.Duration {
	most := min(longestWait, firstPause<<min(failures-1, 20))
	return most - rand.N(most/4) //nolint:gosec // spreads load
}

// failure is why a call was not a success.
type failure struct {
	reason string
	pause  time.Duration // that the webhook asks for
	gone   bool
}

// message is the body of a request.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	// Items are changes, as GET /changes answers them.
	Items []feed.Change `json:"items"`
	// Cursor is the place behind them.
	Cursor feed.Cursor `json:"cursor"`
	// Lost tells that changes before these were deleted before they could be delivered: what the receiver knows is incomplete.
	Lost bool `json:"lost,omitempty"`
}

func (d *Deliverer) call(ctx context.Context, state store.Webhook, page feed.Page) *failure {
	now := d.Clock.Now()
	items := page.Changes
	if !d.Webhook.Previous {
		items = make([]feed.Change, len(page.Changes))
		for i, change := range page.Changes {
			change.Previous = nil
			items[i] = change
		}
	}
	body, err := json.Marshal(message{"catalog.entities.changed", now.UTC(), data{items, page.Next, state.Lost}})
	if err != nil {
		return &failure{reason: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Webhook.URL.String(), bytes.NewReader(body))
	if err != nil {
		return &failure{reason: "the URL can't be requested"}
	}
	id := fmt.Sprintf("%s_%s-%s", d.Webhook.ID, items[0].Cursor, page.Next)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "portico-catalog")
	// Written as in the standard; names of headers have no case.
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", d.Webhook.sign(id, now, body))
	res, err := d.Client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may have secrets in it
		}
		return &failure{reason: err.Error()}
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16)) // so that the connection can be used again
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	return &failure{reason: "it answered " + res.Status, pause: retryAfter(res.Header.Get("Retry-After"), now), gone: res.StatusCode == http.StatusGone}
}

// retryAfter is the pause that a webhook asks for, in seconds or by a date.
func retryAfter(text string, now time.Time) time.Duration {
	asked := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		asked = time.Duration(min(seconds, int(longestAsked/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		asked = at.Sub(now)
	}
	return min(max(asked, 0), longestAsked)
}
