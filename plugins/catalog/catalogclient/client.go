package catalogclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
)

// Client calls the catalog. It is safe for concurrent use. Errors are *service.Error with the name that the catalog answered, or tell why
// there was no answer.
type Client struct {
	discovery service.Discovery
	http      *http.Client
}

// timeout bounds a call, unless the HTTP client brings its own.
const timeout = 30 * time.Second

// New returns a client that finds the catalog by discovery. Without an HTTP client it uses one of its own.
func New(discovery service.Discovery, client *http.Client) *Client {
	if client == nil {
		client = &http.Client{Timeout: timeout}
	}
	return &Client{discovery: discovery, http: client}
}

// DefaultService implements service.Defaulter: each plugin that asks for a *Client gets one.
func (*Client) DefaultService() service.Service {
	type deps struct {
		fx.In

		Discovery service.Discovery
		HTTP      *http.Client `optional:"true"`
	}
	return service.PerPlugin[*Client](func(d deps) *Client { return New(d.Discovery, d.HTTP) })
}

// maxAnswer is the size up to which answers are read.
const maxAnswer = 1 << 30

// get requests a path of the catalog and decodes the answer.
func (c *Client) get(ctx context.Context, path string, answer any) error {
	_, err := c.do(ctx, http.MethodGet, path, nil, answer)
	return err
}

// post sends a body to a path of the catalog and decodes the answer.
func (c *Client) post(ctx context.Context, path string, body, answer any) error {
	_, err := c.do(ctx, http.MethodPost, path, body, answer)
	return err
}

// do makes a request and decodes its answer, unless that is nil. A body is sent as JSON.
func (c *Client) do(ctx context.Context, method, path string, body, answer any) (status int, err error) {
	base, err := c.discovery.BaseURL(ctx, "catalog")
	if err != nil {
		return 0, err
	}
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, sent)
	if err != nil {
		return 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	received := io.LimitReader(res.Body, maxAnswer)
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return res.StatusCode, failure(res, received)
	}
	if answer == nil {
		return res.StatusCode, nil
	}
	if err := json.NewDecoder(received).Decode(answer); err != nil {
		return res.StatusCode, fmt.Errorf("the answer can't be read: %w", err)
	}
	return res.StatusCode, nil
}

// failureError is an answer that isn't one of Backstage's errors.
type failureError struct {
	status string
	body   []byte
}

func (e *failureError) Error() string { return "it answered " + e.status }

// failure is the error that the catalog has answered.
func failure(res *http.Response, body io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if answered := service.DecodeError(text); err == nil && answered != nil {
		return answered
	}
	return &failureError{res.Status, text}
}
