package urlreader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jonboulle/clockwork"
	"golang.org/x/time/rate"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

const (
	maxRedirects = 5
	// maxRetries is how often a request is repeated because the server asks to come back.
	maxRetries = 2
	// maxWait is the longest time that is waited for that: longer limits are for the caller to deal with.
	maxWait = 30 * time.Second
	// stallTimeout is how long a server may take to send the next bytes.
	stallTimeout = 60 * time.Second
	// requestTimeout is how long a request may take, with all of its answer.
	requestTimeout = 30 * time.Minute
	// maxJSON bounds the answers of APIs that are read into memory.
	maxJSON = 64 << 20
)

// client makes requests to sites.
type client struct {
	transport http.RoundTripper
	clock     clockwork.Clock
	rules     []rule
	limits    Limits
}

// site is a server as requests see it.
type site struct {
	// name is how messages call it.
	name string
	// bases are the URLs that credentials may be sent to. Requests may be redirected to their hosts, unless rulesOnly.
	bases []*url.URL
	// rulesOnly has redirects followed only to what the rules allow, which may be some paths of a host.
	rulesOnly bool
	// companions are further hosts that requests may be redirected to, without credentials.
	companions []string
	retry      integration.Retry
	limiter    *rate.Limiter // or nil
}

func (s *site) owns(u *url.URL) bool {
	return slices.ContainsFunc(s.bases, func(b *url.URL) bool { return b.Scheme == u.Scheme && b.Host == u.Host })
}

// mayRedirect tells whether requests to the site may be redirected to the URL.
func (c *client) mayRedirect(at *site, u *url.URL) bool {
	return !at.rulesOnly && (at.owns(u) || slices.Contains(at.companions, u.Host)) || c.allowed(u)
}

// allowed tells whether the rules allow the URL.
func (c *client) allowed(u *url.URL) bool {
	return slices.ContainsFunc(c.rules, func(r rule) bool { return r.allows(u) })
}

// request is what to get from where.
type request struct {
	url    *url.URL
	header http.Header
	as     integration.Credentials
	// subject is what messages say is read: the URL that the caller has given.
	subject string
}

func (r request) with(key, value string) request {
	header := r.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if value != "" {
		header.Set(key, value)
	}
	r.header = header
	return r
}

// get requests the URL until there is an answer that is a success. Other answers become errors. The body must be closed; it fails if the
// server stalls.
func (c *client) get(ctx context.Context, at *site, r request) (*http.Response, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 200*time.Millisecond, 10*time.Second
	for attempt := 0; ; attempt++ {
		res, err := c.follow(ctx, at, r)
		var wait time.Duration
		switch {
		case err != nil:
			// Connections are retried where that is configured, since a server that is down is then expected.
			if attempt >= at.retry.MaxRetries || ctx.Err() != nil || errors.Is(err, service.NotAllowedError) || errors.Is(err, service.InputError) {
				return nil, err
			}
			wait = pause.NextBackOff()
		case res.StatusCode >= 200 && res.StatusCode <= 299 && res.StatusCode != http.StatusNonAuthoritativeInfo:
			return res, nil
		default:
			err = c.failure(at, r, res)
			retryAfter, limited := integration.RateLimit(res, c.clock.Now())
			configured := attempt < at.retry.MaxRetries && slices.Contains(at.retry.StatusCodes, res.StatusCode)
			res.Body.Close()
			switch {
			case limited && retryAfter > 0 && retryAfter <= maxWait && (attempt < maxRetries || configured):
				wait = retryAfter
			case configured && retryAfter <= maxWait:
				wait = max(retryAfter, pause.NextBackOff())
			default:
				return nil, err
			}
		}
		timer := c.clock.NewTimer(wait)
		select {
		case <-timer.Chan():
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w (gave up: %w)", err, ctx.Err())
		}
	}
}

// follow makes a request and follows redirects to hosts that are allowed, each looked at anew. Credentials stay with the site.
func (c *client) follow(ctx context.Context, at *site, r request) (*http.Response, error) {
	target := r.url
	for hops := 0; ; hops++ {
		if at.limiter != nil {
			if err := at.limiter.Wait(ctx); err != nil {
				return nil, fmt.Errorf("%s: waiting for a turn at %s: %w", r.subject, at.name, err)
			}
		}
		res, err := c.once(ctx, at, r, target)
		if err != nil {
			return nil, err
		}
		location := res.Header.Get("Location")
		if !slices.Contains([]int{301, 302, 303, 307, 308}, res.StatusCode) || location == "" {
			return res, nil
		}
		res.Body.Close()
		if hops == maxRedirects {
			return nil, fmt.Errorf("%s: there are more than %d redirects", r.subject, maxRedirects)
		}
		joined, err := target.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("%s: the server redirects to something that isn't a URL", r.subject)
		}
		next, err := integration.ParseURL(joined.String())
		if err != nil {
			return nil, fmt.Errorf("%s: the server redirects to a URL that isn't followed: %w", r.subject, err)
		}
		if !c.mayRedirect(at, next) {
			return nil, service.NotAllowedError.Errorf("%s: the server redirects to %s://%s, which is not allowed; if it is to be read, add it to backend.reading.allow",
				r.subject, next.Scheme, next.Host)
		}
		if target.Scheme == "https" && next.Scheme == "http" && !c.allowed(next) {
			return nil, service.NotAllowedError.Errorf("%s: the server redirects from https to http, to %s", r.subject, next.Host)
		}
		target = next
	}
}

// once makes one request.
func (c *client) once(ctx context.Context, at *site, r request, target *url.URL) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		cancel()
		return nil, service.InputError.Errorf("%s: the request can't be made", r.subject)
	}
	for key, values := range r.header {
		req.Header[key] = values
	}
	req.Header.Set("User-Agent", "portico")
	if at.owns(target) && r.as.Authorization() != "" {
		req.Header.Set("Authorization", r.as.Authorization())
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %s can't be reached: %w", r.subject, target.Host, err)
	}
	res.Body = &stallingBody{ReadCloser: res.Body, clock: c.clock, cancel: cancel}
	return res, nil
}

// failure is the error of an answer that is no success.
func (c *client) failure(at *site, r request, res *http.Response) error {
	retryAfter, limited := integration.RateLimit(res, c.clock.Now())
	status := fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	switch {
	case res.StatusCode == http.StatusNotModified:
		return service.NotModifiedError.Errorf("%s has not changed", r.subject)
	case limited:
		when := ""
		if retryAfter > 0 {
			when = fmt.Sprintf("; it asks to come back in %s", retryAfter.Round(time.Second))
		}
		if r.as.Authorization() == "" {
			when += "; credentials below integrations raise the limit of most forges"
		}
		return service.ServiceUnavailableError.Errorf("%s: the rate limit of %s is exceeded (%s)%s", r.subject, at.name, status, when)
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		hint := ""
		if r.as.Authorization() == "" && at.bases != nil {
			hint = "; what is private can be read only with credentials below integrations"
		}
		return service.NotFoundError.Errorf("%s: %s has nothing there (%s)%s", r.subject, at.name, status, hint)
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusNonAuthoritativeInfo:
		if r.as.Authorization() == "" {
			return fmt.Errorf("%s: %s wants credentials (%s)", r.subject, at.name, status)
		}
		return fmt.Errorf("%s: %s refuses the credentials (%s): look whether they have expired, and may read this", r.subject, at.name, status)
	case res.StatusCode == http.StatusServiceUnavailable:
		return service.ServiceUnavailableError.Errorf("%s: %s is not available (%s)", r.subject, at.name, status)
	}
	return fmt.Errorf("%s: %s answered %s", r.subject, at.name, status)
}

// getJSON requests and decodes JSON. prefix is what the answer begins with before the JSON.
func (c *client) getJSON(ctx context.Context, at *site, r request, prefix string, into any) error {
	res, err := c.get(ctx, at, r.with("Accept", "application/json"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(limitReader(res.Body, maxJSON, r.subject))
	if err != nil {
		return fmt.Errorf("%s: the answer of %s: %w", r.subject, at.name, err)
	}
	if len(content) < len(prefix) || string(content[:len(prefix)]) != prefix {
		return fmt.Errorf("%s: the answer of %s is not the expected JSON", r.subject, at.name)
	}
	if err := json.Unmarshal(content[len(prefix):], into); err != nil {
		return fmt.Errorf("%s: the answer of %s is not the expected JSON", r.subject, at.name)
	}
	return nil
}

// file makes a file of an answer.
func (c *client) file(r request, res *http.Response) (*service.URLFile, error) {
	if res.ContentLength > c.limits.MaxFileSize {
		res.Body.Close()
		return nil, tooLarge(r.subject, c.limits.MaxFileSize)
	}
	modified, _ := http.ParseTime(res.Header.Get("Last-Modified"))
	return &service.URLFile{
		Body:         body{limitReader(res.Body, c.limits.MaxFileSize, r.subject), res.Body},
		ETag:         res.Header.Get("ETag"),
		LastModified: modified,
	}, nil
}

// conditional adds the conditions of the options to a request.
func conditional(r request, options service.URLReadOptions) request {
	r = r.with("If-None-Match", options.ETag)
	if !options.LastModifiedAfter.IsZero() {
		r = r.with("If-Modified-Since", options.LastModifiedAfter.UTC().Format(http.TimeFormat))
	}
	return r
}
