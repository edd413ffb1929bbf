package msgraph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jonboulle/clockwork"
	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/service/integration"
)

const (
	// pageSize is the largest that Graph allows.
	pageSize = 999
	// maxTries is how often a request is made at most that fails on Graph's side. For throttling there is no limit but the task's timeout.
	maxTries = 5
	// throttlePause is waited where Graph doesn't say for how long.
	throttlePause = 10 * time.Second
	// requestTimeout is how long a request may take, with all of its answer.
	requestTimeout = time.Minute
	// maxAnswer and maxPhotoBytes bound what is read of an answer.
	maxAnswer     = 64 << 20
	maxPhotoBytes = 1 << 20
	// maxPhotoHeight is in pixels: larger photos make a catalog slow.
	maxPhotoHeight = 120
)

// client makes requests to Microsoft Graph. It is safe for concurrent use.
type client struct {
	settings settings
	http     *http.Client
	clock    clockwork.Clock
	log      *slog.Logger
}

func newClient(s settings, transport http.RoundTripper, clock clockwork.Clock, log *slog.Logger) *client {
	return &client{settings: s, http: &http.Client{Transport: transport, Timeout: requestTimeout}, clock: clock, log: log}
}

// session is a client with access tokens.
type session struct {
	*client
	tokens oauth2.TokenSource
}

// session begins to use Graph, until the context ends.
func (c *client) session(ctx context.Context) *session {
	return &session{c, tokens(context.WithValue(ctx, oauth2.HTTPClient, c.http), c.settings)}
}

// query is what is asked of a collection.
type query struct {
	filter, search, expand string
	fields                 []string
}

// collection asks for a collection, page by page. It ends with the first error.
func (s *session) collection(ctx context.Context, path string, q query, mode string) iter.Seq2[Object, error] {
	if q.search != "" {
		mode = "advanced" // it doesn't work otherwise
	}
	values := url.Values{"$top": {strconv.Itoa(pageSize)}}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("$search", q.search)
	set("$filter", q.filter)
	set("$expand", q.expand)
	set("$select", strings.Join(q.fields, ","))
	header := http.Header{}
	if mode == "advanced" {
		header.Set("ConsistencyLevel", "eventual")
		if q.filter != "" || len(q.fields) > 0 {
			values.Set("$count", "true")
		}
	}
	return func(yield func(Object, error) bool) {
		for next := s.address(path, values); next != ""; {
			var page struct {
				Value []Object `json:"value"`
				Next  string   `json:"@odata.nextLink"`
			}
			if err := s.get(ctx, path, next, header, &page); err != nil {
				yield(nil, err)
				return
			}
			for _, o := range page.Value {
				if !yield(o, nil) {
					return
				}
			}
			if page.Next != "" && !s.own(page.Next) {
				yield(nil, fmt.Errorf("reading %s from Microsoft Graph: the next page is said to be on another server", path))
				return
			}
			next = page.Next
		}
	}
}

// address is that of a path. OData servers don't take + for a blank.
func (s *session) address(path string, values url.Values) string {
	address := s.settings.Target + "/" + path
	if len(values) > 0 {
		address += "?" + strings.ReplaceAll(values.Encode(), "+", "%20")
	}
	return address
}

// own tells whether a URL is one of Graph, which alone may get the token.
func (s *session) own(address string) bool {
	target, err := url.Parse(s.settings.Target)
	u, nextErr := url.Parse(address)
	return err == nil && nextErr == nil && u.Scheme == target.Scheme && u.Host == target.Host
}

// object asks for one object.
func (s *session) object(ctx context.Context, path string) (o Object, err error) {
	err = s.get(ctx, path, s.address(path, nil), nil, &o)
	return o, err
}

// errNotFound is that Graph does not have what was asked for.
var errNotFound = errors.New("not found")

// photo is the photo of a user as a data URL, or empty if there is none.
func (s *session) photo(ctx context.Context, id string) (string, error) {
	base := "users/" + url.PathEscape(id) + "/photos"
	var all struct {
		Value []struct {
			ID     string `json:"id"`
			Height int    `json:"height"`
		} `json:"value"`
	}
	if err := s.get(ctx, base, s.address(base, nil), nil, &all); errors.Is(err, errNotFound) || err == nil && len(all.Value) == 0 {
		return "", nil
	} else if err != nil {
		return "", err
	}
	best := all.Value[0]
	for _, p := range all.Value[1:] {
		if p.Height >= best.Height && p.Height <= maxPhotoHeight {
			best = p
		}
	}
	path := base + "/" + url.PathEscape(best.ID) + "/$value"
	picture, err := s.bytes(ctx, path, s.address(path, nil), nil, maxPhotoBytes)
	if errors.Is(err, errNotFound) {
		return "", nil
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(picture), err
}

// get asks for JSON.
func (s *session) get(ctx context.Context, what, address string, header http.Header, into any) error {
	content, err := s.bytes(ctx, what, address, header, maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("reading %s from Microsoft Graph: the answer is not the expected JSON: %w", what, err)
	}
	return nil
}

// bytes asks until there is an answer or no point in asking again.
func (s *session) bytes(ctx context.Context, what, address string, header http.Header, limit int64) ([]byte, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = time.Second, 30*time.Second
	for tries := 1; ; {
		content, failed := s.once(ctx, address, header, limit)
		if failed == nil {
			return content, nil
		}
		err := fmt.Errorf("reading %s from Microsoft Graph: %w", what, failed.cause)
		pause := failed.retryAfter
		switch {
		case ctx.Err() != nil:
			return nil, err
		case failed.throttled:
			if pause == 0 {
				pause = throttlePause
			}
		case failed.temporary && tries < maxTries:
			tries++
			pause = pauses.NextBackOff()
		default:
			return nil, err
		}
		s.log.DebugContext(ctx, "A request to Microsoft Graph is repeated", "what", what, "pause", pause.String(), "error", failed.cause.Error())
		timer := s.clock.NewTimer(pause)
		select {
		case <-timer.Chan():
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w (gave up: %w)", err, context.Cause(ctx))
		}
	}
}

// failure is why a request failed.
type failure struct {
	cause                error
	throttled, temporary bool
	retryAfter           time.Duration
}

func (s *session) once(ctx context.Context, address string, header http.Header, limit int64) ([]byte, *failure) {
	token, err := s.tokens.Token()
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) { // its text has the whole answer
			return nil, &failure{
				cause:     fmt.Errorf("logging in: %s %s %s", refused.Response.Status, refused.ErrorCode, firstLine(refused.ErrorDescription)),
				temporary: refused.Response.StatusCode >= 500,
			}
		}
		return nil, &failure{cause: fmt.Errorf("logging in: %w", err), temporary: true}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &failure{cause: err}
	}
	for name, values := range header {
		r.Header[name] = slices.Clone(values)
	}
	r.Header.Set("Authorization", "Bearer "+token.AccessToken) // which redirects to other servers don't get
	res, err := s.http.Do(r)
	if err != nil {
		return nil, &failure{cause: err, temporary: true}
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, &failure{cause: err, temporary: true}
	case int64(len(content)) > limit:
		return nil, &failure{cause: fmt.Errorf("the answer is larger than %d MiB", limit>>20)}
	case res.StatusCode == http.StatusOK:
		return content, nil
	}
	return nil, s.refusal(res, content)
}

// refusal is what an answer means that is not what was asked for.
func (s *session) refusal(res *http.Response, content []byte) *failure {
	var answer struct {
		Error struct{ Code, Message string }
	}
	_ = json.Unmarshal(content, &answer) // proxies answer otherwise
	f := &failure{temporary: res.StatusCode >= 500}
	f.retryAfter, f.throttled = integration.RateLimit(res, s.clock.Now())
	switch {
	case res.StatusCode == http.StatusNotFound:
		f.cause = fmt.Errorf("%w: %s %s", errNotFound, answer.Error.Code, firstLine(answer.Error.Message))
	case answer.Error.Code != "":
		f.cause = fmt.Errorf("%s - %s", answer.Error.Code, firstLine(answer.Error.Message))
	default:
		f.cause = errors.New(res.Status)
	}
	return f
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}
