package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

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
	transport *Transport
	request   *http.Request // as the handler gets it
	body      *requestBody  // nil if there is none
	cancel    context.CancelCauseFunc
	ready     chan struct{} // gets a value when there is an answer, or none will come
	stop      func() bool   // ends looking at the caller's context; nil if nobody does

	header   http.Header // of the handler
	snapshot headerCopy  // as it was when the status was written
	trailing bool        // there may be trailers
	status   int
	length   int64 // as the handler has announced; negative if it hasn't
	written  int64
	answer   http.Response // so far as it is known

	mu        sync.Mutex // guards what follows; the handler's side and the caller's meet here
	changed   sync.Cond
	committed bool // the header is out, and the answer the caller's
	buffer    []byte
	read      int // how much of the buffer has been read
	ended     bool
	err       error       // what the caller gets after what is in the buffer
	closed    bool        // by the caller
	trailer   http.Header // after the end
}

// newExchange checks the request, as net/http does before it sends one.
func newExchange(t *Transport, req *http.Request, authorization string) (*exchange, error) {
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) { // both are tokens
		return nil, fmt.Errorf("invalid method %q", req.Method)
	}
	x := &exchange{transport: t, body: newRequestBody(req), ready: t.signals.Get().(chan struct{}), header: http.Header{}, length: -1}
	x.changed.L = &x.mu
	x.answer.Request = req
	var ctx context.Context // of the handler
	var err error
	ctx, x.cancel = context.WithCancelCause(context.Background())
	x.request, err = serverRequest(ctx, req, x.body, authorization)
	return x, err
}

// serve runs the handler.
func (x *exchange) serve(handler http.Handler, log *slog.Logger) {
	defer x.cancel(nil)
	var failure error
	func() {
		defer func() {
			if v := recover(); v != nil {
				failure = io.ErrUnexpectedEOF
				if v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
					log.Error("A handler has panicked", "method", x.request.Method, "path", x.request.URL.Path, "error", v, "stack", string(debug.Stack()))
				}
			}
		}()
		handler.ServeHTTP(x, x.request)
	}()
	x.body.close()
	x.finish(failure)
}

// response waits for the header of the answer. The context is that of the caller.
func (x *exchange) response(ctx context.Context) (*http.Response, error) {
	select {
	case <-x.ready:
		x.transport.signals.Put(x.ready) // it is empty, and nobody sends any more
	case <-ctx.Done():
		x.abort(context.Cause(ctx))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.committed {
		return nil, x.err
	}
	if !x.ended {
		x.stop = context.AfterFunc(ctx, func() { x.abort(context.Cause(ctx)) })
	}
	return &x.answer, nil
}

// abort ends the exchange from the side of the caller.
func (x *exchange) abort(err error) {
	x.mu.Lock()
	if x.err == nil {
		x.err = err
	}
	x.changed.Broadcast()
	x.mu.Unlock()
	x.cancel(nil)
	x.body.close()
}

// finish ends the exchange from the side of the handler.
func (x *exchange) finish(failure error) {
	if failure == nil && x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.mu.Lock()
	waiting := !x.committed
	x.ended = true
	if failure == nil && (x.committed || x.err == nil) {
		if waiting {
			x.commit()
		}
		x.trailer = x.trailers()
		if x.length >= 0 && x.written != x.length && x.hasBody() {
			failure = io.ErrUnexpectedEOF // less than announced
		}
	}
	if failure != nil && x.err == nil {
		x.err = failure
	}
	x.changed.Broadcast()
	x.mu.Unlock()
	if waiting {
		x.ready <- struct{}{} // without the lock, which is the first thing that the caller takes
	}
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
	x.snapshot = newHeaderCopy(len(x.header) + 3)
	for name, values := range x.header {
		switch {
		case strings.HasPrefix(name, http.TrailerPrefix):
			x.trailing = true
		case name == "Trailer" && x.hasBody():
			x.trailing = true
			x.declare(values)
		case name == "Content-Length" && len(values) > 0:
			if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 {
				x.length = n
				x.snapshot.set(name, values...)
			}
		case name != "Transfer-Encoding" && name != "Connection" && httpguts.ValidHeaderFieldName(name):
			x.trailing = x.trailing || name == "Trailer"
			x.snapshot.set(name, values...)
		}
	}
}

// declare takes the names of trailers.
func (x *exchange) declare(values []string) {
	x.answer.Trailer = http.Header{}
	for _, v := range values {
		for key := range strings.SplitSeq(v, ",") {
			x.answer.Trailer[http.CanonicalHeaderKey(strings.TrimSpace(key))] = nil
		}
	}
}

// bodyAllowed tells whether answers with the status have bodies.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// hasBody tells whether the answer has a body, empty or not.
func (x *exchange) hasBody() bool {
	return bodyAllowed(x.status) && x.request.Method != http.MethodHead
}

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
			x.ready <- struct{}{}
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
	if !x.committed {
		x.commit()
		x.ready <- struct{}{}
	}
	x.changed.Broadcast()
	return nil
}

// statusLine is the status as text.
func statusLine(status int) string {
	if status == http.StatusOK {
		return "200 OK" // needs no memory
	}
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	return strconv.Itoa(status) + " " + text
}

// commit makes the answer out of the header, once. The lock is held.
func (x *exchange) commit() {
	x.committed = true
	header := x.snapshot.header
	allowed := bodyAllowed(x.status)
	if x.ended && !x.trailing && allowed && x.length < 0 && (x.hasBody() || len(x.buffer) > 0) {
		x.length = int64(len(x.buffer))
		x.snapshot.set("Content-Length", strconv.Itoa(len(x.buffer)))
	}
	if _, typed := header["Content-Type"]; !typed && allowed && len(x.buffer) > 0 && header.Get("Content-Encoding") == "" {
		x.snapshot.set("Content-Type", http.DetectContentType(x.buffer))
	}
	if _, dated := header["Date"]; !dated {
		x.snapshot.set("Date", x.transport.dates.now())
	}
	x.answer.Status, x.answer.StatusCode = statusLine(x.status), x.status
	x.answer.Proto, x.answer.ProtoMajor, x.answer.ProtoMinor = "HTTP/1.1", 1, 1
	x.answer.Header, x.answer.ContentLength, x.answer.Body = header, x.length, (*responseBody)(x)
	switch {
	case !x.hasBody():
		x.buffer = nil
		x.answer.Body = noBody{(*responseBody)(x)}
		if !allowed && x.request.Method != http.MethodHead {
			x.answer.ContentLength = 0
		}
	case x.length < 0:
		x.answer.TransferEncoding = []string{"chunked"}
	}
}

// trailers are the headers that the handler has set for after the body. The lock is held.
func (x *exchange) trailers() http.Header {
	if !x.hasBody() || x.length >= 0 {
		return nil
	}
	all := newHeaderCopy(0)
	for name, values := range x.header {
		if key, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			all.set(http.CanonicalHeaderKey(key), values...)
		}
	}
	for name := range x.answer.Trailer {
		if values, ok := x.header[name]; ok {
			all.set(name, values...)
		}
	}
	if len(all.header) == 0 {
		return nil
	}
	return all.header
}
