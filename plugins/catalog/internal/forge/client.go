package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"
	"golang.org/x/time/rate"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/telemetry"
)

const (
	// maxTries is how often a request is made at most if the server fails or asks to come back later.
	maxTries = 4
	// maxPause is the longest time that is waited for a rate limit. GitHub's and GitLab's begin anew after an hour at most.
	maxPause = time.Hour
	// limitPause is waited where a server doesn't tell for how long; GitHub asks for a minute then.
	limitPause = time.Minute
	// requestTimeout is how long a request may take, with all of its answer.
	requestTimeout = time.Minute
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 32 << 20
	// maxRedirects bounds the redirects within a server.
	maxRedirects = 5
)

// Transport makes the connections of clients, and records what they are asked. They are closed when the lifecycle stops.
func Transport(lifecycle fx.Lifecycle, t telemetry.Providers) http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	lifecycle.Append(fx.StopHook(transport.CloseIdleConnections))
	return t.Transport(transport)
}

// Client makes requests to the APIs of a server of a forge, with the credentials that are configured for it. It repeats requests that
// fail on the server's side, and waits where the server asks for that. Redirects are followed within the server only, so that it can't
// have the backend ask anything else. It is safe for concurrent use.
type Client struct {
	server  integration.Integration
	http    *http.Client
	clock   clockwork.Clock
	log     *slog.Logger
	retry   integration.Retry
	limiter *rate.Limiter // or nil
}

// Dependencies are what a client works with.
type Dependencies struct {
	Transport http.RoundTripper
	Clock     clockwork.Clock
	Log       *slog.Logger
}

// NewClient returns a client for a server. The retry adds to what is retried anyway, and may limit the number of requests.
func NewClient(server integration.Integration, retry integration.Retry, d Dependencies) *Client {
	c := &Client{server: server, clock: d.Clock, log: d.Log, retry: retry, http: &http.Client{Transport: d.Transport, CheckRedirect: stayThere}}
	if perMinute := retry.RequestsPerMinute; perMinute > 0 {
		c.limiter = rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
	}
	return c
}

// stayThere follows redirects of questions to the same server.
func stayThere(r *http.Request, via []*http.Request) error {
	first := via[0]
	if r.URL.Scheme != first.URL.Scheme || r.URL.Host != first.URL.Host || first.Method == http.MethodPost || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// Request is what to ask.
type Request struct {
	// What says what is asked for, in messages: "the repositories of acme".
	What string
	// At is what the credentials are for.
	At integration.Location
	// URL is below one of the bases of the server.
	URL *url.URL
	// Query is a GraphQL query, with its Variables. Without one, the URL is got.
	Query     string
	Variables map[string]any
}

// Get asks for JSON and decodes it into what into points to. The header is that of the answer. What isn't there is a NotFoundError.
func (c *Client) Get(ctx context.Context, r Request, into any) (http.Header, error) {
	var header http.Header
	err := c.do(ctx, http.MethodGet, r, func(res *http.Response) error {
		header = res.Header
		return decode(res, into)
	})
	return header, err
}

// Head asks whether something is there. What isn't there is a NotFoundError.
func (c *Client) Head(ctx context.Context, r Request) (http.Header, error) {
	var header http.Header
	err := c.do(ctx, http.MethodHead, r, func(res *http.Response) error {
		header = res.Header
		return nil
	})
	return header, err
}

// GraphQL asks the query of r and decodes the data into what into points to. An answer with errors is an error, though it may have data:
// it is incomplete.
func (c *Client) GraphQL(ctx context.Context, r Request, into any) error {
	return c.do(ctx, http.MethodPost, r, func(res *http.Response) error {
		var answer struct {
			Data   json.RawMessage
			Errors []graphQLError
		}
		if err := decode(res, &answer); err != nil {
			return err
		}
		if len(answer.Errors) > 0 {
			return c.graphQLFailure(res, answer.Errors)
		}
		if err := json.Unmarshal(answer.Data, into); err != nil {
			return errNotJSON
		}
		return nil
	})
}

// do makes a request until it succeeds or there is no point in trying again.
func (c *Client) do(ctx context.Context, method string, r Request, read func(*http.Response) error) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = time.Second, 30*time.Second
	for tries := 1; ; tries++ {
		err := c.once(ctx, method, r, read)
		if err == nil {
			return nil
		}
		f := c.failure(r, err)
		pause := f.retryAfter
		switch {
		case ctx.Err() != nil || tries >= max(maxTries, c.retry.MaxRetries+1):
			return f.error()
		case f.limited && pause == 0:
			pause = limitPause
		case f.temporary:
			pause = max(pause, pauses.NextBackOff())
		case !f.limited:
			return f.error()
		}
		if pause > maxPause {
			return f.error()
		}
		c.log.WarnContext(ctx, "A request to a forge failed, and is repeated", "what", r.What, "pause", pause.Round(time.Second).String(), "error", f)
		if err := c.sleep(ctx, pause); err != nil {
			return fmt.Errorf("%w (gave up: %w)", f.error(), err)
		}
	}
}

func (c *Client) sleep(ctx context.Context, pause time.Duration) error {
	timer := c.clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// once makes a request. Credentials are asked for each time, since they may have ended since the last page of a long list.
func (c *Client) once(ctx context.Context, method string, r Request, read func(*http.Response) error) error {
	if c.limiter != nil {
		if err := c.limiter.Wait(ctx); err != nil {
			return err
		}
	}
	as, err := c.server.Credentials(ctx, r.At)
	if err != nil {
		return &failure{cause: err, temporary: !errors.Is(err, service.NotAllowedError)}
	}
	// Not clockwork.WithTimeout: with a fake clock, Err of its contexts blocks until they end.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer c.clock.AfterFunc(requestTimeout, func() { cancel(errSlow) }).Stop()
	req, err := r.http(ctx, method, as)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err == nil {
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return c.statusFailure(res, as)
		}
		err = read(res)
	}
	if errors.Is(context.Cause(ctx), errSlow) && err != nil {
		return errSlow
	}
	return err
}

func (r Request) http(ctx context.Context, method string, as integration.Credentials) (*http.Request, error) {
	var body io.Reader
	if r.Query != "" {
		encoded, err := json.Marshal(map[string]any{"query": r.Query, "variables": r.Variables})
		if err != nil {
			return nil, fmt.Errorf("the question can't be encoded: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL.String(), body)
	if err != nil {
		return nil, fmt.Errorf("the request can't be made: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "portico")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if as.Authorization() != "" {
		req.Header.Set("Authorization", as.Authorization())
	}
	return req, nil
}

// decode decodes the JSON of an answer.
func decode(res *http.Response, into any) error {
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	if len(content) > maxAnswer {
		return errLarge
	}
	if err := json.Unmarshal(content, into); err != nil {
		return errNotJSON
	}
	return nil
}

// retries tells whether the status is one for which requests are repeated.
func (c *Client) retries(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return slices.Contains(c.retry.StatusCodes, status)
}
