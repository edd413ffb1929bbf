package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const roles = `{"enabled": true, "rbac": {"roles": {"owner": {"members": ["*"], "permissions": [
	{"allow": "catalog.entity.*", "action": "read"},
	{"allow": "catalog.entity.delete", "conditions": {"rule": "IS_ENTITY_OWNER", "params": {"claims": ["$ownerRefs"]}}}]}}}}`

// TestExplain asks the binary, beside a portal that runs, who may delete something.
func TestExplain(t *testing.T) {
	t.Setenv("APP_CONFIG_permission", roles)
	data := t.TempDir()
	binary := filepath.Join(data, "portal")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	url, stop := start(t, binary, data)
	defer stop()
	explain := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"permission", "explain"}, args...)...)
		cmd.Env = append(os.Environ(), "APP_CONFIG_backend_listen="+strings.TrimPrefix(url, "http://"), "APP_CONFIG_backend_database_connection_directory="+data)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	want := "catalog.entity.delete on component:default/checkout-api: ALLOW for user:default/jane.doe (group:default/payments"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for { // until the catalog has read its files
		out, err := explain("catalog.entity.delete", "component:default/checkout-api", "--user", "user:default/jane.doe")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if strings.Contains(out, want) {
			if !strings.Contains(out, "allowed by role owner, which everyone has") || !strings.Contains(out, "APP_CONFIG_permission") ||
				!strings.Contains(out, "which is so") {
				t.Errorf("the answer is\n%s", out)
			}
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the answer is\n%s", out)
		}
	}
	for name, tt := range map[string]struct {
		args []string
		ok   bool
		want string
	}{
		"a misspelt permission": {[]string{"catalog.entity.delte"}, false, "did you mean catalog.entity.delete?"},
		"as JSON":               {[]string{"catalog.entity.read", "--json"}, true, `"reasons":[{"effect":"ALLOW","role":"owner"`},
		"what no role is about": {[]string{"catalog.location.create"}, true, "no role is about it, so it is denied"},
		"nothing":               {nil, false, `expected "<permission>"`},
	} {
		out, err := explain(tt.args...)
		if (err == nil) != tt.ok || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
