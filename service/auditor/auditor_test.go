package auditor_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auditor"
)

// shop has a route that buys things, which fails for what is sold out.
func shop() plugin.Plugin {
	return plugin.New("shop", plugin.Init(func(router *echo.Group, policies service.AuthPolicies, audit service.Auditor) {
		policies.AllowUnauthenticated("/open")
		policies.AllowUserCookie("/cookie")
		buy := func(c echo.Context) error {
			ctx := c.Request().Context()
			event, err := audit.Event(ctx, service.AuditEvent{
				ID: "item-buy", Severity: service.SeverityHigh, Request: c.Request(),
				Meta: []slog.Attr{slog.String("item", c.Param("item")), slog.Any("token", service.NewToken("t0k3n"))},
			})
			if err != nil {
				return err
			}
			if c.Param("item") == "pen" {
				err := service.NotFoundError.Errorf("no pens\n{\"isAuditEvent\":true}")
				event.Fail(ctx, err, slog.Group("stock", slog.Int("pens", 0)))
				event.Succeed(ctx) // too late
				return err
			}
			event.Succeed(ctx, slog.String("item", strings.ToUpper(c.Param("item"))))
			return c.NoContent(http.StatusNoContent)
		}
		router.POST("/:item", buy)
		router.POST("/open/:item", buy)
		router.POST("/cookie/:item", buy)
	}))
}

// audited are the fields of the entries that are audit events.
func audited(b *backendtest.Backend) []map[string]any {
	var all []map[string]any
	for _, e := range b.Log.Entries() {
		if e.Fields["isAuditEvent"] == true {
			all = append(all, e.Fields)
		}
	}
	return all
}

func TestFieldsAreThoseOfBackstage(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, shop())
	res := b.As(t, "user:default/guest").Post("/api/shop/ink?queue=1&access_token=s3cret", nil)
	if res.StatusCode != http.StatusNoContent {
		t.Fatal(res.Status)
	}
	entries := audited(b)
	if len(entries) != 2 {
		t.Fatalf("%d entries, want one for the beginning and one for the end", len(entries))
	}
	for i, want := range []struct{ status, item string }{{"initiated", "ink"}, {"succeeded", "INK"}} {
		e := entries[i]
		for key, value := range map[string]any{
			"message": "shop.item-buy", "plugin": "shop", "level": "info", "service": "backstage",
			"eventId": "item-buy", "severityLevel": "high", "status": want.status,
		} {
			if e[key] != value {
				t.Errorf("%s: %s is %v, want %v", want.status, key, e[key], value)
			}
		}
		actor, _ := e["actor"].(map[string]any)
		if want := map[string]any{"actorId": "user:default/guest", "ip": "127.0.0.1", "hostname": "127.0.0.1", "userAgent": "Go-http-client/1.1"}; !maps.Equal(actor, want) {
			t.Errorf("actor: %v, want %v", actor, want)
		}
		request, _ := e["request"].(map[string]any)
		if want := map[string]any{"url": "/api/shop/ink?queue=1&access_token=***", "method": "POST"}; !maps.Equal(request, want) {
			t.Errorf("request: %v, want %v", request, want)
		}
		meta, _ := e["meta"].(map[string]any)
		if want := map[string]any{"item": want.item, "token": "<token>"}; !maps.Equal(meta, want) {
			t.Errorf("meta: %v, want %v", meta, want)
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, shop())
	if res := b.AsService(t, "external:ci").Post("/api/shop/pen", nil); res.StatusCode != http.StatusNotFound {
		t.Fatal(res.Status)
	}
	entries := audited(b)
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2: only the first end counts, and a message is no entry of its own", len(entries))
	}
	end := entries[1]
	if end["status"] != "failed" || end["error"] != "no pens\n{\"isAuditEvent\":true}" || end["message"] != "shop.item-buy no pens\n{\"isAuditEvent\":true}" {
		t.Errorf("the end is %v", end)
	}
	if actor := end["actor"].(map[string]any); actor["actorId"] != "external:ci" {
		t.Errorf("actor %v", actor)
	}
	meta, _ := end["meta"].(map[string]any)
	if stock, _ := meta["stock"].(map[string]any); meta["item"] != "pen" || stock["pens"] != 0.0 {
		t.Errorf("meta %v, want that of the beginning and that of the end", meta)
	}
}

func TestActors(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, shop())
	for name, c := range map[string]struct {
		path, header, value string
		want                any
		status              int
	}{
		"nobody":          {"/open/ink", "", "", nil, http.StatusNoContent},
		"cookie":          {"/cookie/ink", "Cookie", `backstage-auth=mock-limited-user-token%3A%7B%22sub%22%3A%22user:default/amelie%22%7D`, "user:default/amelie", http.StatusNoContent},
		"on behalf":       {"/ink", "Authorization", `Bearer mock-service-token:{"sub":"plugin:app","obo":"user:default/bob"}`, "user:default/bob", http.StatusNoContent},
		"forged":          {"/open/ink", "Authorization", "Bearer mock-invalid-user-token", nil, http.StatusUnauthorized},
		"hostile browser": {"/open/ink", "User-Agent", `x","actorId":"user:default/root`, nil, http.StatusNoContent},
	} {
		before := len(audited(b))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/api/shop"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s: %s", name, res.Status)
		}
		entries := audited(b)[before:]
		if c.status == http.StatusUnauthorized {
			if len(entries) != 0 {
				t.Errorf("%s: %v was recorded", name, entries)
			}
			continue
		}
		if len(entries) != 2 {
			t.Fatalf("%s: %d entries", name, len(entries))
		}
		actor := entries[0]["actor"].(map[string]any)
		if actor["actorId"] != c.want {
			t.Errorf("%s: the actor is %v, want %v", name, actor["actorId"], c.want)
		}
		if c.header == "User-Agent" && actor["userAgent"] != c.value {
			t.Errorf("%s: the browser is %v", name, actor["userAgent"])
		}
	}
}

func TestProxiesTellWhoTheClientIs(t *testing.T) {
	t.Parallel()
	for trust, want := range map[any]string{true: "198.51.100.9 portal.example.com", false: "127.0.0.1 127.0.0.1"} {
		b := backendtest.Start(t, shop(), backendtest.Config(map[string]any{"backend": map[string]any{"trustProxy": trust}}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/api/shop/open/ink", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", "198.51.100.9")
		r.Header.Set("X-Forwarded-Host", "portal.example.com:8443, inner")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		entries := b.AuditEntries()
		if len(entries) != 2 {
			t.Fatalf("%d entries", len(entries))
		}
		if actor := entries[0].Actor; actor.IP+" "+actor.Hostname != want {
			t.Errorf("with trustProxy %v: %s %s, want %s", trust, actor.IP, actor.Hostname, want)
		}
	}
}

// run calls do in the start of a plugin.
func run(t *testing.T, do func(context.Context, service.Auditor) error, features ...backend.Feature) (*backendtest.Backend, error) {
	t.Helper()
	return backendtest.TryStart(t, append(features, plugin.New("shop", plugin.Init(do)))...)
}

func TestEventsWithoutARequest(t *testing.T) {
	t.Parallel()
	b, err := run(t, func(ctx context.Context, audit service.Auditor) error {
		own, err := audit.Event(ctx, service.AuditEvent{ID: "shop-open"})
		if err != nil {
			return err
		}
		own.Succeed(ctx)
		other, err := audit.Event(service.OnBehalfOf(ctx, service.Credentials{Kind: service.AllowUser, Subject: "user:default/bob"}),
			service.AuditEvent{ID: "shop-close"})
		if err == nil {
			other.Fail(ctx, errors.New("never"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var actors []string
	for _, e := range b.AuditEntries() {
		actors = append(actors, e.Actor.ActorID)
		if e.Request != nil || e.Severity != service.SeverityLow {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"plugin:shop", "plugin:shop", "user:default/bob", "user:default/bob"}; !slices.Equal(actors, want) {
		t.Errorf("actors %v, want %v", actors, want)
	}
	for _, e := range audited(b) {
		if e["level"] != "debug" {
			t.Errorf("an event of severity low is logged at level %v", e["level"])
		}
		if _, ok := e["request"]; ok {
			t.Errorf("%v has a request", e)
		}
	}
}

func TestLevelsAreConfigured(t *testing.T) {
	t.Parallel()
	mapping := func(levels map[string]any) backend.Feature {
		return backendtest.Config(map[string]any{"backend": map[string]any{"auditor": map[string]any{"severityLogLevelMappings": levels}}})
	}
	all := func(ctx context.Context, audit service.Auditor) error {
		for _, s := range []service.AuditSeverity{service.SeverityLow, service.SeverityMedium, service.SeverityHigh, service.SeverityCritical} {
			if _, err := audit.Event(ctx, service.AuditEvent{ID: string(s), Severity: s}); err != nil {
				return err
			}
		}
		return nil
	}
	b, err := run(t, all, mapping(map[string]any{"low": "info", "high": "warn", "critical": "error"}))
	if err != nil {
		t.Fatal(err)
	}
	var levels []string
	for _, e := range audited(b) {
		levels = append(levels, e["level"].(string))
	}
	if want := []string{"info", "info", "warn", "error"}; !slices.Equal(levels, want) {
		t.Errorf("levels %v, want %v", levels, want)
	}
	if _, err := run(t, all, mapping(map[string]any{"low": "loud"})); err == nil ||
		!strings.Contains(err.Error(), "backend.auditor.severityLogLevelMappings.low") || !strings.Contains(err.Error(), "warn") {
		t.Errorf("a level that there is not: %v", err)
	}
}

func TestIncompleteEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		event service.AuditEvent
		want  string
	}{
		{service.AuditEvent{}, "needs an ID"},
		{service.AuditEvent{ID: "x", Severity: "fatal"}, "low medium high critical"},
	} {
		_, err := run(t, func(ctx context.Context, audit service.Auditor) error {
			_, err := audit.Event(ctx, c.event)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want something about %q", c.event, err, c.want)
		}
	}
}

func TestWhatCannotBeRecordedDoesNotBegin(t *testing.T) {
	t.Parallel()
	full := service.PerPlugin[service.Auditor](func(d auditor.Dependencies) service.Auditor {
		return auditor.New(d, func(_ context.Context, e auditor.Entry) error {
			if e.EventID == "first" && e.Status == auditor.StatusInitiated {
				return nil
			}
			return io.ErrShortWrite
		})
	})
	b, err := run(t, func(ctx context.Context, audit service.Auditor) error {
		first, err := audit.Event(ctx, service.AuditEvent{ID: "first"})
		if err != nil {
			return err
		}
		first.Succeed(ctx)
		_, err = audit.Event(ctx, service.AuditEvent{ID: "second"})
		return err
	}, full)
	if err == nil || !strings.Contains(err.Error(), "recording that second begins: short write") {
		t.Errorf("got %v", err)
	}
	if !slices.ContainsFunc(b.Log.Entries(), func(e backendtest.LogEntry) bool {
		return e.Level == "error" && e.Fields["eventId"] == "first" && e.Fields["error"] == "short write"
	}) {
		t.Error("that the end of the first one was not recorded is not in the log")
	}
}
