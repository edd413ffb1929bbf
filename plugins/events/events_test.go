package events_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events"
	"github.com/portico-dev/portico/plugins/events/azuredevops"
	"github.com/portico-dev/portico/plugins/events/bitbucketcloud"
	"github.com/portico-dev/portico/plugins/events/bitbucketserver"
	"github.com/portico-dev/portico/plugins/events/gerrit"
	"github.com/portico-dev/portico/plugins/events/github"
	"github.com/portico-dev/portico/plugins/events/gitlab"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// inbox is a plugin that keeps the events of topics.
type inbox struct {
	mu     sync.Mutex
	events []service.Event
}

func (i *inbox) plugin(topics ...string) plugin.Plugin {
	return plugin.New("inbox", plugin.Init(func(bus service.Events) error {
		return bus.Subscribe(service.Subscription{ID: "inbox", Topics: topics, OnEvent: func(_ context.Context, e service.Event) error {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.events = append(i.events, e)
			return nil
		}})
	}))
}

// take answers the topics of what has come, and forgets them; last is the last event.
func (i *inbox) take() (topics string, last service.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var names []string
	for _, e := range i.events {
		names, last = append(names, e.Topic), e
	}
	i.events = nil
	return strings.Join(names, " "), last
}

// send posts a body as a webhook does, and answers the status and the body of the answer.
func send(t *testing.T, b *backendtest.Backend, topic string, header map[string]string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/api/events/http/"+topic, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

func config(events object) backend.Feature { return backendtest.Config(object{"events": events}) }

func TestIngress(t *testing.T) {
	t.Parallel()
	in := &inbox{}
	upper := plugin.NewModule("events", "upper", plugin.Init(func(ingresses events.Ingresses) error {
		ingresses.AddHTTPPostBodyParser("text/plain", func(body []byte, _ map[string]string) (json.RawMessage, error) {
			return json.Marshal(strings.ToUpper(string(body)))
		})
		return ingresses.AddHTTPPostIngress(events.HTTPPostIngress{Topic: "checked", Validate: func(_ context.Context, r *events.Request) error {
			switch r.Header.Get("X-Who") {
			case "me":
				return nil
			case "broken":
				return errors.New("a secret detail")
			}
			return service.NotAllowedError.Errorf("who are you?")
		}})
	}))
	b := backendtest.Start(t, events.Plugin(), upper, in.plugin("open", "checked"), config(object{"http": object{"topics": []any{"open", "checked"}}}))
	const accepted = `{"status":"accepted"}`
	for _, test := range []struct {
		name, topic, contentType, who, body string
		status                              int
		answer                              string // a part of it
		payload                             string // empty: nothing is published
	}{
		{"json", "open", "application/json", "", `{"a": [1]}`, 202, accepted, `{"a": [1]}`},
		{"with a charset", "open", "application/json; charset=UTF-8", "", `"ü"`, 202, accepted, `"ü"`},
		{"in another charset", "open", "application/json; charset=latin1", "", `{}`, 415, "Unsupported charset: latin1", ""},
		{"malformed", "open", "application/json", "", `{"a":`, 400, "The body is not JSON", ""},
		{"empty", "open", "application/json", "", ``, 400, "The body is not JSON", ""},
		{"another type", "open", "application/xml", "", `<a/>`, 415, "UnsupportedMediaTypeError", ""},
		{"without a type", "open", "", "", `{}`, 400, "Content-Type", ""},
		{"by a parser of a module", "checked", "text/plain", "me", "hello", 202, accepted, `"HELLO"`},
		{"refused", "checked", "application/json", "", `{}`, 403, `{"message":"who are you?"}`, ""},
		{"that can't be checked", "checked", "application/json", "broken", `{}`, 500, `"statusCode":500`, ""},
		{"of a topic that nobody opened", "other", "application/json", "", `{}`, 404, "", ""},
		{"too large", "open", "application/json", "", `"` + strings.Repeat("a", 5<<20) + `"`, 413, "PayloadTooLargeError", ""},
		{"large", "open", "application/json", "", `"` + strings.Repeat("a", 4<<20) + `"`, 202, accepted, `"` + strings.Repeat("a", 4<<20) + `"`},
	} {
		header := map[string]string{"X-Who": test.who, "Authorization": "Basic c2VjcmV0", "Cookie": "secret=1"}
		if test.contentType != "" {
			header["Content-Type"] = test.contentType
		}
		status, answer := send(t, b, test.topic, header, []byte(test.body))
		if status != test.status || !strings.Contains(answer, test.answer) || strings.Contains(answer, "secret detail") {
			t.Errorf("%s: status %d, %s; want %d, %s", test.name, status, answer, test.status, test.answer)
		}
		topics, e := in.take()
		if string(e.Payload) != test.payload || test.payload != "" && topics != test.topic {
			t.Errorf("%s: published is %q with %.80s, want %.80s", test.name, topics, e.Payload, test.payload)
		}
		if test.payload == "" {
			continue
		}
		if got := fmt.Sprint(e.Metadata["x-who"], e.Metadata["authorization"], e.Metadata["cookie"]); got != fmt.Sprintf("[%s] [] []", test.who) {
			t.Errorf("%s: the metadata are %v", test.name, e.Metadata)
		}
	}
	if log := b.Log.String(); !strings.Contains(log, `"topic":"open","path":"/api/events/http/open"`) || !strings.Contains(log, "Anybody can publish") {
		t.Error("nobody is told that anybody can publish")
	}
}

func TestMistakesOfIngresses(t *testing.T) {
	t.Parallel()
	opening := func(id, topic string) backend.Feature {
		return plugin.NewModule("events", id, plugin.Init(func(ingresses events.Ingresses) error {
			return ingresses.AddHTTPPostIngress(events.HTTPPostIngress{Topic: topic})
		}))
	}
	for want, features := range map[string][]backend.Feature{
		"two modules take the events of topic twice": {opening("one", "twice"), opening("two", "twice")},
		`the topic "a/b" has to be`:                  {opening("one", "a/b")},
		`events.http.topics[1]: ":x" has to be`:      {config(object{"http": object{"topics": []any{"a", ":x"}}})},
	} {
		if _, err := backendtest.TryStart(t, append(features, events.Plugin())...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// appKey is the private key of a GitHub App.
func appKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func TestForges(t *testing.T) {
	t.Parallel()
	modules := []backend.Feature{
		events.Plugin(), github.Module(), gitlab.Module(), azuredevops.Module(), bitbucketcloud.Module(), bitbucketserver.Module(), gerrit.Module(),
	}
	in := &inbox{}
	secret := object{"webhookSecret": "the secret"}
	b := backendtest.Start(t, append([]backend.Feature{
		in.plugin("github.push", "github.ping", "gitlab.push", "gitlab.group_create", "azureDevOps.git.push", "bitbucketCloud.repo:push", "bitbucketServer.repo:refs_changed", "gerrit.change-merged"),
		backendtest.Config(object{
			"events": object{
				"http":    object{"topics": []any{"bitbucketCloud", "bitbucketServer", "gerrit"}},
				"modules": object{"github": secret, "gitlab": secret, "azureDevOps": secret},
			},
			"integrations": object{"github": []any{object{"host": "github.com", "apps": []any{
				object{"appId": 1, "privateKey": appKey(t), "webhookSecret": "the app's secret"},
			}}}},
		}),
	}, modules...)...)
	for _, test := range []struct {
		name, topic string
		header      map[string]string
		body        string
		status      int
		answer      string
		published   string
	}{
		{"GitHub", "github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": sign("the secret", `{"a":1}`)}, `{"a":1}`, 202, "", "github.push"},
		{"an app of GitHub", "github", map[string]string{"X-GitHub-Event": "ping", "X-Hub-Signature-256": sign("the app's secret", `{}`)}, `{}`, 202, "", "github.ping"},
		{"GitHub, of something else", "github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": sign("the secret", `{"a":1}`)}, `{"a":2}`, 403, `{"message":"invalid signature"}`, ""},
		{"GitHub, by another secret", "github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": sign("", `{}`)}, `{}`, 403, `{"message":"invalid signature"}`, ""},
		{"GitHub, without a signature", "github", map[string]string{"X-GitHub-Event": "push"}, `{}`, 403, `{"message":"invalid signature"}`, ""},
		{"GitHub, without an event", "github", map[string]string{"X-Hub-Signature-256": sign("the secret", `{}`)}, `{}`, 202, "", ""},
		{"GitLab", "gitlab", map[string]string{"X-Gitlab-Token": "the secret"}, `{"object_kind":"push","event_name":"other"}`, 202, "", "gitlab.push"},
		{"GitLab's system hook", "gitlab", map[string]string{"X-Gitlab-Token": "the secret"}, `{"event_name":"group_create"}`, 202, "", "gitlab.group_create"},
		{"GitLab, a list", "gitlab", map[string]string{"X-Gitlab-Token": "the secret"}, `[1]`, 202, "", ""},
		{"GitLab, by another token", "gitlab", map[string]string{"X-Gitlab-Token": "the secre"}, `{}`, 403, `{"message":"invalid token"}`, ""},
		{"GitLab, without a token", "gitlab", nil, `{}`, 403, `{"message":"invalid token"}`, ""},
		{"Azure DevOps", "azureDevOps", map[string]string{"X-Ado-Webhook-Secret": "the secret"}, `{"eventType":"git.push"}`, 202, "", "azureDevOps.git.push"},
		{"Azure DevOps, by another secret", "azureDevOps", map[string]string{"X-Ado-Webhook-Secret": "x"}, `{}`, 403, `{"message":"invalid webhook secret"}`, ""},
		{"Bitbucket Cloud", "bitbucketCloud", map[string]string{"X-Event-Key": "repo:push"}, `{}`, 202, "", "bitbucketCloud.repo:push"},
		{"Bitbucket Server", "bitbucketServer", map[string]string{"X-Event-Key": "repo:refs_changed"}, `{}`, 202, "", "bitbucketServer.repo:refs_changed"},
		{"Gerrit", "gerrit", nil, `{"type":"change-merged"}`, 202, "", "gerrit.change-merged"},
	} {
		header := map[string]string{"Content-Type": "application/json"}
		for name, value := range test.header {
			header[name] = value
		}
		status, answer := send(t, b, test.topic, header, []byte(test.body))
		if status != test.status || !strings.Contains(answer, test.answer) {
			t.Errorf("%s: status %d, %s", test.name, status, answer)
		}
		topics, e := in.take()
		if topics != test.published || topics != "" && string(e.Payload) != test.body {
			t.Errorf("%s: published is %q with %s, want %q", test.name, topics, e.Payload, test.published)
		}
		if strings.Contains(fmt.Sprint(e.Metadata), "the secret") {
			t.Errorf("%s: the secret is in the metadata: %v", test.name, e.Metadata)
		}
	}

	without := backendtest.Start(t, modules...)
	for _, topic := range []string{"github", "gitlab", "azureDevOps", "gerrit"} {
		if status, _ := send(t, without, topic, map[string]string{"Content-Type": "application/json"}, []byte(`{}`)); status != http.StatusNotFound {
			t.Errorf("without a secret, %s answers with status %d", topic, status)
		}
	}
}
