package httpclient

import (
	"io"
	"maps"
	"net/http"
)

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
	b.unwatch()
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
	b.unwatch()
	if running {
		b.cancel(nil)
	}
	return nil
}

// unwatch ends looking at the caller's context.
func (b *responseBody) unwatch() {
	if b.stop != nil {
		b.stop()
	}
}

// noBody is the body of an answer that has none.
type noBody struct{ *responseBody }

// Read is at the end at once.
func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
