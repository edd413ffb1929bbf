package urlreader_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service"
)

// FuzzArchive unpacks archives of any content into a directory: nothing appears beside it, and no link leads out of it.
func FuzzArchive(f *testing.F) {
	hostile := []item{{name: "r/a", content: "a"}, {name: "r/d/"}, {name: "r/out", link: "../../x"}, {name: "r/out/evil", content: "x"}, {name: "r/d/l", link: "../a"}}
	f.Add(tarball(f, repository...), false)
	f.Add(tarball(f, hostile...), false)
	f.Add(tarball(f, item{name: "../../a", content: "a"}), false)
	f.Add(zipfile(f, repository...), true)
	f.Add(zipfile(f, hostile...), true)
	f.Add(zipfile(f, item{name: `..\a`, content: "a"}), true)
	reader := newReader(f, setup{config: object{
		"integrations": object{"github": []any{object{"host": "github.com", "token": "secret"}}},
		"backend":      object{"workingDirectory": f.TempDir(), "reading": object{"limits": object{"maxFileSize": 1 << 16, "maxTreeSize": 1 << 18, "maxTreeFiles": 100}}},
	}})
	var content []byte
	reader.Through(func(http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) string {
			switch {
			case strings.HasSuffix(r.URL.Path, "/status"):
				return `{"sha": "` + sha + `"}`
			case strings.HasSuffix(r.URL.Path, "/commits"):
				return `{"value": [{"commitId": "` + sha + `"}]}`
			}
			return string(content)
		})
	})
	f.Fuzz(func(t *testing.T, archive []byte, zipped bool) {
		content = archive
		url := "https://github.com/acme/shop/tree/main"
		if zipped {
			url = "https://dev.azure.com/acme/p/_git/shop"
		}
		tree, err := reader.ReadTree(t.Context(), url, service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		outer := t.TempDir()
		dir := filepath.Join(outer, "x", "y")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		tree.Extract(dir) // may well fail
		total := int64(0)
		err = filepath.WalkDir(outer, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if path != outer && path != filepath.Join(outer, "x") && !strings.HasPrefix(path, dir) {
				t.Errorf("%s is outside", path)
			}
			if d.Type()&os.ModeSymlink != 0 {
				if target, err := filepath.EvalSymlinks(path); err != nil || !strings.HasPrefix(target, dir) {
					t.Errorf("%s leads to %s, %v", path, target, err)
				}
			} else if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				total += info.Size()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if total > 1<<18+1<<16 {
			t.Errorf("%d bytes were written", total)
		}
	})
}

// roundTrip answers requests with text.
type roundTrip func(r *http.Request) string

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(f(r))), Request: r}, nil
}

// FuzzReadURL reads any URL where one path of one host is allowed: nothing else is asked for.
func FuzzReadURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/docs/a", "https://example.com/docs/../a", "https://example.com/docs/%2e%2e/a", "https://example.com/docs/%252e%252e/a",
		"https://example.com:443/docs", "https://example.com@evil.test/docs", "https://evil.test#@example.com/docs", `https://example.com\@evil.test/docs`,
		"https://example.com/docs/%2f..%2f", "https://EXAMPLE.com/docs/?a=b", "http://example.com:80/docs//a", "http://example.com:0/docs", "https://example.com./docs",
	} {
		f.Add(seed)
	}
	reader := newReader(f, setup{config: reading(object{"host": "example.com", "paths": []any{"/docs"}})})
	asked := ""
	reader.Through(func(http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) string {
			asked = r.URL.Scheme + "://" + r.URL.Host + r.URL.EscapedPath()
			if r.URL.Host != "example.com" && r.URL.Host != "example.com:443" || strings.Contains(r.URL.Path, "..") && strings.Contains(r.URL.Path, "/../") {
				asked = "bad: " + asked
			}
			return ""
		})
	})
	f.Fuzz(func(t *testing.T, raw string) {
		asked = ""
		_, err := reader.ReadURL(t.Context(), raw, service.URLReadOptions{})
		if err != nil {
			if asked != "" && !strings.HasPrefix(asked, "http") {
				t.Errorf("%q: asked for %s", raw, asked)
			}
			if !errors.Is(err, service.InputError) && !errors.Is(err, service.NotAllowedError) {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if !strings.HasPrefix(asked, "https://example.com/") && !strings.HasPrefix(asked, "http://example.com/") ||
			!strings.HasPrefix(strings.TrimLeft(strings.SplitN(asked, "example.com", 2)[1], "/"), "docs") {
			t.Errorf("%q: asked for %s", raw, asked)
		}
	})
}

// FuzzSearch searches with any pattern: it ends, and finds nothing hidden unless the pattern asks for it.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{"**/*.md", "*", "docs/{a,b}*.yaml", "[a-", "{{{", "**/**/**/**/x", ".*/*", "a?b", "{a,.b}/*", "\\*"} {
		f.Add(seed)
	}
	reader := newReader(f, setup{config: object{"integrations": object{"github": []any{object{"host": "github.com", "token": "secret"}}}}})
	reader.Through(func(http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) string {
			if strings.Contains(r.URL.Path, "/trees/") {
				return `{"tree": [{"type": "blob", "path": "docs/index.md", "sha": "1"}, {"type": "blob", "path": ".git/config", "sha": "2"}, {"type": "blob", "path": "../x", "sha": "3"}]}`
			}
			return `{"sha": "` + sha + `"}`
		})
	})
	f.Fuzz(func(t *testing.T, pattern string) {
		url := "https://github.com/acme/shop/blob/main/" + strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(pattern)
		found, err := reader.Search(t.Context(), url, service.URLReadOptions{})
		if err != nil || !strings.ContainsAny(pattern, "*?") {
			return
		}
		for _, file := range found.Files {
			if !strings.HasPrefix(file.URL, "https://github.com/acme/shop/blob/main/") || strings.HasSuffix(file.URL, "x") {
				t.Errorf("%q found %s", pattern, file.URL)
			}
			if strings.HasSuffix(file.URL, "config") && !strings.Contains(pattern, ".") && !strings.Contains(pattern, "\\") {
				t.Errorf("%q found %s, which is hidden", pattern, file.URL)
			}
		}
	})
}
