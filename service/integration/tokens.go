package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

const (
	// expiryMargin is how long before its end a token is no longer used, so that it lasts for a long download.
	expiryMargin = 10 * time.Minute
	// maxTokenAnswer bounds the answers of token endpoints.
	maxTokenAnswer = 4 << 20
)

// expiry is when a token ends.
type expiry struct{ at time.Time }

// cached is a value that is got when it is needed, by one goroutine for all, and got anew when it ends.
type cached[T any] struct {
	turn sync.Mutex // held by who reads or gets the value
	once bool
	wait chan struct{}

	value T
	until time.Time
}

// get returns the value. Who waits for another goroutine to get it stops waiting when ctx ends.
func (c *cached[T]) get(ctx context.Context, clock clockwork.Clock, fetch func(context.Context) (T, expiry, error)) (T, error) {
	for {
		c.turn.Lock()
		if c.once && clock.Now().Before(c.until) {
			defer c.turn.Unlock()
			return c.value, nil
		}
		if c.wait == nil {
			c.wait = make(chan struct{})
			c.turn.Unlock()
			return c.fetch(ctx, clock, fetch)
		}
		wait := c.wait
		c.turn.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func (c *cached[T]) fetch(ctx context.Context, clock clockwork.Clock, fetch func(context.Context) (T, expiry, error)) (value T, err error) {
	var end expiry
	done := false
	defer func() {
		c.turn.Lock()
		defer c.turn.Unlock()
		if done && err == nil {
			c.value, c.once = value, true
			// A token that lives for less than the margin is used for half of its life.
			now := clock.Now()
			c.until = end.at.Add(-min(expiryMargin, end.at.Sub(now)/2))
		}
		close(c.wait)
		c.wait = nil
	}()
	value, end, err = fetch(ctx)
	done = true
	return value, err
}

// forget has the value got anew.
func (c *cached[T]) forget() {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.once = false
}

// tokenClient gets tokens.
type tokenClient struct {
	http  *http.Client
	clock clockwork.Clock
}

// statusError is an answer of a token endpoint that is no success.
type statusError struct {
	what   string
	status int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: the server answered %d %s", e.what, e.status, http.StatusText(e.status))
}

// do sends a request and decodes the JSON of the answer. Neither errors of the transport nor answers are quoted in errors, since they
// may hold secrets.
func (t *tokenClient) do(r *http.Request, what string, into any) (http.Header, error) {
	res, err := t.http.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, &statusError{what: what, status: res.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxTokenAnswer)).Decode(into); err != nil {
		return nil, fmt.Errorf("%s: the answer is not the expected JSON", what)
	}
	return res.Header, nil
}

// oauth gets an access token by the client credentials grant (RFC 6749, section 4.4).
func (t *tokenClient) oauth(ctx context.Context, endpoint *url.URL, form url.Values, as Credentials) (string, expiry, error) {
	what := "getting an access token from " + endpoint.Host
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", expiry{}, fmt.Errorf("%s: %w", what, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if as.Authorization() != "" {
		r.Header.Set("Authorization", as.Authorization())
	}
	return t.accessToken(r, what)
}

// managedIdentity gets an access token from the metadata service of the Azure machine that the backend runs on.
func (t *tokenClient) managedIdentity(ctx context.Context, clientID, resource string) (string, expiry, error) {
	const what = "getting an access token of the managed identity"
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {resource}}
	if clientID != "system-assigned" {
		query.Set("client_id", clientID)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://169.254.169.254/metadata/identity/oauth2/token?"+query.Encode(), nil)
	if err != nil {
		return "", expiry{}, fmt.Errorf("%s: %w", what, err)
	}
	r.Header.Set("Metadata", "true")
	return t.accessToken(r, what)
}

func (t *tokenClient) accessToken(r *http.Request, what string) (string, expiry, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   any    `json:"expires_in"` // Azure's metadata service answers with a string
	}
	if _, err := t.do(r, what, &answer); err != nil {
		return "", expiry{}, err
	}
	if answer.AccessToken == "" {
		return "", expiry{}, fmt.Errorf("%s: the answer has no token", what)
	}
	seconds, err := strconv.ParseFloat(fmt.Sprint(answer.ExpiresIn), 64)
	if err != nil || !(seconds > 0) {
		seconds = time.Hour.Seconds()
	}
	seconds = min(seconds, (24 * time.Hour).Seconds())
	return answer.AccessToken, expiry{t.clock.Now().Add(time.Duration(seconds * float64(time.Second)))}, nil
}
