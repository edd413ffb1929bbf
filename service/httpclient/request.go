package httpclient

import (
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
func (x *exchange) serverRequest() (*http.Request, error) {
	uri := x.req.URL.RequestURI()
	target, err := parseTarget(x.req.URL, uri)
	if err != nil {
		return nil, err
	}
	header := x.sent
	r := new(http.Request).WithContext(x.ctx) // which copies it
	r.Method, r.URL, r.RequestURI, r.Host = x.req.Method, target, uri, x.req.Host
	r.Proto, r.ProtoMajor, r.ProtoMinor, r.RemoteAddr = "HTTP/1.1", 1, 1, "127.0.0.1:0"
	r.Header, r.Body = header, http.NoBody
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Host == "" {
		r.Host = x.req.URL.Host
	}
	switch {
	case x.request.body != nil:
		r.Body, r.ContentLength = &x.request, x.request.length
		if r.ContentLength < 0 {
			r.TransferEncoding = []string{"chunked"}
		} else {
			header["Content-Length"] = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		if len(x.req.Trailer) > 0 {
			r.Trailer = make(http.Header, len(x.req.Trailer))
			for name := range x.req.Trailer {
				r.Trailer[name] = nil
			}
			trailer := r.Trailer // and not the request, which would have to be allocated for it
			x.request.atEnd = func() { maps.Copy(trailer, x.req.Trailer) }
		}
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		header["Content-Length"] = []string{"0"}
	}
	return r, nil
}

// parseTarget is the URL of a request as a server makes it of the request line. The most common ones need no parsing.
func parseTarget(u *url.URL, uri string) (*url.URL, error) {
	if u.RawPath == "" && u.Opaque == "" && !strings.ContainsFunc(u.RawQuery, unicode.IsControl) {
		return &url.URL{Path: u.Path, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}, nil
	}
	return url.ParseRequestURI(uri)
}

// serverHeader is the header of a request as the handler gets it, with the token if there is one.
func serverHeader(sent http.Header, token string) (http.Header, error) {
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
	if token != "" {
		c.set("Authorization", "Bearer "+token)
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
	body   io.ReadCloser // nil if there is none
	length int64         // negative if unknown
	left   int64
	atEnd  func()

	mu     sync.Mutex
	closed bool
}

func (b *requestBody) init(req *http.Request) {
	if req.Body == nil || req.Body == http.NoBody {
		return
	}
	b.body, b.length, b.left = req.Body, req.ContentLength, req.ContentLength
	if b.length == 0 {
		b.length = -1 // a body of unknown length
	}
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
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first && b.body != nil {
		_ = b.body.Close() // nobody is left to be told
	}
}
