package catalog_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

const webhookKey = "0123456789abcdef0123456789abcdef"

// receiver gets what a webhook is told.
type receiver struct {
	*httptest.Server
	answer func(w http.ResponseWriter) // nil: 204

	mu    sync.Mutex
	calls []call
}

type call struct {
	id      string
	changes []catalogclient.Change
	lost    bool
	good    bool   // answered with success
	trace   string // the header traceparent
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, err := receive(req)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		c.good = r.answer == nil
		r.calls = append(r.calls, c)
		if c.good {
			w.WriteHeader(http.StatusNoContent)
		} else {
			r.answer(w)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// receive verifies a call as https://github.com/standard-webhooks/standard-webhooks says.
func receive(req *http.Request) (call, error) {
	c := call{id: req.Header.Get("webhook-id"), trace: req.Header.Get("traceparent")}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return c, err
	}
	mac := hmac.New(sha256.New, []byte(webhookKey))
	fmt.Fprintf(mac, "%s.%s.%s", c.id, req.Header.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !slices.Contains(strings.Fields(req.Header.Get("webhook-signature")), want) {
		return c, fmt.Errorf("the signature is %q, want %q", req.Header.Get("webhook-signature"), want)
	}
	var message struct {
		Type string
		Data struct {
			Items []catalogclient.Change
			Lost  bool
		}
	}
	if err := json.Unmarshal(body, &message); err != nil || message.Type != "catalog.entities.changed" {
		return c, fmt.Errorf("the body is %s (%w)", body, err)
	}
	c.changes, c.lost = message.Data.Items, message.Data.Lost
	return c, nil
}

// answers sets what it answers from now on.
func (r *receiver) answers(answer func(w http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// got says what was delivered with success.
func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var changes []catalogclient.Change
	for _, c := range r.calls {
		if c.good {
			changes = append(changes, c.changes...)
		}
	}
	return told(changes...)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

func (r *receiver) call(n int) call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[n]
}

func (r *receiver) last() call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[len(r.calls)-1]
}

// hooked is a configuration with a webhook.
func hooked(url string, options map[string]any) backend.Feature {
	hook := map[string]any{"id": "hook", "url": url + "/secret-path?token=secret-token", "secret": []any{
		"whsec_" + base64.StdEncoding.EncodeToString([]byte(webhookKey)), "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 24)))}}
	for name, value := range options {
		hook[name] = value
	}
	return backendtest.Config(map[string]any{"catalog": map[string]any{"webhooks": []any{hook}, "history": map[string]any{"retention": "2h"}}})
}

type hookState struct {
	State     string
	Pending   int
	Failures  int
	LastError string
}

func stateOf(t *testing.T, b *backendtest.Backend) hookState {
	t.Helper()
	return backendtest.JSON[struct{ Items []hookState }](t, b.AsService(t, "external:ops").Get("/api/catalog/webhooks")).Items[0]
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		r := newReceiver(t)
		s := &source{name: "s"}
		b := backendtest.Start(t, catalog.Plugin(), module(s), database(section), hooked(r.URL, map[string]any{"filter": []any{"spec.owner=one"}}))
		await(t, "the webhook to be ready", func() bool { return stateOf(t, b).State == "ok" })
		s.full(t, parse(t, component("a", "one")), parse(t, component("b", "two")))
		await(t, "a to be told", func() bool { return slices.Equal(r.got(), []string{"created component:default/a"}) })
		await(t, "everything to be delivered", func() bool { return stateOf(t, b).Pending == 0 })

		// It fails, and is called again with the same after a second and then more.
		r.answers(func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
		s.full(t, parse(t, component("a", "two")), parse(t, component("b", "two")))
		await(t, "the failure to be told", func() bool { return stateOf(t, b).Failures == 1 })
		first := r.last()
		calls := r.count()
		// Time passes step by step: the pause may begin after any of them.
		await(t, "the second attempt", func() bool { b.Clock.Advance(100 * time.Millisecond); return stateOf(t, b).Failures >= 2 })
		if again := r.call(calls); again.id != first.id {
			t.Errorf("the second attempt is %q, the first was %q", again.id, first.id)
		}
		state := stateOf(t, b)
		if state.State != "failing" || !strings.Contains(state.LastError, "500") {
			t.Errorf("it is %+v", state)
		}

		// It asks for an hour's rest.
		r.answers(func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		await(t, "the rest that it asks for", func() bool { b.Clock.Advance(time.Second); return strings.Contains(stateOf(t, b).LastError, "429") })
		asked := b.Clock.Now()
		r.answers(nil)
		await(t, "the change to be told", func() bool {
			b.Clock.Advance(time.Minute)
			return slices.Equal(r.got(), []string{"created component:default/a", "deleted component:default/a"})
		})
		if rest := b.Clock.Since(asked); rest < 59*time.Minute {
			t.Errorf("it was called after %s, although it asked for an hour", rest)
		}

		// It does not want any more.
		r.answers(func(w http.ResponseWriter) { w.WriteHeader(http.StatusGone) })
		s.full(t, parse(t, component("a", "one")))
		await(t, "it to be disabled", func() bool { return stateOf(t, b).State == "disabled" })
		await(t, "that to be logged", func() bool { return strings.Contains(b.Log.String(), "A webhook was disabled") })
		for _, secret := range []string{webhookKey, base64.StdEncoding.EncodeToString([]byte(webhookKey)), "secret-token"} {
			if strings.Contains(b.Log.String(), secret) {
				t.Errorf("the log has the secret %s", secret)
			}
		}
		r.answers(nil)
		if res := b.As(t, "user:default/guest").Post("/api/catalog/webhooks/hook/enable", nil); res.StatusCode != http.StatusForbidden {
			t.Errorf("a user enabling it: status %d", res.StatusCode)
		}
		if res := b.AsService(t, "external:ops").Post("/api/catalog/webhooks/hook/enable", nil); res.StatusCode != http.StatusNoContent {
			t.Errorf("enabling: status %d", res.StatusCode)
		}
		await(t, "the change to be told", func() bool { b.Clock.Advance(10 * time.Second); return len(r.got()) == 3 })
		await(t, "it to be well", func() bool { return stateOf(t, b) == hookState{State: "ok"} })
	})
}

// TestWebhookThatLostChanges has what a webhook has not got be deleted from the log.
func TestWebhookThatLostChanges(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := &source{name: "s"}
	b := backendtest.Start(t, catalog.Plugin(), module(s), hooked(r.URL, nil))
	await(t, "the webhook to be ready", func() bool { return stateOf(t, b).State == "ok" })
	r.answers(func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "36000")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	s.full(t, parse(t, component("a", "one")))
	await(t, "the failure", func() bool { return stateOf(t, b).Failures == 1 })
	s.full(t, parse(t, component("a", "two")))
	guest := b.As(t, "user:default/guest")
	await(t, "the change", func() bool {
		return entity(t, guest, "component/default/a")["spec"].(map[string]any)["owner"] == "two"
	})
	b.Clock.Advance(3 * time.Hour)
	if err := b.RunTask(t, "catalog", "forget-history"); err != nil {
		t.Fatal(err)
	}
	r.answers(nil)
	await(t, "the first change", func() bool { b.Clock.Advance(time.Hour); return len(r.got()) == 1 })
	await(t, "the loss to be logged", func() bool {
		return strings.Contains(b.Log.String(), "Changes were deleted before a webhook has got them")
	})
	s.full(t, parse(t, component("a", "three")))
	await(t, "the last change", func() bool { return len(r.got()) == 2 })
	if !r.last().lost {
		t.Error("the webhook is not told that it has lost changes")
	}
}

// TestWebhookIsTraced has a webhook called while somebody takes traces.
func TestWebhookIsTraced(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := &source{name: "s"}
	b := backendtest.Start(t, catalog.Plugin(), module(s), hooked(r.URL, nil),
		service.RootGroup[sdktrace.SpanExporter](func() sdktrace.SpanExporter { return tracetest.NewNoopExporter() }))
	await(t, "the webhook to be ready", func() bool { return stateOf(t, b).State == "ok" })
	s.full(t, parse(t, component("a", "one")))
	await(t, "a call", func() bool { return r.count() > 0 })
	if r.last().trace == "" {
		t.Error("the call does not say which trace it belongs to")
	}
}

func TestWrongWebhooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options map[string]any
		want    string
	}{
		"no URL":             {map[string]any{"url": "hooks"}, "catalog.webhooks[0].url"},
		"a secret too short": {map[string]any{"secret": "whsec_YWJj"}, "openssl rand"},
		"a wrong filter":     {map[string]any{"filter": "=x"}, "catalog.webhooks[0].filter"},
		"a wrong id":         {map[string]any{"id": "a b"}, "catalog.webhooks[0].id"},
		"an unknown key":     {map[string]any{"secrets": "x"}, "secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := backendtest.TryStart(t, catalog.Plugin(), hooked("http://hooks.test", c.options))
			if told := fmt.Sprint(b.Log.String(), err); !strings.Contains(told, c.want) || strings.Contains(told, "secret-token") || strings.Contains(told, "YWJj") {
				t.Errorf("%q is not told, or too much: %v", c.want, err)
			}
		})
	}
}

// TestWebhookOfReplicas has two replicas share a webhook.
func TestWebhookOfReplicas(t *testing.T) {
	t.Parallel()
	section := backendtest.PostgreSQL(t)
	r := newReceiver(t)
	s := [2]*source{{name: "s"}, {name: "s"}}
	for i := range s {
		features := []backend.Feature{catalog.Plugin(), module(s[i]), database(section), hooked(r.URL, nil)}
		for _, real := range scheduler.Services(false) { // which replicas share, by real time
			features = append(features, real)
		}
		b := backendtest.Start(t, features...)
		await(t, "the webhook to be ready", func() bool { return stateOf(t, b).State == "ok" })
	}
	var want []string
	for n := range 10 {
		s[n%2].full(t, parse(t, component("a", fmt.Sprint("owner-", n))))
		want = append(want, "updated component:default/a")
		await(t, "the change to be told", func() bool { return len(r.got()) == n+1 })
	}
	want[0] = "created component:default/a"
	expect(t, "calls", r.got(), want...)
}
