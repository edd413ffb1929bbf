package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSplit builds the program and runs it in all its ways.
func TestSplit(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "split")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, test := range map[string]func(*portal){
		"one backend":       oneBackend,
		"two backends":      twoBackends,
		"an unknown plugin": unknownPlugin,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newPortal(t, binary))
		})
	}
}

// oneBackend runs the portal as one process, in which plugins call each other without a network.
func oneBackend(p *portal) {
	all := p.start()
	token := p.signIn(all)
	p.await(all, token, "/api/mine", http.StatusOK, `"name":"checkout"`)
	if log := all.log(); strings.Contains(log, "/api/catalog/") {
		p.t.Errorf("a call between plugins came over the network:\n%s", log)
	}
	all.stop()
}

// twoBackends runs the same program as two processes, and kills one after the other.
func twoBackends(p *portal) {
	catalog, rest := p.start("app-config.catalog.yaml"), p.start("app-config.rest.yaml")
	p.connect(catalog, rest)
	token := p.signIn(rest)
	p.await(rest, token, "/api/mine", http.StatusOK, `"name":"checkout"`)
	if _, body := p.get(rest, token, "/api/mine"); strings.Contains(body, "ledger") {
		p.t.Errorf("the user owns too much: %s", body)
	}
	if log := catalog.log(); !strings.Contains(log, "/api/catalog/") {
		p.t.Errorf("the catalog has not been called over the network:\n%s", log)
	}
	// The user's token holds in both, and nothing is open.
	p.await(catalog, token, "/api/catalog/entities/by-name/component/default/ledger", http.StatusOK, `"ledger"`)
	p.await(catalog, "", "/api/catalog/entities", http.StatusUnauthorized, "AuthenticationError")
	p.await(catalog, token, "/api/mine", http.StatusNotFound, "")

	// Without the catalog the rest goes on, and tells what is missing.
	catalog.kill()
	p.await(rest, token, "/api/mine", http.StatusServiceUnavailable, "Plugin catalog can't be reached")
	p.await(rest, token, "/api/auth/v1/userinfo", http.StatusOK, "user:default/guest")
	if log := rest.log(); !strings.Contains(log, "connection refused") {
		p.t.Errorf("the log doesn't tell why:\n%s", log)
	}

	// It may come back elsewhere, and nothing has to be restarted.
	catalog = p.start("app-config.catalog.yaml")
	p.connect(catalog, rest)
	p.await(rest, token, "/api/mine", http.StatusOK, `"name":"checkout"`)

	// The catalog knows the keys of the others for a while, so that who is signed in stays so.
	rest.kill()
	p.await(catalog, token, "/api/catalog/entities/by-name/component/default/ledger", http.StatusOK, `"ledger"`)
	catalog.stop()
}

// unknownPlugin has the configuration name a plugin that isn't there.
func unknownPlugin(p *portal) {
	cmd := p.command()
	cmd.Env = append(cmd.Env, `APP_CONFIG_portal_plugins=["catlog"]`)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `there is no plugin "catlog", only auth, catalog, mine`) {
		p.t.Errorf("%v: %s", err, out)
	}
}

// connect tells the processes where the plugins are. They follow the file.
func (p *portal) connect(catalog, rest *process) {
	p.t.Helper()
	text := fmt.Sprintf(`discovery:
  endpoints:
    - {target: "%s/api/{{pluginId}}", plugins: [catalog]}
    - {target: "%s/api/{{pluginId}}", plugins: ["*"]}
`, catalog.url, rest.url)
	if err := os.WriteFile(p.endpoints, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// signIn gets the token of a user, as the frontend does.
func (p *portal) signIn(on *process) string {
	p.t.Helper()
	body := p.await(on, "", "/api/auth/guest/refresh", http.StatusOK, "token")
	var session struct{ BackstageIdentity struct{ Token string } }
	if err := json.Unmarshal([]byte(body), &session); err != nil {
		p.t.Fatal(err)
	}
	return session.BackstageIdentity.Token
}

// await requests the path until the answer is as wanted: what has changed elsewhere takes a moment to be known.
func (p *portal) await(on *process, token, path string, status int, part string) string {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, body := p.get(on, token, path)
		if got == status && strings.Contains(body, part) {
			return body
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("GET %s: status %d, want %d with %q\n%s\nthe log:\n%s", path, got, status, part, body, on.log())
		}
	}
}
