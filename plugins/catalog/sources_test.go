package catalog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/openapi"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
)

// all allows entities of all kinds.
func all() backend.Feature {
	return backendtest.Config(map[string]any{"catalog": map[string]any{"rules": []any{map[string]any{"allow": kinds}}}})
}

// errorsOf are the messages in the status of an entity.
func errorsOf(t *testing.T, c *backendtest.Client, path string) string {
	t.Helper()
	var e struct {
		Status struct{ Items []struct{ Message string } }
	}
	if res := c.Get("/api/catalog/entities/by-name/" + path); res.StatusCode == http.StatusOK {
		e = backendtest.JSON[struct {
			Status struct{ Items []struct{ Message string } }
		}](t, res)
	}
	var messages []string
	for _, item := range e.Status.Items {
		messages = append(messages, item.Message)
	}
	return strings.Join(messages, "\n")
}

// failures are the messages about entities that could not be processed, by their refs.
func failures(t *testing.T, c *backendtest.Client) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, e := range backendtest.JSON[struct {
		Entities []struct {
			Ref    string `json:"entity_ref"`
			Errors []struct{ Message string }
		}
	}](t, c.Get("/api/catalog/entities/unprocessed/failed")).Entities {
		for _, one := range e.Errors {
			found[e.Ref] += one.Message + "\n"
		}
	}
	return found
}

// badSource is what a server does, and a part of what is said of it.
type badSource struct {
	answer http.HandlerFunc
	want   string
}

func redirectTo(target string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) }
}

// status answers a status, and asks to come back in an hour.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(code)
	}
}

// badServer serves what the sources do below their names, and content for each other path.
func badServer(t *testing.T, sources map[string]badSource, content func(path string) string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if source, ok := sources[path.Base(path.Dir(r.URL.Path))]; ok {
			source.answer(w, r)
			return
		}
		_, _ = w.Write([]byte(content(r.URL.Path)))
	}))
	t.Cleanup(s.Close)
	return s
}

// TestBadSources has Locations and placeholders lead to servers that do what servers do on a bad day. The others in the same file arrive.
func TestBadSources(t *testing.T) {
	t.Parallel()
	sources := map[string]badSource{
		"missing":    {http.NotFound, "missing/x.yaml"},
		"broken":     {status(http.StatusInternalServerError), "500"},
		"limited":    {status(http.StatusTooManyRequests), "429"},
		"metadata":   {redirectTo("http://169.254.169.254/latest/meta-data/x.yaml"), "redirects to http://169.254.169.254, which is not allowed"},
		"private":    {redirectTo("http://10.0.0.1/x.yaml"), "redirects to http://10.0.0.1, which is not allowed"},
		"loopback":   {redirectTo("http://[::1]:22/x.yaml"), "redirects to http://[::1]:22, which is not allowed"},
		"files":      {redirectTo("file:///etc/passwd"), "redirects to a URL that isn't followed"},
		"in-circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "more than 5 redirects"},
		"cut-off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("a"))
		}, "unexpected EOF"},
		"hangs":    {hang, "the server has sent nothing for 1m0s"},
		"not-yaml": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x00\xff: [")) }, "malformed YAML"},
		"a-binary-file": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte{0x7f, 'E', 'L', 'F', 0, '\n'}, 1000))
		}, "malformed YAML"},
	}
	s := badServer(t, sources, func(string) string {
		content := component("good", "team")
		for name := range sources {
			content += "---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: " + name + " }\nspec: { target: ./" + name + "/x.yaml }\n"
			for _, placeholder := range []string{"text", "json", "yaml", "openapi"} {
				content += "---\napiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: { name: " + name + "-" + placeholder + " }\n" +
					"spec: { type: openapi, lifecycle: production, owner: team, definition: { $" + placeholder + ": ./" + name + "/x.yaml } }\n"
			}
		}
		return content
	})
	b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), openapi.Module(), readable(s.URL), all())
	c := b.As(t, "user:default/guest")
	register(t, c, s.URL+"/all.yaml")
	await(t, "the good one", func() bool { return exists(c, "component/default/good") })
	for name, source := range sources {
		await(t, "the error of the Location "+name, func() bool {
			b.Clock.Advance(1e9)
			return strings.Contains(errorsOf(t, c, "location/default/"+name), source.want)
		})
	}
	for name, source := range sources {
		for _, placeholder := range []string{"text", "json", "yaml", "openapi"} {
			want := source.want
			switch {
			case want == "malformed YAML" && placeholder == "text":
				continue // any text will do
			case want == "malformed YAML":
				want = "Placeholder $" + placeholder
			}
			var got string
			await(t, want+" for $"+placeholder+" of "+name, func() bool {
				b.Clock.Advance(1e9)
				got = failures(t, c)["api:default/"+name+"-"+placeholder]
				return strings.Contains(got, want)
			})
		}
	}
}

// hang sends a header, and nothing after it.
func hang(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// TestSourcesThatHang has one server accept more requests than are made to one at a time, and answer none. Others are read meanwhile, and the
// backend stops.
func TestSourcesThatHang(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	slow := badServer(t, map[string]badSource{"hangs": {answer: func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}}}, nil)
	s := newSite(t)
	b := backendtest.Start(t, catalog.Plugin(), backendtest.Config(map[string]any{"backend": map[string]any{"reading": map[string]any{"allow": []any{
		map[string]any{"host": strings.TrimPrefix(s.URL, "http://")}, map[string]any{"host": strings.TrimPrefix(slow.URL, "http://")},
	}}}}))
	c := b.As(t, "user:default/guest")
	var content strings.Builder
	for n := range 50 {
		fmt.Fprintf(&content, "---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: slow-%d }\nspec: { target: %s/hangs/%d.yaml }\n", n, slow.URL, n)
	}
	register(t, c, s.put("/slow.yaml", content.String()))
	await(t, "the requests", func() bool { return asked.Load() == 16 })
	register(t, c, s.put("/fast.yaml", component("fast", "team")))
	await(t, "the one from a server that answers", func() bool { return exists(c, "component/default/fast") })
	if n := asked.Load(); n != 16 {
		t.Errorf("%d requests are under way", n)
	}
}

// TestSourcesThatAskToComeBack has a server answer the first request with a limit that ends soon.
func TestSourcesThatAskToComeBack(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := badServer(t, map[string]badSource{"limited": {answer: func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(component("late", "team")))
	}}}, nil)
	b := backendtest.Start(t, catalog.Plugin(), readable(s.URL))
	c := b.As(t, "user:default/guest")
	register(t, c, s.URL+"/limited/x.yaml")
	await(t, "the first request", func() bool { return asked.Load() == 1 })
	await(t, "the entity", func() bool {
		b.Clock.Advance(1e9)
		return exists(c, "component/default/late")
	})
}

// TestEndlessSources has servers send a gigabyte, told and not told before. It runs alone, to look at the memory of the process.
func TestEndlessSources(t *testing.T) { //nolint:paralleltest // it measures the process
	const gigabyte, limit, slack = 1 << 30, 64 << 20, 32 << 20
	var sent atomic.Int64
	chunk := []byte(strings.Repeat("- a line of a file that goes on and on\n", 1<<20/39))
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for n := 0; n < gigabyte; n += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			sent.Add(int64(len(chunk)))
		}
	}
	sources := map[string]badSource{
		"endless": {answer: endless},
		"large": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(gigabyte))
			endless(w, r)
		}},
	}
	s := badServer(t, sources, func(string) string {
		content := component("good", "team")
		for name := range sources {
			content += "---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: " + name + " }\nspec: { target: ./" + name + "/x.yaml }\n" +
				"---\napiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: { name: " + name + " }\n" +
				"spec: { type: openapi, lifecycle: production, owner: team, definition: { $text: ./" + name + "/x.yaml } }\n"
		}
		return content
	})
	b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), readable(s.URL), all())
	c := b.As(t, "user:default/guest")
	before, most := heapBytes(), uint64(0)
	register(t, c, s.URL+"/all.yaml")
	await(t, "the errors", func() bool {
		most = max(most, heapBytes())
		failed := failures(t, c)
		for name := range sources {
			for _, ref := range []string{"location:default/", "api:default/"} {
				if !strings.Contains(failed[ref+name], "which backend.reading.limits.maxFileSize allows") {
					return false
				}
			}
		}
		return exists(c, "component/default/good")
	})
	if n := sent.Load(); n > 2*limit+4*slack {
		t.Errorf("%d MiB were sent", n>>20)
	}
	if grown := int64(most - before); grown > 8*limit { // two are read at a time, into buffers that grow
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}

// TestFilesThatAreTooLarge has a Location and a placeholder lead to files that are larger than what is read, and to what is no file. (They are
// sparse, and take no space.)
func TestFilesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sparse := func(name string, size int64) {
		write(t, dir, name, component("never", "team"))
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			t.Fatal(err)
		}
	}
	sparse("large.yaml", 513<<20)
	sparse("large.txt", 65<<20)
	file := write(t, dir, "all.yaml", component("good", "team")+
		"---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: large }\nspec: { targets: [./large.yaml, .] }\n"+
		"---\napiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: { name: large }\n"+
		"spec: { type: openapi, lifecycle: production, owner: team, definition: { $text: ./large.txt } }\n")
	b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), located(file))
	c := b.As(t, "user:default/guest")
	var failed map[string]string
	await(t, "the errors", func() bool {
		failed = failures(t, c)
		return failed["location:default/large"] != "" && failed["api:default/large"] != ""
	})
	for ref, wants := range map[string][]string{
		"location:default/large": {
			"file " + filepath.Join(dir, "large.yaml") + " could not be read: it has 537919488 bytes, and may have 512 MiB",
			"file " + dir + " could not be read: it is not a regular file",
		},
		"api:default/large": {"it has 68157440 bytes, and may have 64 MiB"},
	} {
		for _, want := range wants {
			if !strings.Contains(failed[ref], want) {
				t.Errorf("the error of %s lacks %q:\n%s", ref, want, failed[ref])
			}
		}
	}
	await(t, "the good one", func() bool { return exists(c, "component/default/good") })
	if exists(c, "component/default/never") {
		t.Error("the one in the large file is served")
	}
}

// heapBytes is how many bytes the objects on the heap have, with those that wait to be collected.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestBadEntities has one document of five, in a file at a URL, be bad in each way. The others arrive, and what is bad is told with file and line:
// where the file is registered, or of the entity itself.
func TestBadEntities(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: bad }\n"
	spec := func(more string) string {
		return head + "spec: { type: service, lifecycle: production, owner: team" + more + " }\n"
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
		above := string(name[0] - 1)
		bomb += name + ": &" + name + " [" + strings.TrimSuffix(strings.Repeat("*"+above+",", 10), ",") + "]\n"
	}
	const before = 6 // lines, before the bad document
	for name, test := range map[string]struct {
		document string
		line     int    // of the mistake in the document, from 1; 0 if the message says it otherwise
		want     string // what is told after the place
		itself   bool   // the entity has the error, not the Location
	}{
		"no YAML":                     {head + "spec: { type: [\n", 4, "malformed YAML", false},
		"a tab":                       {head + "spec:\n\ttype: service\n", 5, "malformed YAML", false},
		"a key twice":                 {spec("") + "kind: API\n", 5, `the key "kind" is there already`, false},
		"not an object":               {"- a\n- b\n", 1, "a document must hold an object", false},
		"an alias of nothing":         {spec(", x: *nope"), 0, "malformed YAML: unknown anchor 'nope' referenced", false},
		"an alias of itself":          {spec(", x: &x [*x]"), 4, "stands inside of what it refers to", false},
		"aliases upon aliases":        {spec("") + bomb, 0, "aliases make the document too large", false},
		"too large":                   {spec("") + "# " + strings.Repeat("x", 11<<20) + "\n", 0, "all.yaml:6:1: the document is longer than 10485760 bytes", false},
		"too deep":                    {spec(", x: " + strings.Repeat("[", 600) + strings.Repeat("]", 600)), 4, "nested more than 512 levels deep", false},
		"no kind":                     {"apiVersion: backstage.io/v1alpha1\nmetadata: { name: bad }\n", 1, "an entity needs the field kind", false},
		"no name":                     {"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {}\n", 1, "an entity needs the field metadata.name", false},
		"an invalid name":             {strings.Replace(spec(""), "name: bad", "name: 'b a d'", 1), 3, "metadata.name", true},
		"a name that is too long":     {strings.Replace(spec(""), "name: bad", "name: "+strings.Repeat("x", 300), 1), 1, "longer than 200 bytes", false},
		"a kind that isn't allowed":   {strings.Replace(spec(""), "kind: Component", "kind: Group", 1), 1, "is not of an allowed kind", false},
		"a ref that is taken":         {strings.Replace(spec(""), "name: bad", "name: one", 1), 1, "component:default/one is declared a second time", false},
		"an invalid field":            {spec(", dependsOn: 7"), 4, "spec.dependsOn", true},
		"a reference without a kind":  {spec(", dependsOn: [x]"), 4, "spec.dependsOn[0] must be a reference to an entity", true},
		"an unknown placeholder file": {spec(", x: { $text: ./missing/nope.md }"), 1, "Placeholder $text could not read location ./missing/nope.md", true},
		"a placeholder elsewhere":     {spec(", x: { $json: 'http://10.0.0.1/x.json' }"), 1, "is not allowed", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := badServer(t, map[string]badSource{"missing": {answer: http.NotFound}}, func(string) string {
				return component("one", "team") + "---\n" + test.document + component("two", "team") + component("three", "team") + component("four", "team")
			})
			target := s.URL + "/all.yaml"
			b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), readable(s.URL))
			c := b.As(t, "user:default/guest")
			l := register(t, c, target)
			for _, sibling := range []string{"one", "two", "three", "four"} {
				await(t, sibling, func() bool { return exists(c, "component/default/"+sibling) })
			}
			want := test.want
			if test.line > 0 {
				want = fmt.Sprintf("%s:%d:", target, before+test.line)
			}
			var got map[string]string
			told := func() bool {
				got = failures(t, c)
				if test.itself {
					failed := fmt.Sprint(got)
					return strings.Contains(failed, want) && strings.Contains(failed, test.want) && !strings.Contains(got[l.EntityRef], want)
				}
				status := errorsOf(t, c, strings.Replace(l.EntityRef, ":", "/", 1))
				return strings.Contains(status, want) && strings.Contains(status, test.want) && strings.Contains(got[l.EntityRef], want)
			}
			defer func() {
				if t.Failed() {
					text, _ := json.MarshalIndent(got, "", " ")
					t.Logf("got %s", text)
				}
			}()
			await(t, want, told)
			if exists(c, "component/default/bad") {
				t.Error("the bad one is served")
			}
			res := c.Post("/api/catalog/locations?dryRun=true", map[string]string{"type": "url", "target": target})
			if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) {
				t.Errorf("a dry run answers %d %s, %v; want %s", res.StatusCode, body, err, want)
			}
		})
	}
}
