package httprouter_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
)

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil).start()
	for _, path := range []string{"/nope", "/.backstage/health/v1/liveness"} {
		got := b.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;frame-ancestors 'self';img-src 'self' data:;" +
				"object-src 'none';script-src 'self' 'unsafe-eval';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
			"Referrer-Policy":                   "no-referrer",
			"Strict-Transport-Security":         "max-age=15552000; includeSubDomains",
			"X-Content-Type-Options":            "nosniff",
			"X-DNS-Prefetch-Control":            "off",
			"X-Download-Options":                "noopen",
			"X-Frame-Options":                   "SAMEORIGIN",
			"X-Permitted-Cross-Domain-Policies": "none",
			"X-XSS-Protection":                  "0",
			"Access-Control-Allow-Origin":       "",
			"Server":                            "",
		} {
			if got.Header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
			}
		}
	}
}

func TestConfiguredSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{
		"csp": map[string]any{
			"connectSrc":                []any{"'self'", "http:", "https:"},
			"script-src":                []any{"'self'"},
			"upgrade-insecure-requests": false,
			"frame-ancestors":           false,
			"nothing-there":             false,
			"sandbox":                   []any{},
		},
		"referrer": map[string]any{"policy": []any{"same-origin", "strict-origin"}},
	}).start()
	got := b.get("/")
	want := "default-src 'self';base-uri 'self';font-src 'self' https: data:;img-src 'self' data:;object-src 'none';script-src 'self';" +
		"script-src-attr 'none';style-src 'self' https: 'unsafe-inline';connect-src 'self' http: https:;sandbox"
	if csp := got.Header.Get("Content-Security-Policy"); csp != want {
		t.Errorf("got  %q\nwant %q", csp, want)
	}
	if p := got.Header.Get("Referrer-Policy"); p != "same-origin,strict-origin" {
		t.Errorf("%q", p)
	}
}

// Headers are shared between answers; one handler must not change those of another.
func TestHeadersAreNotShared(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	b.echo.GET("/", func(c echo.Context) error {
		c.Response().Header().Add("X-Frame-Options", "DENY")
		c.Response().Header().Set("Referrer-Policy", "origin")
		return c.NoContent(http.StatusOK)
	})
	b.start()
	b.get("/")
	if h := b.get("/nope").Header; len(h["X-Frame-Options"]) != 1 || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", h)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	type headers = map[string]string
	for _, test := range []struct {
		name    string
		cors    map[string]any
		method  string
		origin  string
		status  int
		headers headers
	}{
		{"a known origin", map[string]any{"origin": "http://localhost:3000"}, "GET", "http://localhost:3000", 200,
			headers{"Access-Control-Allow-Origin": "http://localhost:3000", "Vary": "Origin"}},
		{"another case", map[string]any{"origin": "http://Localhost:3000"}, "GET", "http://lOcalhost:3000", 200,
			headers{"Access-Control-Allow-Origin": "http://lOcalhost:3000"}},
		{"an unknown origin", map[string]any{"origin": "http://localhost:3000"}, "GET", "http://evil.example.com", 200,
			headers{"Access-Control-Allow-Origin": "", "Vary": "Origin"}},
		{"an unknown origin's preflight", map[string]any{"origin": "http://localhost:3000"}, "OPTIONS", "http://evil.example.com", 404,
			headers{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}},
		{"no origin", map[string]any{"origin": "*"}, "GET", "", 200, headers{"Access-Control-Allow-Origin": ""}},
		{"a star matches no slash", map[string]any{"origin": "*"}, "GET", "http://localhost:3000", 200, headers{"Access-Control-Allow-Origin": ""}},
		{"two stars are one", map[string]any{"origin": "https://**.example.com"}, "GET", "https://a/.example.com", 200, headers{"Access-Control-Allow-Origin": ""}},
		{"a pattern", map[string]any{"origin": []any{"http://other", "https://*.example.com"}}, "GET", "https://a.b.example.com", 200,
			headers{"Access-Control-Allow-Origin": "https://a.b.example.com"}},
		{"alternatives", map[string]any{"origin": "https://{a,b}.example.com"}, "GET", "https://b.example.com", 200,
			headers{"Access-Control-Allow-Origin": "https://b.example.com"}},
		{"any origin", map[string]any{"methods": "GET"}, "GET", "http://x", 200, headers{"Access-Control-Allow-Origin": "*"}},
		{"credentials and exposed headers", map[string]any{"origin": "http://x", "credentials": true, "exposedHeaders": []any{"A", "B"}}, "GET", "http://x", 200,
			headers{"Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "A,B"}},
		{"a preflight", map[string]any{"origin": "http://x"}, "OPTIONS", "http://x", 204,
			headers{"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE", "Access-Control-Allow-Headers": "x-asked", "Access-Control-Max-Age": ""}},
		{"a configured preflight", map[string]any{"origin": "http://x", "methods": []any{"GET", "PUT"}, "allowedHeaders": "X-A", "maxAge": 0, "optionsSuccessStatus": 200},
			"OPTIONS", "http://x", 200,
			headers{"Access-Control-Allow-Methods": "GET,PUT", "Access-Control-Allow-Headers": "X-A", "Access-Control-Max-Age": "0"}},
		{"a preflight that goes on", map[string]any{"origin": "http://x", "preflightContinue": true}, "OPTIONS", "http://x", 404,
			headers{"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, map[string]any{"cors": test.cors})
			b.echo.GET("/", hello)
			b.start()
			req := b.request(test.method, "/", nil, "Access-Control-Request-Headers: x-asked")
			if test.origin != "" {
				req.Header.Set("Origin", test.origin)
			}
			got := b.do(req)
			if got.StatusCode != test.status {
				t.Errorf("status %d, want %d", got.StatusCode, test.status)
			}
			for name, want := range test.headers {
				if value := strings.Join(got.Header.Values(name), ","); value != want && !(name == "Vary" && want != "" && strings.Contains(value, want)) {
					t.Errorf("%s: %q, want %q", name, value, want)
				}
			}
		})
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("word ", n/5+1)[:n] }
	for _, test := range []struct {
		name       string
		accept     string
		handler    echo.HandlerFunc
		compressed bool
		vary       bool
		body       string
	}{
		{"a long text", "gzip", func(c echo.Context) error { return c.String(200, text(1024)) }, true, true, text(1024)},
		{"a text below the threshold", "gzip", func(c echo.Context) error { return c.String(200, text(1023)) }, false, true, text(1023)},
		{"a client without gzip", "br", func(c echo.Context) error { return c.String(200, text(5000)) }, false, true, text(5000)},
		{"a client that takes anything", "br, *;q=0.5", func(c echo.Context) error { return c.String(200, text(5000)) }, true, true, text(5000)},
		{"a client that refuses gzip", "gzip;q=0, *", func(c echo.Context) error { return c.String(200, text(5000)) }, false, true, text(5000)},
		{"JSON", "br;q=1.0, GZIP;q=0.8", func(c echo.Context) error { return c.JSON(200, text(5000)) }, true, true, `"` + text(5000) + "\"\n"},
		{"an image", "gzip", func(c echo.Context) error { return c.Blob(200, "image/png", []byte(text(5000))) }, false, false, text(5000)},
		{"what is compressed already", "gzip", func(c echo.Context) error {
			c.Response().Header().Set("Content-Encoding", "identity")
			return c.String(200, text(5000))
		}, false, false, text(5000)},
		{"what must not be changed", "gzip", func(c echo.Context) error {
			c.Response().Header().Set("Cache-Control", "public, no-transform")
			return c.String(200, text(5000))
		}, false, false, text(5000)},
		{"an announced length", "gzip", func(c echo.Context) error {
			c.Response().Header().Set("Content-Length", "5000")
			return c.String(200, text(5000))
		}, true, true, text(5000)},
		{"an announced short length", "gzip", func(c echo.Context) error {
			c.Response().Header().Set("Content-Length", "50")
			return c.String(200, text(50))
		}, false, true, text(50)},
		{"many small writes", "gzip", func(c echo.Context) error {
			c.Response().Header().Set("Content-Type", "text/plain")
			for i := range 1000 {
				if _, err := io.WriteString(c.Response(), strconv.Itoa(i)+"\n"); err != nil {
					return err
				}
			}
			return nil
		}, true, true, func() string {
			var b strings.Builder
			for i := range 1000 {
				b.WriteString(strconv.Itoa(i) + "\n")
			}
			return b.String()
		}()},
		{"nothing", "gzip", func(c echo.Context) error { return c.NoContent(204) }, false, false, ""},
		{"a status without a body", "gzip", func(c echo.Context) error {
			c.Response().Header().Set("Content-Type", "text/plain")
			c.Response().WriteHeader(200)
			return nil
		}, false, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, nil)
			b.echo.GET("/", test.handler)
			b.start()
			got := b.get("/", "Accept-Encoding: "+test.accept)
			body := got.body
			if got.Header.Get("Content-Encoding") == "gzip" {
				unzip, err := gzip.NewReader(strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(unzip)
				if err != nil {
					t.Fatal(err)
				}
				body = string(plain)
			}
			if compressed := got.Header.Get("Content-Encoding") == "gzip"; compressed != test.compressed {
				t.Errorf("compressed %v, want %v", compressed, test.compressed)
			}
			if vary := strings.Contains(got.Header.Get("Vary"), "Accept-Encoding"); vary != test.vary {
				t.Errorf("vary %v, want %v", vary, test.vary)
			}
			if body != test.body {
				t.Errorf("body of %d bytes, want %d: %.40q", len(body), len(test.body), body)
			}
			if lines := b.log.lines(t); test.compressed && lines[len(lines)-1]["contentLength"] != float64(len(got.body)) {
				t.Errorf("logged %v bytes, sent %d", lines[len(lines)-1]["contentLength"], len(got.body))
			}
		})
	}
}

func TestRangesAreNotCompressed(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 1000)
	b := newBackend(t, nil)
	b.echo.GET("/a.txt", func(c echo.Context) error {
		http.ServeContent(c.Response(), c.Request(), "a.txt", time.Unix(0, 0), bytes.NewReader(content))
		return nil
	})
	b.start()
	got := b.get("/a.txt", "Accept-Encoding: gzip", "Range: bytes=10-2009")
	if got.StatusCode != http.StatusPartialContent || got.body != string(content[10:2010]) {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	got = b.get("/a.txt", "Accept-Encoding: gzip")
	if got.Header.Get("Content-Encoding") != "gzip" || got.Header.Get("Accept-Ranges") != "" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
}

// Events reach the client one by one, whatever it accepts.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	for path, contentType := range map[string]string{"/events": "text/event-stream", "/lines": "application/x-ndjson"} {
		group.GET(path, func(c echo.Context) error {
			c.Response().Header().Set("Content-Type", contentType)
			c.Response().WriteHeader(http.StatusOK)
			c.Response().Flush()
			for event := range next {
				if event == "" {
					return nil
				}
				if _, err := io.WriteString(c.Response(), event+"\n"); err != nil {
					return err
				}
				c.Response().Flush()
			}
			return nil
		})
	}
	b.start()
	for _, path := range []string{"/events", "/lines"} {
		res, err := b.client.Do(b.request(http.MethodGet, "/api/todo"+path, nil, "Accept-Encoding: gzip"))
		if err != nil {
			t.Fatal(err) // the header comes before the first event
		}
		if res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", path, res.Header)
		}
		lines := bufio.NewScanner(res.Body)
		for _, event := range []string{"one", "two", "three"} {
			next <- event
			if !lines.Scan() || lines.Text() != event {
				t.Errorf("%s: got %q, want %q", path, lines.Text(), event)
			}
		}
		next <- ""
		if lines.Scan() || lines.Err() != nil {
			t.Errorf("%s: %q %v", path, lines.Text(), lines.Err())
		}
		res.Body.Close()
	}
}

func TestFlushWhileCompressing(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	b := newBackend(t, nil)
	first := strings.Repeat("0123456789", 200) + "\n"
	b.echo.GET("/", func(c echo.Context) error {
		c.Response().Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(c.Response(), first)
		c.Response().Flush()
		<-next
		_, err := io.WriteString(c.Response(), "end\n")
		return err
	})
	b.start()
	res, err := b.client.Do(b.request(http.MethodGet, "/", nil, "Accept-Encoding: gzip"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	unzip, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(unzip)
	if line, err := lines.ReadString('\n'); line != first || err != nil {
		t.Errorf("%.20q %v", line, err)
	}
	close(next)
	if line, err := lines.ReadString('\n'); line != "end\n" || err != nil {
		t.Errorf("%q %v", line, err)
	}
}

func TestWebsocket(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("signals")
	group.GET("/", func(c echo.Context) error {
		conn, err := websocket.Accept(c.Response(), c.Request(), nil)
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		kind, message, err := conn.Read(c.Request().Context())
		if err != nil {
			return err
		}
		if err := conn.Write(c.Request().Context(), kind, append([]byte("echo "), message...)); err != nil {
			return err
		}
		return conn.Close(websocket.StatusNormalClosure, "")
	})
	b.start()
	header := http.Header{"Authorization": {"Bearer guest"}, "Accept-Encoding": {"gzip"}}
	conn, _, err := websocket.Dial(t.Context(), b.server.BaseURL()+"/api/signals/", &websocket.DialOptions{HTTPClient: b.client, HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.Read(t.Context()); err != nil || string(message) != "echo hello" {
		t.Errorf("%q %v", message, err)
	}
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Error(err)
	}
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	b.echo.POST("/items", hello)
	b.start()
	b.do(b.request(http.MethodPost, "/items?a=1&code=hunter2&Token=hunter3", nil, "User-Agent: curl/8", "Referer: http://localhost:3000/x"))
	b.get("/nope", "User-Agent: ")
	var entries []map[string]any
	for _, line := range b.log.lines(t) {
		if line["type"] == "incomingRequest" {
			entries = append(entries, line)
		}
	}
	if len(entries) != 2 {
		t.Fatalf("%d entries", len(entries))
	}
	entry := entries[0]
	date, _ := entry["date"].(string)
	for name, want := range map[string]any{
		"level": "INFO", "method": "POST", "url": "/items?a=1&code=***&Token=***", "status": 200.0, "httpVersion": "1.1",
		"userAgent": "curl/8", "referrer": "http://localhost:3000/x", "contentLength": 5.0,
		"msg": "[" + date + `] "POST /items?a=1&code=***&Token=*** HTTP/1.1" 200 5 "http://localhost:3000/x" "curl/8"`,
	} {
		if entry[name] != want {
			t.Errorf("%s: %v, want %v", name, entry[name], want)
		}
	}
	if msg, _ := entries[1]["msg"].(string); !strings.HasSuffix(msg, `"GET /nope HTTP/1.1" 404 0 "-" "-"`) || entries[1]["userAgent"] != nil || entries[1]["referrer"] != nil {
		t.Errorf("%v", entries[1])
	}
}

// A stream may be silent for longer than a client may take nothing.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	b := newBackend(t, object{"baseUrl": "https://localhost", "https": true, "server": object{"timeout": 400, "requestTimeout": 400, "headersTimeout": 400}})
	b.echo.GET("/", func(c echo.Context) error {
		c.Response().Header().Set("Content-Type", "text/event-stream")
		c.Response().Flush()
		for range 2 {
			select {
			case <-time.After(2 * stall):
			case <-c.Request().Context().Done():
				return c.Request().Context().Err()
			}
			_, _ = io.WriteString(c.Response(), "event\n")
			c.Response().Flush()
		}
		return nil
	})
	b.start()
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2}
		b.client.Transport = transport
		req := b.request(http.MethodGet, "/", nil)
		req.URL.Host = b.server.Addr().String()
		if got := b.do(req); got.body != "event\nevent\n" || (got.ProtoMajor == 2) != http2 {
			t.Errorf("%s: %q", got.Proto, got.body)
		}
		transport.CloseIdleConnections()
	}
}
