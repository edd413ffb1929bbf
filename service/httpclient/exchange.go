package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	// heldBack is how much of an answer is kept until its header goes out, as in net/http: a shorter one gets a Content-Length.
	heldBack = 2048
	// window is how much may be written that has not been read.
	window = 64 << 10
)

var errClientGone = errors.New("httpclient: the client has gone away")

// exchange is a request that is served in memory, and its answer. It is the http.ResponseWriter of the handler.
type exchange struct {
	req     *http.Request
	request *requestBody
	stop    func() bool // ends looking at the caller's context

	header   http.Header // of the handler
	snapshot http.Header // as it was when the status was written
	status   int
	length   int64 // as the handler has announced; negative if it hasn't
	written  int64
	cancel   context.CancelFunc // ends the handler's context; set before the handler runs

	mu        sync.Mutex // guards what follows; the handler's side and the caller's meet here
	changed   sync.Cond
	committed bool // the header is out
	buffer    []byte
	read      int // how much of the buffer has been read
	ended     bool
	err       error // what the caller gets after what is in the buffer
	closed    bool  // by the caller
	answer    *http.Response
	trailer   http.Header // after the end
}

// newExchange checks the request, as net/http does before it sends one.
func newExchange(req *http.Request) (*exchange, error) {
	for name, values := range req.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("invalid header field name %q", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("invalid header field value for %q", name) // which may be a secret
			}
		}
	}
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) { // both are tokens
		return nil, fmt.Errorf("invalid method %q", req.Method)
	}
	x := &exchange{req: req, request: newRequestBody(req), header: http.Header{}, length: -1}
	x.changed.L = &x.mu
	return x, nil
}

// serve runs the handler.
func (x *exchange) serve(lifetime context.Context, handler http.Handler, log *slog.Logger) {
	ctx, cancel := context.WithCancel(lifetime)
	defer cancel()
	x.mu.Lock()
	x.cancel = cancel
	gone := x.closed || x.err != nil
	x.mu.Unlock()
	if gone {
		cancel()
	}
	var failure error
	func() {
		defer func() {
			if v := recover(); v != nil {
				failure = io.ErrUnexpectedEOF
				if v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
					log.Error("A handler has panicked", "method", x.req.Method, "path", x.req.URL.Path, "error", v, "stack", string(debug.Stack()))
				}
			}
		}()
		r, err := x.serverRequest(ctx)
		if err != nil {
			x.WriteHeader(http.StatusBadRequest)
			return
		}
		handler.ServeHTTP(x, r)
	}()
	x.request.close()
	x.finish(failure)
}

// serverRequest is the request as the handler would have got it from a connection.
func (x *exchange) serverRequest(ctx context.Context) (*http.Request, error) {
	uri := x.req.URL.RequestURI()
	target, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	header := x.req.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	for name, values := range header {
		switch canonical := http.CanonicalHeaderKey(name); {
		case name == "Host" || name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer" || name == "Connection":
			delete(header, name)
		case canonical != name:
			delete(header, name)
			header[canonical] = values
			fallthrough
		default:
			oneLine(values)
		}
	}
	if agent, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = []string{"Go-http-client/1.1"}
	} else if len(agent) > 0 && agent[0] == "" {
		delete(header, "User-Agent")
	}
	r := &http.Request{
		Method: x.req.Method, URL: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Host: x.req.Host,
		RemoteAddr: "127.0.0.1:0", RequestURI: uri, Body: http.NoBody,
	}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Host == "" {
		r.Host = x.req.URL.Host
	}
	switch {
	case x.request.body != nil:
		r.Body, r.ContentLength = x.request, x.request.length
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
			x.request.atEnd = func() { maps.Copy(r.Trailer, x.req.Trailer) }
		}
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		header["Content-Length"] = []string{"0"}
	}
	return r.WithContext(ctx), nil
}

// response waits for the header of the answer.
func (x *exchange) response() (*http.Response, error) {
	ctx := x.req.Context()
	stop := context.AfterFunc(ctx, func() { x.abort(context.Cause(ctx)) })
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stop = stop
	for !x.committed && x.err == nil {
		x.changed.Wait()
	}
	if !x.committed {
		stop()
		return nil, x.err
	}
	return x.answer, nil
}

// abort ends the exchange from the side of the caller.
func (x *exchange) abort(err error) {
	x.mu.Lock()
	if x.err == nil {
		x.err = err
	}
	cancel := x.cancel
	x.changed.Broadcast()
	x.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	x.request.close()
}

// finish ends the exchange from the side of the handler.
func (x *exchange) finish(failure error) {
	if failure == nil && x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	if failure == nil && (x.committed || x.err == nil) {
		x.commit()
		x.trailer = x.trailers()
		if x.length >= 0 && x.written != x.length && x.hasBody() {
			failure = io.ErrUnexpectedEOF // less than announced
		}
	}
	if failure != nil && x.err == nil {
		x.err = failure
	}
	x.changed.Broadcast()
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if x.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	x.status = status
	x.snapshot = x.header.Clone()
	if announced := x.snapshot.Get("Content-Length"); announced != "" {
		if n, err := strconv.ParseInt(announced, 10, 64); err == nil && n >= 0 {
			x.length = n
		} else {
			delete(x.snapshot, "Content-Length")
		}
	}
}

// bodyAllowed tells whether answers with the status have bodies.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// hasBody tells whether the answer has a body, empty or not.
func (x *exchange) hasBody() bool { return bodyAllowed(x.status) && x.req.Method != http.MethodHead }

// Write implements http.ResponseWriter. It waits while the caller is far behind.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !bodyAllowed(x.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if x.written += int64(len(p)); x.length >= 0 && x.written > x.length {
		return 0, http.ErrContentLength
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	written := 0
	for len(p) > 0 {
		for len(x.buffer)-x.read >= window && x.err == nil && !x.closed {
			x.changed.Wait()
		}
		if x.err != nil || x.closed {
			return written, errClientGone
		}
		if x.committed && !x.hasBody() {
			return written + len(p), nil
		}
		n := min(len(p), window-(len(x.buffer)-x.read))
		if x.read > 0 && len(x.buffer)+n > cap(x.buffer) {
			x.buffer = x.buffer[:copy(x.buffer, x.buffer[x.read:])]
			x.read = 0
		}
		x.buffer = append(x.buffer, p[:n]...)
		p = p[n:]
		written += n
		if !x.committed && len(x.buffer) > heldBack {
			x.commit()
		}
		if x.committed {
			x.changed.Broadcast()
		}
	}
	return written, nil
}

// Flush implements http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// FlushError lets the caller have what has been written.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil || x.closed {
		return errClientGone
	}
	x.commit()
	x.changed.Broadcast()
	return nil
}

// commit makes the answer out of the header. The lock is held.
func (x *exchange) commit() {
	if x.committed {
		return
	}
	x.committed = true
	header := x.snapshot
	var declared http.Header
	trailers := false
	for name, values := range header {
		switch {
		case strings.HasPrefix(name, http.TrailerPrefix):
			trailers = true
			delete(header, name)
		case name == "Trailer":
			if trailers = true; !x.hasBody() {
				break
			}
			delete(header, name)
			declared = http.Header{}
			for _, v := range values {
				for key := range strings.SplitSeq(v, ",") {
					declared[http.CanonicalHeaderKey(strings.TrimSpace(key))] = nil
				}
			}
		case name == "Transfer-Encoding" || name == "Connection" || !httpguts.ValidHeaderFieldName(name):
			delete(header, name)
		default:
			oneLine(values)
		}
	}
	allowed := bodyAllowed(x.status)
	if x.ended && !trailers && allowed && x.length < 0 && (x.hasBody() || len(x.buffer) > 0) {
		x.length = int64(len(x.buffer))
		header["Content-Length"] = []string{strconv.Itoa(len(x.buffer))}
	}
	if _, typed := header["Content-Type"]; !typed && allowed && len(x.buffer) > 0 && header.Get("Content-Encoding") == "" {
		header["Content-Type"] = []string{http.DetectContentType(x.buffer)}
	}
	if _, dated := header["Date"]; !dated {
		header["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
	text := http.StatusText(x.status)
	if text == "" {
		text = "status code " + strconv.Itoa(x.status)
	}
	x.answer = &http.Response{
		Status: strconv.Itoa(x.status) + " " + text, StatusCode: x.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: x.length, Trailer: declared, Request: x.req, Body: (*responseBody)(x),
	}
	switch {
	case !x.hasBody():
		x.buffer = nil
		x.answer.Body = noBody{(*responseBody)(x)}
		if !allowed && x.req.Method != http.MethodHead {
			x.answer.ContentLength = 0
		}
	case x.length < 0:
		x.answer.TransferEncoding = []string{"chunked"}
	}
}

// oneLine removes from values what could begin another header, and the spaces around them.
func oneLine(values []string) {
	for i, v := range values {
		if strings.ContainsAny(v, "\r\n") {
			v = strings.NewReplacer("\r", " ", "\n", " ").Replace(v)
		}
		values[i] = strings.Trim(v, " \t")
	}
}

// trailers are the headers that the handler has set for after the body. The lock is held.
func (x *exchange) trailers() http.Header {
	if !x.hasBody() || x.length >= 0 {
		return nil
	}
	var all http.Header
	add := func(name string, values []string) {
		if all == nil {
			all = http.Header{}
		}
		all[name] = slices.Clone(values)
		oneLine(all[name])
	}
	for name, values := range x.header {
		if key, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(http.CanonicalHeaderKey(key), values)
		}
	}
	for name := range x.answer.Trailer {
		if values, ok := x.header[name]; ok {
			add(name, values)
		}
	}
	return all
}

// responseBody is the side of the caller.
type responseBody exchange

// Read returns what the handler has written, and waits for it.
func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.read == len(b.buffer) && !b.ended && b.err == nil && !b.closed && len(p) > 0 {
		b.changed.Wait()
	}
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case b.read < len(b.buffer):
		n := copy(p, b.buffer[b.read:])
		if b.read += n; b.read == len(b.buffer) {
			b.buffer, b.read = b.buffer[:0], 0
		}
		b.changed.Broadcast() // there is room
		return n, nil
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	b.stop()
	if b.trailer != nil {
		if b.answer.Trailer == nil {
			b.answer.Trailer = http.Header{}
		}
		maps.Copy(b.answer.Trailer, b.trailer)
	}
	return 0, io.EOF
}

// Close tells the handler that nobody reads any more.
func (b *responseBody) Close() error {
	b.mu.Lock()
	b.closed = true
	running := !b.ended
	b.changed.Broadcast()
	b.mu.Unlock()
	b.stop()
	if running {
		b.cancel()
	}
	return nil
}

// noBody is the body of an answer that has none.
type noBody struct{ *responseBody }

// Read is at the end at once.
func (noBody) Read([]byte) (int, error) { return 0, io.EOF }

// requestBody is the body of the request on the side of the handler.
type requestBody struct {
	body   io.ReadCloser // nil if there is none
	length int64         // negative if unknown
	left   int64
	atEnd  func()

	mu     sync.Mutex
	closed bool
}

func newRequestBody(req *http.Request) *requestBody {
	if req.Body == nil || req.Body == http.NoBody {
		return &requestBody{}
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
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first && b.body != nil {
		_ = b.body.Close() // nobody is left to be told
	}
}
