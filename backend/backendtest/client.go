package backendtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Client calls the backend as somebody. Its methods fail the test if there is no answer at all; what the answer is, the test decides. The
// body of a response has been read completely and need not be closed.
type Client struct {
	t      testing.TB
	url    string
	token  string
	client *http.Client
}

// As returns a client for the user with the given entity ref ("user:default/guest").
func (b *Backend) As(t testing.TB, userRef string) *Client {
	return b.client(t, userToken(userRef))
}

// AsService returns a client for a service with the given name ("plugin:catalog", "external:ci").
func (b *Backend) AsService(t testing.TB, name string) *Client {
	return b.client(t, serviceToken(name))
}

// Anonymous returns a client without credentials.
func (b *Backend) Anonymous(t testing.TB) *Client {
	return b.client(t, "")
}

func (b *Backend) client(t testing.TB, token string) *Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{t: t, url: b.URL(), token: token, client: &http.Client{
		Transport:     transport,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Get requests the path, which may have a query.
func (c *Client) Get(path string) *http.Response {
	c.t.Helper()
	return c.Do(http.MethodGet, path, nil)
}

// Post posts the body to the path; see [Client.Do].
func (c *Client) Post(path string, body any) *http.Response {
	c.t.Helper()
	return c.Do(http.MethodPost, path, body)
}

// Do sends a request. The body is nil, an io.Reader that is sent as it is, or a value that is sent as JSON.
func (c *Client) Do(method, path string, body any) *http.Response {
	c.t.Helper()
	reader, isReader := body.(io.Reader)
	if body != nil && !isReader {
		encoded, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil && !isReader {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(content))
	return res
}

// JSON decodes the answer's body into a T. The test fails if it isn't JSON of that form.
func JSON[T any](t testing.TB, res *http.Response) T {
	t.Helper()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(content))
	var v T
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%s answered %s, which is not the expected JSON: %v\n%s", res.Request.URL.Path, res.Status, err, strings.TrimSpace(string(content)))
	}
	return v
}
