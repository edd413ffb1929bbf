package catalog_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// exchange is a request to a real Backstage and what it answered.
type exchange struct {
	Name, Method, Path string
	Body               any
	Status             int
	ContentType        string
	Link               string
	Response           any
}

// TestExchanges replays recorded exchanges of a real Backstage (testdata/exchanges.json) over the same entities, which come from a URL as
// they did there.
func TestExchanges(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.FileServer(http.Dir("testdata/fixtures")))
	t.Cleanup(server.Close)
	text, err := os.ReadFile("testdata/exchanges.json")
	if err != nil {
		t.Fatal(err)
	}
	text = localise(text, server.URL)
	var exchanges []exchange
	if err := json.Unmarshal(text, &exchanges); err != nil {
		t.Fatal(err)
	}
	b := backendtest.Start(t, catalog.Plugin(), readable(server.URL), backendtest.Config(map[string]any{"catalog": map[string]any{"locations": []any{
		map[string]any{"type": "url", "target": server.URL + "/all.yaml", "rules": []any{map[string]any{"allow": kinds}}},
	}}}))
	c := settle(t, b, 23)
	answers := map[string]map[string]string{}
	for _, x := range exchanges {
		t.Run(x.Name, func(t *testing.T) { // one after the other: cursors are from the answers before
			path := fill(t, c, x.Path, answers)
			res := c.Do(x.Method, path, requestBody(x.Body))
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			var got any = ""
			if len(body) > 0 {
				if err := json.Unmarshal(body, &got); err != nil {
					t.Fatalf("%s: %v", body, err)
				}
			}
			answers[x.Name] = pageInfo(got)
			if res.StatusCode != x.Status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, x.Status, body)
			}
			if kind := res.Header.Get("Content-Type"); kind != x.ContentType {
				t.Errorf("content type %q, want %q", kind, x.ContentType)
			}
			if link := res.Header.Get("Link"); link != x.Link {
				t.Errorf("link %q, want %q", link, x.Link)
			}
			compare(t, x, got)
		})
	}
}

// readable lets the catalog read what a server on this machine serves.
func readable(url string) backend.Feature {
	return backendtest.Config(map[string]any{"backend": map[string]any{"reading": map[string]any{"allow": []any{
		map[string]any{"host": strings.TrimPrefix(url, "http://")},
	}}}})
}

// localise has recorded exchanges tell of the server that the entities come from now.
func localise(text []byte, url string) []byte {
	const recorded = "http://127.0.0.1:8765"
	text = bytes.ReplaceAll(text, []byte(generatedName("url:"+recorded+"/all.yaml")), []byte(generatedName("url:"+url+"/all.yaml")))
	return bytes.ReplaceAll(text, []byte(recorded), []byte(url))
}

func generatedName(location string) string {
	sum := sha1.Sum([]byte(location))
	return "generated-" + hex.EncodeToString(sum[:])
}

// requestBody is text as it is, or a value that is sent as JSON.
func requestBody(v any) any {
	if text, ok := v.(string); ok {
		return strings.NewReader(text)
	}
	return v
}

// pageInfo are the cursors of an answer.
func pageInfo(answer any) map[string]string {
	object, _ := answer.(map[string]any)
	info, _ := object["pageInfo"].(map[string]any)
	cursors := map[string]string{}
	for name, cursor := range info {
		cursors[name], _ = cursor.(string)
	}
	return cursors
}

var placeholder = regexp.MustCompile(`\{(uid|next|prev):([^}]+)\}`)

// fill replaces what stands for uids and cursors.
func fill(t *testing.T, c *backendtest.Client, path string, answers map[string]map[string]string) string {
	t.Helper()
	return placeholder.ReplaceAllStringFunc(path, func(text string) string {
		parts := placeholder.FindStringSubmatch(text)
		if parts[1] == "uid" {
			kind, rest, _ := strings.Cut(parts[2], ":")
			return entity(t, c, kind+"/"+rest)["metadata"].(map[string]any)["uid"].(string)
		}
		if cursor := answers[parts[2]][parts[1]+"Cursor"]; cursor != "" {
			return strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(cursor)
		}
		return "none"
	})
}

// compare compares an answer with the recorded one, by the rules of its README.
func compare(t *testing.T, x exchange, got any) {
	t.Helper()
	if x.Status >= 400 {
		name := func(v any) any {
			object, _ := v.(map[string]any)
			failure, _ := object["error"].(map[string]any)
			return failure["name"]
		}
		if name(got) != name(x.Response) {
			t.Errorf("the error is %v, want %v", got, x.Response)
		}
		return
	}
	want := mask("", x.Response)
	got = mask("", got)
	ordered := strings.Contains(x.Path, "order") || strings.Contains(x.Path, "cursor") || strings.Contains(x.Path, "by-refs")
	if !ordered {
		cut := strings.Contains(x.Path, "limit=") || hasLimit(x.Body)
		want, got = unordered(want, cut), unordered(got, cut)
	}
	if x.Name == "query-order-two" { // what ties on the first order field has no order
		want, got = unordered(want, false), unordered(got, false)
	}
	w, g := indent(want), indent(got)
	if w != g {
		t.Errorf("the answer differs\ngot\n%s\nwant\n%s", g, w)
	}
}

func hasLimit(body any) bool {
	object, _ := body.(map[string]any)
	return object["limit"] != nil
}

func indent(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err)
	}
	return string(text)
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// mask hides what differs from run to run.
func mask(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = mask(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = mask("", v[i])
		}
	case string:
		if slices.Contains([]string{"uid", "etag", "id", "nextCursor", "prevCursor"}, key) {
			return "*"
		}
		return uuid.ReplaceAllString(v, "*")
	}
	return v
}

// unordered sorts a list, or those of items; one that was cut to a page is as good as its length.
func unordered(v any, cut bool) any {
	switch v := v.(type) {
	case []any:
		if cut {
			return fmt.Sprintf("%d entities", len(v))
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(indent(a), indent(b)) })
		return v
	case map[string]any:
		if items, ok := v["items"].([]any); ok {
			v["items"] = unordered(items, cut)
		}
	}
	return v
}
