package httprouter

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// compressFrom is the size from which on bodies are compressed, as in Backstage.
const compressFrom = 1024

// response is what handlers write to. It compresses, cuts clients that take no data, and remembers what the request log tells.
type response struct {
	server *Server
	w      http.ResponseWriter
	req    *http.Request

	status   int       // zero until the handler has chosen one
	size     int64     // bytes of the body as sent
	armed    time.Time // when the write deadline was set
	held     *[]byte   // beginning of a body that is compressed if it turns out to be long enough
	gzip     *gzip.Writer
	hijacked bool
	done     bool
}

var errDone = errors.New("httprouter: the handler has returned")

// Header is that of the connection.
func (r *response) Header() http.Header { return r.w.Header() }

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.w }

// sent tells whether the answer has begun, so that it can't become another one.
func (r *response) sent() bool { return r.hijacked || r.status != 0 && r.held == nil }

func (r *response) WriteHeader(status int) {
	if r.status != 0 || r.done || r.hijacked {
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		r.w.WriteHeader(status)
		return
	}
	r.status = status
	h := r.w.Header()
	if v := h["Content-Type"]; len(v) == 1 && v[0] == "application/json" {
		h["Content-Type"] = jsonType // as Express names it
	}
	if r.compressible(h) {
		length := h.Get("Content-Length")
		if length == "" {
			r.held = r.server.buffers.Get().(*[]byte) // decided when there are enough bytes
			return
		}
		if n, err := strconv.Atoi(length); err == nil && n >= compressFrom {
			r.compress()
			return
		}
	}
	r.arm()
	r.w.WriteHeader(status)
}

// compressible tells whether the body may be compressed, and if so adds that answers differ by Accept-Encoding.
func (r *response) compressible(h http.Header) bool {
	if r.status < 200 || r.status == http.StatusNoContent || r.status == http.StatusNotModified || r.status == http.StatusPartialContent {
		return false
	}
	if h["Content-Encoding"] != nil || !compressibleType(h.Get("Content-Type")) || strings.Contains(h.Get("Cache-Control"), "no-transform") {
		return false
	}
	h["Vary"] = append(h["Vary"], "Accept-Encoding")
	return r.req.Method != http.MethodHead && acceptsGzip(r.req.Header["Accept-Encoding"])
}

// compress sends the header and lets the rest of the body go through gzip.
func (r *response) compress() {
	h := r.w.Header()
	h["Content-Encoding"] = gzipEncoding
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges")
	r.arm()
	r.w.WriteHeader(r.status)
	r.gzip = r.server.gzips.Get().(*gzip.Writer)
	r.gzip.Reset(plain{r})
}

// plain is the way to the connection past compression.
type plain struct{ r *response }

func (p plain) Write(b []byte) (int, error) {
	p.r.arm()
	n, err := p.r.w.Write(b)
	p.r.size += int64(n)
	return n, err
}

func (r *response) Write(b []byte) (int, error) {
	if r.done {
		return 0, errDone
	}
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.held != nil {
		if len(*r.held)+len(b) < compressFrom {
			*r.held = append(*r.held, b...)
			return len(b), nil
		}
		r.compress()
		if err := r.release(r.gzip.Write); err != nil {
			return 0, err
		}
	}
	if r.gzip != nil {
		return r.gzip.Write(b)
	}
	return plain{r}.Write(b)
}

// release writes what was held back, and gives the buffer back.
func (r *response) release(write func([]byte) (int, error)) error {
	held := r.held
	r.held = nil
	var err error
	if len(*held) > 0 {
		_, err = write(*held)
	}
	*held = (*held)[:0]
	r.server.buffers.Put(held)
	return err
}

// sendHeld ends the wait for more bytes: what is there is sent as it is.
func (r *response) sendHeld() error {
	if r.held == nil {
		return nil
	}
	r.arm()
	r.w.WriteHeader(r.status)
	return r.release(plain{r}.Write)
}

// Flush is FlushError for those who don't look at the error.
func (r *response) Flush() { _ = r.FlushError() }

// FlushError sends everything that has been written. A body that is flushed before it is worth compressing stays uncompressed.
func (r *response) FlushError() error {
	if r.done {
		return errDone
	}
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if err := r.sendHeld(); err != nil {
		return err
	}
	if r.gzip != nil {
		if err := r.gzip.Flush(); err != nil {
			return err
		}
	}
	r.arm()
	control := http.NewResponseController(r.w)
	err := control.Flush()
	if r.req.ProtoMajor >= 2 && r.server.settings.timeouts.stall > 0 {
		// HTTP/2 ends a stream at its deadline even if nobody writes; the next write sets a new one.
		_ = control.SetWriteDeadline(time.Time{})
		r.armed = time.Time{}
	}
	return err
}

// arm gives the client time to take the next bytes. A deadline is moved only when it is due for it, for moving costs.
func (r *response) arm() {
	stall := r.server.settings.timeouts.stall
	if stall <= 0 {
		return
	}
	if now := time.Now(); now.Sub(r.armed) > stall/4 {
		r.armed = now
		_ = http.NewResponseController(r.w).SetWriteDeadline(now.Add(stall)) // what is no connection has no deadline
	}
}

// Hijack hands out the connection; see http.Hijacker.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.held != nil || r.gzip != nil {
		return nil, nil, errors.New("httprouter: the connection can't be taken over after an answer has begun")
	}
	conn, rw, err := http.NewResponseController(r.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	r.hijacked = true
	if r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return r.server.streams.track(conn), rw, nil
}

// finish sends what is left. The response can't be used afterwards.
func (r *response) finish() {
	if !r.hijacked {
		if r.status == 0 {
			r.WriteHeader(http.StatusOK)
		}
		_ = r.sendHeld() // the client is gone: nobody is left to tell
		if r.gzip != nil {
			_ = r.gzip.Close()
		}
	}
	r.drop()
}

// drop gives everything back without sending it.
func (r *response) drop() {
	if r.held != nil {
		_ = r.release(func(b []byte) (int, error) { return len(b), nil })
	}
	if r.gzip != nil {
		r.gzip.Reset(nil)
		r.server.gzips.Put(r.gzip)
		r.gzip = nil
	}
	r.done = true
}

// reset takes back an answer that has not been sent.
func (r *response) reset() {
	r.drop()
	r.done = false
	r.status = 0
}

func compressibleType(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch media {
	case "text/event-stream":
		return false // events have to go out one by one
	case "application/json", "application/javascript", "application/x-javascript", "application/xml", "application/wasm",
		"application/x-ndjson", "application/yaml", "application/x-yaml", "application/graphql", "application/x-www-form-urlencoded",
		"application/vnd.ms-fontobject", "application/x-sh", "application/toml", "application/rtf", "application/tar",
		"application/x-tar", "font/ttf", "font/otf", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml") ||
		strings.HasSuffix(media, "+text") || strings.HasSuffix(media, "+yaml")
}

// acceptsGzip tells whether the client takes gzip: by name or by star, with a quality above zero.
func acceptsGzip(accept []string) bool {
	star := false
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(item, ";")
			name = strings.TrimSpace(name)
			byName := strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip")
			if !byName && name != "*" {
				continue
			}
			_, quality, found := strings.Cut(params, "=")
			q, err := strconv.ParseFloat(strings.TrimSpace(quality), 64)
			takes := !found || err == nil && q > 0
			if byName {
				return takes
			}
			star = takes
		}
	}
	return star
}
