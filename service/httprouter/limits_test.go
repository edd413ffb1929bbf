package httprouter_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service/httprouter"
)

// endless is a body whose length is not announced.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, bytes.Repeat([]byte{' '}, min(len(p), e.left)))
	e.left -= n
	return n, nil
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	count := func(c echo.Context) error {
		n, err := io.Copy(io.Discard, c.Request().Body)
		if err != nil {
			return fmt.Errorf("todo: reading: %w", err)
		}
		return c.String(http.StatusOK, fmt.Sprint(n))
	}
	group.POST("/items", count)
	group.POST("/big", count, httprouter.BodyLimit(httprouter.MaxBodyBytes+10))
	group.POST("/small", count, httprouter.BodyLimit(10))
	group.POST("/bind", func(c echo.Context) error { return c.Bind(&struct{ A string }{}) }, httprouter.BodyLimit(10))
	b.start()
	const limit = httprouter.MaxBodyBytes
	for _, test := range []struct {
		path   string
		size   int
		status int
	}{
		{"/items", 0, 200},
		{"/items", limit, 200},
		{"/items", limit + 1, 413},
		{"/big", limit + 10, 200},
		{"/big", limit + 11, 413},
		{"/small", 10, 200},
		{"/small", 11, 413},
		{"/bind", 11, 413},
	} {
		for _, announced := range []bool{true, false} {
			var body io.Reader = &endless{left: test.size}
			if announced {
				body = bytes.NewReader(bytes.Repeat([]byte{' '}, test.size))
			}
			got := b.do(b.request(http.MethodPost, "/api/todo"+test.path, body, "Content-Type: application/json"))
			if got.StatusCode != test.status {
				t.Errorf("%d bytes to %s, announced %v: status %d, want %d", test.size, test.path, announced, got.StatusCode, test.status)
			} else if test.status == 413 {
				if body := parseError(t, got); body.Error["name"] != "PayloadTooLargeError" {
					t.Errorf("%s", got.body)
				}
			} else if got.body != fmt.Sprint(test.size) {
				t.Errorf("%q", got.body)
			}
		}
	}
}

// dial opens a connection and sends text.
func dial(t *testing.T, b *backend, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") {
		t.Fatal(err)
	}
	return conn
}

func status(t *testing.T, conn net.Conn) string {
	t.Helper()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

func TestHeaderLimits(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"server": map[string]any{"maxHeadersCount": 20, "headersTimeout": 500}}).start()
	many := &strings.Builder{}
	for i := range 30 {
		fmt.Fprintf(many, "X-%d: 1\r\n", i)
	}
	for name, test := range map[string]struct{ request, status string }{
		"many headers":   {"GET / HTTP/1.1\r\nHost: x\r\n" + many.String() + "\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
		"huge headers":   {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", httprouter.MaxHeaderBytes+8<<10), "HTTP/1.1 431 Request Header Fields Too Large"},
		"slow headers":   {"GET / HTTP/1.1\r\nHost: x\r\n", "EOF"},
		"no HTTP":        {"\x16\x03\x01\x02\x00\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		"smuggled":       {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 Not Implemented"},
		"control in URL": {"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := status(t, dial(t, b, test.request)); got != test.status {
				t.Errorf("%q, want %q", got, test.status)
			}
		})
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"server": map[string]any{"requestTimeout": 100}})
	read := make(chan error, 1)
	b.echo.POST("/", func(c echo.Context) error {
		_, err := io.ReadAll(c.Request().Body)
		read <- err
		return err
	})
	b.start()
	conn := dial(t, b, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	if got := status(t, conn); got != "HTTP/1.1 408 Request Timeout" {
		t.Errorf("%q", got)
	}
	if err := <-read; err == nil {
		t.Error("the handler got a whole body")
	}
}

// The time for the body is no time for the answer: a handler may take longer once the body is there.
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"server": map[string]any{"requestTimeout": 300, "timeout": 300}})
	slow := func(c echo.Context) error {
		if _, err := io.ReadAll(c.Request().Body); err != nil {
			return err
		}
		select {
		case <-c.Request().Context().Done():
			return c.Request().Context().Err()
		case <-time.After(500 * time.Millisecond):
			return c.String(http.StatusOK, "done")
		}
	}
	b.echo.POST("/", slow)
	b.echo.GET("/", slow)
	b.start()
	for range 2 { // the second one on the same connection
		for _, req := range []*http.Request{b.request(http.MethodPost, "/", strings.NewReader("abc")), b.request(http.MethodGet, "/", nil)} {
			if got := b.do(req); got.body != "done" {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		}
	}
}

// A client that takes nothing of its answer does not keep the handler forever.
func TestStalledClient(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"server": map[string]any{"timeout": 100}})
	ended := make(chan error, 1)
	b.echo.GET("/", func(c echo.Context) error {
		chunk := make([]byte, 1<<20)
		for {
			if _, err := c.Response().Write(chunk); err != nil {
				ended <- err
				return err
			}
		}
	})
	b.start()
	conn := dial(t, b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	conn.Close()
}

// A client that takes its answer slowly, but takes it, gets all of it.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	b := newBackend(t, map[string]any{"server": map[string]any{"timeout": 1000}})
	b.echo.GET("/", func(c echo.Context) error {
		chunk := make([]byte, 64<<10)
		for range size / len(chunk) {
			if _, err := c.Response().Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
	b.start()
	res, err := b.client.Do(b.request(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	begin, n := time.Now(), 0
	buf := make([]byte, 512<<10)
	pause := time.NewTicker(80 * time.Millisecond)
	defer pause.Stop()
	for err == nil {
		var got int
		got, err = io.ReadFull(res.Body, buf)
		n += got
		<-pause.C
	}
	if n != size || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(begin) < time.Second {
		t.Errorf("%d bytes in %s: %v", n, time.Since(begin), err)
	}
}

// A handler may set the connection's deadlines and send early hints, through everything that is around its answer.
func TestResponseController(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	group.GET("/", func(c echo.Context) error {
		control := http.NewResponseController(c.Response())
		if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{}), control.EnableFullDuplex()); err != nil {
			return err
		}
		c.Response().Header().Set("Link", "</style.css>; rel=preload")
		c.Response().Writer.WriteHeader(http.StatusEarlyHints)
		return c.String(http.StatusOK, "done")
	})
	group.GET("/late", func(c echo.Context) error {
		_ = c.String(http.StatusOK, "begun")
		_, _, err := c.Response().Hijack()
		if err == nil {
			t.Error("took over the connection of an answer that has begun")
		}
		return nil
	})
	b.start()
	var hints []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		hints = append(hints, code)
		return nil
	}})
	if got := b.do(b.request(http.MethodGet, "/api/todo/", nil).WithContext(ctx)); got.body != "done" || !slices.Equal(hints, []int{103}) {
		t.Errorf("%d %s %v", got.StatusCode, got.body, hints)
	}
	if got := b.get("/api/todo/late", "Accept-Encoding: gzip"); got.body != "begun" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestRequestsPerConnection(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"server": map[string]any{"maxRequestsPerSocket": 3}})
	var remotes []string
	b.echo.GET("/", func(c echo.Context) error {
		remotes = append(remotes, c.Request().RemoteAddr)
		return nil
	})
	b.start()
	for i := range 7 {
		if got := b.get("/"); got.Close != (i%3 == 2) {
			t.Errorf("request %d: close %v", i, got.Close)
		}
	}
	for i, remote := range remotes {
		if same := i > 0 && remote == remotes[i-1]; same != (i%3 != 0) {
			t.Errorf("connections %v", remotes)
		}
	}
}

func TestIdleConnection(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"server": map[string]any{"keepAliveTimeout": 50}}).start()
	conn := dial(t, b, "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 404") {
		t.Errorf("%q %v", answer, err)
	}
}
