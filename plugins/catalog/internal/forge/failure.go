package forge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

var (
	errSlow    = fmt.Errorf("it hasn't answered within %s", requestTimeout)
	errLarge   = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	errNotJSON = errors.New("the answer is not the expected JSON")
	errBroken  = errors.New("the answer ended early")
)

// maxMessage is how much of a server's own words is shown.
const maxMessage = 300

// failure is why a request failed.
type failure struct {
	prefix string
	// cause is what has gone wrong, as a phrase.
	cause error
	// name is the kind of the error, or empty.
	name service.ErrorName
	// temporary tells that trying again may help.
	temporary bool
	// limited tells that there were too many requests, retryAfter when to come back, if that is known.
	limited    bool
	retryAfter time.Duration
}

// Error is the cause.
func (f *failure) Error() string { return f.cause.Error() }

// error is the failure for callers.
func (f *failure) error() error {
	if f.name != "" {
		return f.name.Errorf("%s: %w", f.prefix, f.cause)
	}
	return fmt.Errorf("%s: %w", f.prefix, f.cause)
}

// failure is what an error of a request means. An error of the transport may be temporary; its words are without the URL.
func (c *Client) failure(r Request, err error) *failure {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{cause: err, temporary: errors.Is(err, errSlow) || errors.Is(err, errNotJSON) || errors.Is(err, errBroken)}
		var failed *url.Error
		if errors.As(err, &failed) {
			f.cause, f.temporary = fmt.Errorf("it can't be reached: %w", failed.Err), true
		}
	}
	f.prefix = fmt.Sprintf("asking %s for %s", c.server.Host(), r.What)
	return f
}

// statusFailure is that of an answer that is no success.
func (c *Client) statusFailure(res *http.Response, as integration.Credentials) *failure {
	status := fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	f := &failure{temporary: c.retries(res.StatusCode), cause: fmt.Errorf("it answered %s", status)}
	f.retryAfter, f.limited = integration.RateLimit(res, c.clock.Now())
	head, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err == nil && strings.Contains(string(head), "secondary rate limit") {
		f.limited = true // GitHub, whose answer need not have any header that tells
	}
	anonymous := as.Authorization() == ""
	switch {
	case f.limited:
		f.limit(status)
	case res.StatusCode >= 300 && res.StatusCode <= 399:
		f.cause = fmt.Errorf("it answered %s, a redirect that isn't followed: look whether the apiBaseUrl is right", status)
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		f.name, f.cause = service.NotFoundError, fmt.Errorf("there is nothing (%s), or nothing that the credentials may see", status)
	case (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden) && anonymous:
		f.name, f.cause = service.NotAllowedError, fmt.Errorf("it wants credentials (%s): configure them below integrations.%s", status, c.server.Type())
	case res.StatusCode == http.StatusUnauthorized:
		f.name, f.cause = service.AuthenticationError, fmt.Errorf("it refuses the credentials (%s): look whether they have expired", status)
	case res.StatusCode == http.StatusForbidden:
		f.name, f.cause = service.NotAllowedError, fmt.Errorf("the credentials don't allow that (%s)", status)
	}
	return f
}

func (f *failure) limit(status string) {
	when := ""
	if f.retryAfter > 0 {
		when = fmt.Sprintf("; it asks to come back in %s", f.retryAfter.Round(time.Second))
	}
	f.name, f.cause = service.ServiceUnavailableError, fmt.Errorf("its rate limit is exceeded (%s)%s", status, when)
}

// IsRefused tells whether a server has answered that there is nothing, or nothing for the credentials: asking again is of no use.
func IsRefused(err error) bool {
	return errors.Is(err, service.NotFoundError) || errors.Is(err, service.NotAllowedError) || errors.Is(err, service.AuthenticationError)
}

type graphQLError struct {
	Type    string
	Message string
}

// graphQLFailure is that of an answer with errors in it. GitHub tells of rate limits that way too.
func (c *Client) graphQLFailure(res *http.Response, errs []graphQLError) *failure {
	f := &failure{}
	for _, e := range errs {
		if e.Type != "RATE_LIMITED" && e.Type != "RATE_LIMIT" {
			continue
		}
		as := *res
		as.StatusCode = http.StatusTooManyRequests
		f.retryAfter, f.limited = integration.RateLimit(&as, c.clock.Now())
		f.limit(e.Type)
		return f
	}
	message := errs[0].Message
	if len(message) > maxMessage {
		message = message[:maxMessage] + "…"
	}
	f.cause = fmt.Errorf("it answered with an error: %q", message)
	if errs[0].Type == "NOT_FOUND" {
		f.name = service.NotFoundError
	}
	return f
}
