package httprouter_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	b.echo.GET("/", func(c echo.Context) error {
		close(entered)
		<-leave
		return c.String(http.StatusOK, "served")
	})
	b.start()
	idle := dial(t, b, "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := status(t, idle); got != "HTTP/1.1 404 Not Found" {
		t.Fatal(got)
	}
	answers := make(chan answer)
	go func() { answers <- b.get("/") }()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- b.server.Shutdown(t.Context()) }()
	for {
		conn, err := net.Dial("tcp", b.server.Addr().String())
		if err != nil {
			break // the listener is closed
		}
		conn.Close()
	}
	if _, err := io.ReadAll(idle); err != nil {
		t.Errorf("the idle connection: %v", err)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a request is being served: %v", err)
	default:
	}
	close(leave)
	if got := <-answers; got.body != "served" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := b.server.Shutdown(t.Context()); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

// Requests that don't end in time are cut: streams, connections that were taken over, and handlers that wait for their context.
func TestCut(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	var ended atomic.Int64
	entered := make(chan struct{})
	group.GET("/events", func(c echo.Context) error {
		defer ended.Add(1)
		c.Response().Header().Set("Content-Type", "text/event-stream")
		c.Response().Flush()
		<-c.Request().Context().Done()
		return nil
	})
	group.GET("/wait", func(c echo.Context) error {
		defer ended.Add(1)
		entered <- struct{}{}
		<-c.Request().Context().Done()
		return c.Request().Context().Err()
	})
	group.GET("/socket", func(c echo.Context) error {
		defer ended.Add(1)
		conn, err := websocket.Accept(c.Response(), c.Request(), nil)
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		_, _, _ = conn.Read(context.WithoutCancel(c.Request().Context())) // ends only with the connection
		return nil
	})
	b.start()
	events, err := b.client.Do(b.request(http.MethodGet, "/api/todo/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	socket, _, err := websocket.Dial(t.Context(), b.server.BaseURL()+"/api/todo/socket",
		&websocket.DialOptions{HTTPClient: b.client, HTTPHeader: http.Header{"Authorization": {"Bearer guest"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		if res, err := b.client.Do(b.request(http.MethodGet, "/api/todo/wait", nil)); err == nil {
			res.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = b.server.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 requests were cut") {
		t.Errorf("%v", err)
	}
	if n := ended.Load(); n != 3 {
		t.Errorf("%d handlers have ended", n)
	}
	_, _ = io.ReadAll(events.Body) // it ends, whether by the handler or with the connection
	if _, _, err := socket.Read(t.Context()); err == nil {
		t.Error("the socket is open")
	}
	<-waiting
	b.root = nil // it has stopped with an error, which the end of the test must not meet again
}

func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, object{"lifecycle": object{"serverShutdownDelay": "20s"}})
		if len(b.lifecycle.beforeShutdown) != 1 {
			t.Fatalf("%d hooks", len(b.lifecycle.beforeShutdown))
		}
		begin := time.Now()
		if err := b.lifecycle.beforeShutdown[0](t.Context()); err != nil || time.Since(begin) != 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.lifecycle.beforeShutdown[0](ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(20 * time.Second) // until no timer is left
	})
	if b := newBackend(t, nil); len(b.lifecycle.beforeShutdown) != 0 {
		t.Error("a hook without a delay")
	}
}

// A connection that was opened in advance does not hold up the stop.
func TestUnusedConnection(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil).start()
	b.get("/nope")
	conn := dial(t, b, "")
	used := dial(t, b, "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n") // accepted after the other one
	status(t, used)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	if err := b.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
