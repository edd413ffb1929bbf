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
	req     *http.Request
	sent    http.Header // as the handler gets it
	request requestBody
	ctx     context.Context // of the handler
	cancel  context.CancelCauseFunc
	ready   chan struct{} // closed when there is an answer, or none will come
	stop    func() bool   // ends looking at the caller's context; nil if nobody does

	dates    *dates
	header   http.Header // of the handler
	snapshot headerCopy  // as it was when the status was written
	declared http.Header // trailers that it has announced
	trailing bool        // there may be trailers
	status   int
	length   int64 // as the handler has announced; negative if it hasn't
	written  int64

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
func newExchange(req *http.Request, token string, dates *dates) (*exchange, error) {
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) { // both are tokens
		return nil, fmt.Errorf("invalid method %q", req.Method)
	}
	sent, err := serverHeader(req.Header, token)
	if err != nil {
		return nil, err
	}
	x := &exchange{req: req, sent: sent, ready: make(chan struct{}), dates: dates, header: http.Header{}, length: -1}
	x.ctx, x.cancel = context.WithCancelCause(context.Background())
	x.request.init(req)
	x.changed.L = &x.mu
	return x, nil
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
					log.Error("A handler has panicked", "method", x.req.Method, "path", x.req.URL.Path, "error", v, "stack", string(debug.Stack()))
				}
			}
		}()
		r, err := x.serverRequest()
		if err != nil {
			x.WriteHeader(http.StatusBadRequest)
			return
		}
		handler.ServeHTTP(x, r)
	}()
	x.request.close()
	x.finish(failure)
}

// response waits for the header of the answer.
func (x *exchange) response() (*http.Response, error) {
	ctx := x.req.Context()
	select {
	case <-x.ready:
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
	return x.answer, nil
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
	x.request.close()
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
		close(x.ready) // without the lock, which is the first thing that the caller takes
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
	x.declared = http.Header{}
	for _, v := range values {
		for key := range strings.SplitSeq(v, ",") {
			x.declared[http.CanonicalHeaderKey(strings.TrimSpace(key))] = nil
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
			close(x.ready)
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
		close(x.ready)
	}
	x.changed.Broadcast()
	return nil
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
		x.snapshot.set("Date", x.dates.now())
	}
	text := http.StatusText(x.status)
	if text == "" {
		text = "status code " + strconv.Itoa(x.status)
	}
	x.answer = &http.Response{
		Status: strconv.Itoa(x.status) + " " + text, StatusCode: x.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: x.length, Trailer: x.declared, Request: x.req, Body: (*responseBody)(x),
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
