package usersettings_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/usersettings"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jane = "user:default/jane"
	joe  = "user:default/joe"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, database map[string]any) {
		b := backendtest.Start(t, usersettings.Plugin(), backendtest.Config(map[string]any{"backend": map[string]any{"database": database}}))
		for _, step := range []struct {
			user, method, path, body string
			status                   int
			answer                   string // a part of it
		}{
			{jane, "GET", "/buckets/a/keys/b", "", 404, `"message":"Unable to find 'b' in bucket 'a'"`},
			{jane, "PUT", "/buckets/a/keys/b", `{"value": {"x": [1, "ü"]}}`, 200, `{"bucket":"a","key":"b","value":{"x":[1,"ü"]}}`},
			{jane, "GET", "/buckets/a/keys/b", "", 200, `{"bucket":"a","key":"b","value":{"x":[1,"ü"]}}`},
			{joe, "GET", "/buckets/a/keys/b", "", 404, "NotFoundError"},
			{jane, "PUT", "/buckets/a/keys/b", `{"value": null}`, 200, `{"bucket":"a","key":"b","value":null}`},
			{jane, "PUT", "/buckets/a/keys/B", `{"value": "other"}`, 200, `"key":"B","value":"other"`},
			{jane, "PUT", "/buckets/a/keys/b/c%2Fd%20e", `{"value": 1}`, 200, `"key":"b/c/d e","value":1`},
			{jane, "GET", "/buckets/a/keys/b%2Fc/d%20e", "", 200, `"key":"b/c/d e","value":1`},
			{jane, "PUT", "/buckets/a%2Fb/keys/c", `{"value": 2}`, 200, `{"bucket":"a/b","key":"c","value":2}`},
			{jane, "POST", "/multiget", `{"items": [{"bucket":"a","key":"B"},{"bucket":"a","key":"none"},{"bucket":"a/b","key":"c"},{"bucket":"a","key":"b"},{"bucket":"a","key":"B"}]}`,
				200, `{"items":[{"value":"other"},null,{"value":2},{"value":null},{"value":"other"}]}`},
			{joe, "POST", "/multiget", `{"items": [{"bucket":"a","key":"B"}]}`, 200, `{"items":[null]}`},
			{jane, "POST", "/multiget", `{"items": []}`, 200, `{"items":[]}`},
			{jane, "POST", "/multiget", `{}`, 400, `Missing required field \"items\"`},
			{jane, "POST", "/multiget", `{"items": [{"bucket": "a"}]}`, 400, "items[0] needs a bucket and a key"},
			{jane, "PUT", "/buckets/a/keys/b", `{}`, 400, `Missing required field \"value\"`},
			{jane, "PUT", "/buckets/a/keys/b", `{"value": `, 400, "InputError"},
			{jane, "PUT", "/buckets/a/keys/" + strings.Repeat("x", 256), `{"value": 1}`, 400, "at most 255 characters"},
			{jane, "PUT", "/buckets/a/keys/b", `{"value": "` + strings.Repeat("x", 1<<20) + `"}`, 413, "PayloadTooLargeError"},
			{joe, "DELETE", "/buckets/a/keys/B", "", 204, ""},
			{jane, "GET", "/buckets/a/keys/B", "", 200, `"other"`},
			{jane, "DELETE", "/buckets/a/keys/B", "", 204, ""},
			{jane, "DELETE", "/buckets/a/keys/B", "", 204, ""},
			{jane, "GET", "/buckets/a/keys/B", "", 404, "NotFoundError"},
			{jane, "GET", "/buckets/a/keys/b", "", 200, `"value":null`},
		} {
			var body any
			if step.body != "" {
				body = strings.NewReader(step.body)
			}
			res := b.As(t, step.user).Do(step.method, "/api/user-settings"+step.path, body)
			text, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != step.status || !strings.Contains(string(text), step.answer) {
				t.Errorf("%s %s by %s: %s %.300s; want %d %s", step.method, step.path, step.user, res.Status, text, step.status, step.answer)
			}
		}
	})
}

func TestOnlyUsersHaveSettings(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, usersettings.Plugin())
	const recorded = `{"error":{"name":"AuthenticationError","message":"Missing credentials"},"request":{"method":"GET","url":"/buckets/a/keys/b"},"response":{"statusCode":401}}`
	var want any
	if err := json.Unmarshal([]byte(recorded), &want); err != nil {
		t.Fatal(err)
	}
	if got := backendtest.JSON[any](t, b.Anonymous(t).Get("/api/user-settings/buckets/a/keys/b")); !reflect.DeepEqual(got, want) {
		t.Errorf("nobody is answered %v, by Backstage %s", got, recorded)
	}
	for who, c := range map[string]*backendtest.Client{"nobody": b.Anonymous(t), "a service": b.AsService(t, "external:ci")} {
		for _, ask := range []func() *http.Response{
			func() *http.Response { return c.Get("/api/user-settings/buckets/a/keys/b") },
			func() *http.Response { return c.Post("/api/user-settings/multiget", map[string]any{"items": []any{}}) },
		} {
			if res := ask(); res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s", who, res.Status)
			}
		}
	}
}

func TestSettingsAreBounded(t *testing.T) {
	t.Parallel()
	c := backendtest.Start(t, usersettings.Plugin()).As(t, jane)
	put := func(key string) int {
		return c.Do(http.MethodPut, "/api/user-settings/buckets/a/keys/"+key, map[string]any{"value": 1}).StatusCode
	}
	for i := range 1000 {
		if status := put(fmt.Sprint(i)); status != http.StatusOK {
			t.Fatalf("the setting %d: status %d", i, status)
		}
	}
	if status := put("one-more"); status != http.StatusBadRequest {
		t.Errorf("one more: status %d", status)
	}
	if status := put("7"); status != http.StatusOK {
		t.Errorf("one of them: status %d", status)
	}
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	browsers := plugin.New("browsers", plugin.Init(func(events service.Events) error {
		return events.Subscribe(service.Subscription{ID: "all", Topics: []string{"signals"}, OnEvent: func(_ context.Context, e service.Event) error {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, string(e.Payload))
			return nil
		}})
	}))
	c := backendtest.Start(t, usersettings.Plugin(), browsers).As(t, jane)
	c.Do(http.MethodPut, "/api/user-settings/buckets/a/keys/b", map[string]any{"value": 1})
	c.Do(http.MethodDelete, "/api/user-settings/buckets/a/keys/b", nil)
	mu.Lock()
	defer mu.Unlock()
	const changed = `{"channel":"user-settings","message":{"key":"b","type":"%s"},"recipients":{"entityRef":"user:default/jane","type":"user"}}`
	if want := fmt.Sprintf(changed, "key-changed") + "\n" + fmt.Sprintf(changed, "key-deleted"); strings.Join(told, "\n") != want {
		t.Errorf("told is\n%s\nwant\n%s", strings.Join(told, "\n"), want)
	}
}
