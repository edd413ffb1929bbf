package httprouter

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
)

// body is the body of a request, limited in size and in time.
type body struct {
	io.ReadCloser
	w       http.ResponseWriter
	length  int64 // as announced, or negative
	limit   int64
	read    int64
	timeout time.Duration
	timed   bool
}

// limitBody returns the request with its body bounded. The time begins now. The request is another one, because the server looks at the
// body of its own to see how to end the connection.
func limitBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	b := &body{ReadCloser: r.Body, w: w, length: r.ContentLength, limit: MaxBodyBytes, timeout: timeout}
	if timeout > 0 {
		b.timed = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout)) == nil
	}
	limited := *r
	limited.Body = b
	return &limited
}

// Read reads up to the limit, and then fails with an *http.MaxBytesError.
func (b *body) Read(p []byte) (int, error) {
	if b.length > b.limit {
		return 0, &http.MaxBytesError{Limit: b.limit}
	}
	// One byte more than allowed tells whether there is more than allowed.
	if left := b.limit - b.read + 1; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.read > b.limit {
		b.length = b.read
		return max(0, n-1), &http.MaxBytesError{Limit: b.limit}
	}
	if err != nil && b.timed {
		b.timed = false
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return n, &slowBodyError{timeout: b.timeout, cause: err}
		}
		// From now on the server reads to see whether the client is still there, for as long as the handler takes.
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{})
	}
	return n, err
}

type slowBodyError struct {
	timeout time.Duration
	cause   error
}

func (e *slowBodyError) Error() string {
	return fmt.Sprintf("Request body did not arrive within %s", e.timeout)
}

func (e *slowBodyError) Unwrap() error { return e.cause }

// BodyLimit is a middleware for routes that take greater or only smaller bodies than [MaxBodyBytes]:
//
//	router.POST("/upload", upload, httprouter.BodyLimit(1<<30))
//
// Further up, a limit that is set later wins.
func BodyLimit(bytes int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if b, ok := c.Request().Body.(*body); ok {
				b.limit = bytes
			}
			return next(c)
		}
	}
}
