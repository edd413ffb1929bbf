package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/portico-dev/portico/examples/validator/findings"
)

var texts = []string{
	"",
	"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: x\nspec:\n  type: service\n  lifecycle: production\n  owner: a\n",
	"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: no good\n  links: [{url: nowhere}]\nspec:\n  type: service\n  dependsOn: 5\n",
	"a: [1\n---\nkind: component\napiVersion: backstage.io/v1alpha1\nmetadata: {name: ünï}\n---\n- list\n",
	"apiVersion: scaffolder.backstage.io/v1beta3\nkind: Template\nmetadata: {name: t}\nspec: {type: service, parameters: 5, steps: [{id: x}]}\nextra: 1\n",
}

// built compiles the WebAssembly once for all tests.
var built = sync.OnceValues(func() (assets, error) { return buildAssets(context.Background()) })

// TestReport shows what the page has to say.
func TestReport(t *testing.T) {
	t.Parallel()
	report := findings.In(texts[2])
	want := []findings.Finding{
		{Line: 4, Column: 9, Field: "metadata.name"},
		{Line: 5, Column: 17, Field: "metadata.links[0].url"},
		{Line: 6, Column: 1, Field: "spec.lifecycle"},
		{Line: 6, Column: 1, Field: "spec.owner"},
		{Line: 8, Column: 14, Field: "spec.dependsOn"},
	}
	for i := range report.Findings {
		report.Findings[i].Message = ""
	}
	if !reflect.DeepEqual(report.Findings, want) {
		t.Errorf("found %+v\nwant  %+v", report.Findings, want)
	}
}

// TestServer compares what the server answers with what the package says.
func TestServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHandler(assets{}))
	defer server.Close()
	for _, text := range texts {
		res, err := http.Post(server.URL+"/validate", "application/yaml", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var got findings.Report
		err = json.NewDecoder(res.Body).Decode(&got)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if want := findings.In(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
	res, err := http.Post(server.URL+"/validate", "application/yaml", strings.NewReader(strings.Repeat("#", maxBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d for a body that is too large", res.StatusCode)
	}
}

// TestWebAssembly runs what the page runs, under node, and compares it with what the server says.
func TestWebAssembly(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	a, err := built()
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(a.wasm))
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"validator.wasm": wasm, "wasm_exec.js": a.loader} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), node, "testdata/run.mjs", filepath.Join(dir, "wasm_exec.js"), filepath.Join(dir, "validator.wasm"))
	run.Stdin, run.Stderr = bytes.NewReader(input), os.Stderr
	output, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []findings.Report
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if len(got) != len(texts) {
		t.Fatalf("%d reports on %d texts", len(got), len(texts))
	}
	for i, text := range texts {
		if want := findings.In(text); !reflect.DeepEqual(got[i], want) {
			t.Errorf("%q: got %+v, want %+v", text, got[i], want)
		}
	}
	t.Logf("%d bytes of WebAssembly, %d compressed", len(wasm), len(a.wasm))
}

// TestPage opens the page in a browser, with a text in its link, and looks for the findings.
func TestPage(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	a, err := built()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newHandler(a))
	defer server.Close()
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=20000", "--dump-dom", server.URL+"/#"+url.PathEscape(texts[2]))
	dom, err := browser.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(dom, []byte("5 problems")) {
		t.Errorf("the page does not count 5 problems:\n%s", dom)
	}
	for _, f := range findings.In(texts[2]).Findings {
		message := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(f.Message)
		if !bytes.Contains(dom, []byte(message)) {
			t.Errorf("the page does not show %q:\n%s", message, dom)
		}
	}
}
