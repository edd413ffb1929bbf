package httpclient

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

// serverRequest is the request as the handler would have got it from a connection.
func serverRequest(ctx context.Context, req *http.Request, body *requestBody, authorization string) (*http.Request, error) {
	header, err := serverHeader(req.Header, authorization)
	if err != nil {
		return nil, err
	}
	uri := req.URL.RequestURI()
	target, err := parseTarget(req.URL, uri)
	if err != nil {
		return nil, err
	}
	made := &struct { // at once, which is cheaper
		request http.Request
		target  url.URL
	}{*new(http.Request).WithContext(ctx), target}
	r := &made.request
	r.Method, r.URL, r.RequestURI, r.Host = req.Method, &made.target, uri, req.Host
	r.Proto, r.ProtoMajor, r.ProtoMinor, r.RemoteAddr = "HTTP/1.1", 1, 1, "127.0.0.1:0"
	r.Header, r.Body = header, http.NoBody
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Host == "" {
		r.Host = req.URL.Host
	}
	switch {
	case body != nil:
		r.Body, r.ContentLength = body, body.length
		if r.ContentLength < 0 {
			r.TransferEncoding = []string{"chunked"}
		} else {
			header["Content-Length"] = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		if len(req.Trailer) > 0 {
			r.Trailer = make(http.Header, len(req.Trailer))
			for name := range req.Trailer {
				r.Trailer[name] = nil
			}
			trailer := r.Trailer // and not the request, which would have to be allocated for it
			body.atEnd = func() { maps.Copy(trailer, req.Trailer) }
		}
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		header["Content-Length"] = []string{"0"}
	}
	return r, nil
}

// parseTarget is the URL of a request as a server makes it of the request line. The most common ones need no parsing.
func parseTarget(u *url.URL, uri string) (url.URL, error) {
	if u.RawPath == "" && u.Opaque == "" && !strings.ContainsFunc(u.RawQuery, unicode.IsControl) {
		return url.URL{Path: u.Path, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}, nil
	}
	target, err := url.ParseRequestURI(uri)
	if err != nil {
		return url.URL{}, err
	}
	return *target, nil
}

// serverHeader is the header of a request as the handler gets it, with the authorization if there is one.
func serverHeader(sent http.Header, authorization string) (http.Header, error) {
	c := newHeaderCopy(len(sent) + 3)
	for name, values := range sent {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("invalid header field name %q", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("invalid header field value for %q", name) // which may be a secret
			}
		}
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
		default:
			c.set(http.CanonicalHeaderKey(name), values...)
		}
	}
	if authorization != "" {
		c.set("Authorization", authorization)
	}
	if agent, ok := c.header["User-Agent"]; !ok {
		c.set("User-Agent", "Go-http-client/1.1")
	} else if len(agent) > 0 && agent[0] == "" {
		delete(c.header, "User-Agent")
	}
	return c.header, nil
}

// requestBody is the body of the request on the side of the handler.
type requestBody struct {
	body   io.ReadCloser
	length int64 // negative if unknown
	left   int64
	atEnd  func()

	mu     sync.Mutex
	closed bool
}

// newRequestBody returns nil if the request has no body.
func newRequestBody(req *http.Request) *requestBody {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	b := &requestBody{body: req.Body, length: req.ContentLength, left: req.ContentLength}
	if b.length == 0 {
		b.length = -1 // a body of unknown length
	}
	return b
}

// Read reads as much as was announced.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.length >= 0 {
		if b.left == 0 {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if err == io.EOF { //nolint:errorlint // readers return it as it is
		if b.length >= 0 && b.left > 0 {
			err = io.ErrUnexpectedEOF
		}
		if b.atEnd != nil {
			b.atEnd()
			b.atEnd = nil
		}
	}
	return n, err
}

// Close implements io.Closer for the handler, for whom the body is over then.
func (b *requestBody) Close() error {
	b.close()
	return nil
}

// close ends the body, as the one who sends a request has to.
func (b *requestBody) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		_ = b.body.Close() // nobody is left to be told
	}
}
