package urlreader_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/urlreader"
)

const sha = "0123456789abcdef0123456789abcdef01234567"

// forgeCase is a forge with a repository that has README.md, docs/index.md and docs/.hidden/index.md.
type forgeCase struct {
	name string
	// config is that of a server at the URL.
	config func(server string) object
	// answers are those of the real API.
	answers func(t *testing.T) map[string]http.HandlerFunc
	// file, tree and search are URLs of docs/index.md, docs and docs/**/*.md; {} stands for the server.
	file, tree, search string
	// found is the URL that the search finds.
	found string
	// authorization is what requests must have.
	authorization string
	etag          string
	noFileETag    bool
	// hosts are those of a forge whose addresses are fixed: their requests are sent to the server.
	hosts []string
}

var repository = []item{
	{name: "acme-shop-0123456/"},
	{name: "acme-shop-0123456/README.md", content: "shop"},
	{name: "acme-shop-0123456/docs/index.md", content: "# Docs"},
	{name: "acme-shop-0123456/docs/.hidden/index.md", content: "hidden"},
	{name: "acme-shop-0123456/docs/run.sh", content: "#!/bin/sh", mode: 0o755},
	{name: "acme-shop-0123456/docs/link.md", link: "index.md"},
	{name: "acme-shop-0123456/docs/passwd", link: "/etc/passwd"},
	{name: "acme-shop-0123456/docs/out", link: "../../../../etc/passwd"},
}

// without are the items without the first folders of their paths.
func without(prefix string) []item {
	var items []item
	for _, it := range repository {
		if name, ok := strings.CutPrefix(it.name, prefix); ok && name != "" {
			it.name = name
			items = append(items, it)
		}
	}
	return items
}

var forgeCases = []forgeCase{
	{
		name: "GitHub with a token",
		config: func(server string) object {
			return object{"github": []any{object{"host": host(server), "apiBaseUrl": server + "/api/v3/", "token": " secret "}}}
		},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/api/v3/repos/acme/shop/contents/docs/index.md?ref=main":      text("# Docs"),
				"/api/v3/repos/acme/shop/commits/main/status?per_page=0":       text(`{"sha": "` + sha + `"}`),
				"/api/v3/repos/acme/shop/tarball/" + sha:                       bytesOf(tarball(t, repository...)),
				"/api/v3/repos/acme/shop/git/trees/" + sha + "?recursive=true": text(`{"tree": [{"type":"tree","path":"docs","sha":"1"},{"type":"blob","path":"docs/index.md","sha":"2"},{"type":"blob","path":"docs/.hidden/index.md","sha":"3"}]}`),
				"/api/v3/repos/acme/shop/git/blobs/2":                          text(`{"encoding":"base64","content":"IyBE\nb2Nz\n"}`),
			}
		},
		file: "{}/acme/shop/blob/main/docs/index.md", tree: "{}/acme/shop/tree/main/docs", search: "{}/acme/shop/blob/main/docs/**/*.md",
		found: "{}/acme/shop/blob/main/docs/index.md", authorization: "Bearer secret", etag: sha,
	},
	{
		name: "GitHub without a token",
		config: func(server string) object {
			return object{"github": []any{object{"host": host(server), "apiBaseUrl": server + "/api/v3", "rawBaseUrl": server + "/raw"}}}
		},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/raw/acme/shop/main/docs/index.md":                            text("# Docs"),
				"/api/v3/repos/acme/shop/commits/main/status?per_page=0":       text(`{"sha": "` + sha + `"}`),
				"/api/v3/repos/acme/shop/tarball/" + sha:                       bytesOf(tarball(t, repository...)),
				"/api/v3/repos/acme/shop/git/trees/" + sha + "?recursive=true": text(`{"truncated": true, "tree": []}`),
			}
		},
		file: "{}/acme/shop/blob/main/docs/index.md", tree: "{}/acme/shop/tree/main/docs/", search: "{}/acme/shop/blob/main/docs/**/*.md",
		found: "{}/acme/shop/blob/main/docs/index.md", etag: sha,
	},
	{
		name: "GitLab",
		config: func(server string) object {
			return object{"gitlab": []any{object{"host": host(server), "apiBaseUrl": server + "/sub/api/v4", "baseUrl": server + "/sub", "token": "secret"}}}
		},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			const project = "/sub/api/v4/projects/acme%2Fteam%2Fshop"
			return map[string]http.HandlerFunc{
				project + "/repository/files/docs%2Findex.md/raw?ref=main":     text("# Docs"),
				project + "/repository/commits?path=docs&ref_name=main":        text(`[{"id": "` + sha + `"}]`),
				project + "/repository/archive?path=docs&sha=main":             bytesOf(tarball(t, repository...)),
				project + "/jobs/artifacts/main/raw/docs/index.md?job=build+1": text("# Docs"),
			}
		},
		file: "{}/sub/acme/team/shop/-/blob/main/docs/index.md", tree: "{}/sub/acme/team/shop/-/tree/main/docs",
		search: "{}/sub/acme/team/shop/-/blob/main/docs/**/*.md", found: "{}/sub/acme/team/shop/-/blob/main/docs/index.md",
		authorization: "Bearer secret", etag: sha,
	},
	{
		name: "Bitbucket Cloud",
		config: func(string) object {
			return object{"bitbucketCloud": []any{object{"username": "me", "token": "secret"}}}
		},
		hosts: []string{"bitbucket.org", "api.bitbucket.org"},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{
				"/2.0/repositories/acme/shop/src/main/docs/index.md": text("# Docs"),
				"/2.0/repositories/acme/shop/commits/main":           text(`{"values": [{"hash": "` + sha + `"}]}`),
				"/acme/shop/get/" + sha[:12] + ".tar.gz":             bytesOf(tarball(t, repository...)),
			}
		},
		file: "https://bitbucket.org/acme/shop/src/main/docs/index.md", tree: "https://bitbucket.org/acme/shop/src/main/docs",
		search: "https://bitbucket.org/acme/shop/src/main/docs/**/*.md", found: "https://bitbucket.org/acme/shop/src/main/docs/index.md",
		authorization: basic("me:secret"), etag: sha[:12],
	},
	{
		name: "Bitbucket Server",
		config: func(server string) object {
			return object{"bitbucketServer": []any{object{"host": host(server), "apiBaseUrl": server + "/rest/api/1.0", "token": "secret"}}}
		},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			const repo = "/rest/api/1.0/projects/ACME/repos/shop"
			return map[string]http.HandlerFunc{
				repo + "/raw/docs/index.md?at=main": text("# Docs"),
				repo + "/branches?filterText=main": text(`{"size": 2, "values": [{"displayId": "main-2", "latestCommit": "x"},
					{"displayId": "main", "latestCommit": "` + sha + `"}]}`),
				repo + "/archive?at=main&format=tgz&path=docs&prefix=ACME-shop": bytesOf(tarball(t, repository...)),
			}
		},
		file: "{}/projects/ACME/repos/shop/browse/docs/index.md?at=main", tree: "{}/projects/ACME/repos/shop/browse/docs?at=main",
		search: "{}/projects/ACME/repos/shop/browse/docs/**/*.md?at=main", found: "{}/projects/ACME/repos/shop/browse/docs/index.md?at=main",
		authorization: "Bearer secret", etag: sha[:12],
	},
	{
		name: "Azure DevOps",
		config: func(string) object {
			return object{"azure": []any{object{"host": "dev.azure.com", "credentials": []any{
				object{"personalAccessToken": "other"}, object{"organizations": []any{"Acme"}, "personalAccessToken": "secret"}}}}}
		},
		hosts: []string{"dev.azure.com"},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			const repo = "/acme/my%20project/_apis/git/repositories/shop"
			return map[string]http.HandlerFunc{
				repo + "/items?api-version=6.0&path=%2Fdocs%2Findex.md&version=main":                              text("# Docs"),
				repo + "/commits?api-version=6.0&searchCriteria.%24top=1&searchCriteria.itemVersion.version=main": text(`{"value": [{"commitId": "` + sha + `"}]}`),
				repo + "/items?api-version=6.0&download=true&recursionLevel=full&scopePath=%2Fdocs&version=main":  bytesOf(zipfile(t, without("acme-shop-0123456/")...)),
				repo + "/items?api-version=6.0&download=true&recursionLevel=full&version=main":                    bytesOf(zipfile(t, without("acme-shop-0123456/")...)),
			}
		},
		file:   "https://dev.azure.com/acme/my%20project/_git/shop?path=%2Fdocs%2Findex.md&version=GBmain",
		tree:   "https://dev.azure.com/acme/my%20project/_git/shop?path=/docs&version=GBmain",
		search: "https://dev.azure.com/acme/my%20project/_git/shop?path=/docs/**/*.md&version=GBmain",
		found:  "https://dev.azure.com/acme/my%20project/_git/shop?path=%2Fdocs%2Findex.md&version=GBmain", authorization: basic(":secret"), etag: sha,
	},
	{
		name: "Gitea",
		config: func(server string) object {
			return object{"gitea": []any{object{"host": host(server), "baseUrl": server, "password": "secret"}}}
		},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			const repo = "/api/v1/repos/acme/shop"
			return map[string]http.HandlerFunc{
				repo + "/contents/docs/index.md?ref=main": text(`{"encoding": "base64", "content": "IyBEb2Nz"}`),
				repo + "/git/commits/main":                text(`{"sha": "` + sha + `"}`),
				repo + "/archive/main.tar.gz":             bytesOf(tarball(t, repository...)),
			}
		},
		file: "{}/acme/shop/src/branch/main/docs/index.md", tree: "{}/acme/shop/src/branch/main/docs",
		search: "{}/acme/shop/src/branch/main/docs/**/*.md", found: "{}/acme/shop/src/branch/main/docs/index.md",
		authorization: "token secret", etag: sha,
	},
	{
		name: "Gerrit",
		config: func(server string) object {
			return object{"gerrit": []any{object{"host": host(server), "baseUrl": server, "gitilesBaseUrl": server + "/gitiles",
				"username": "me", "password": "secret"}}}
		},
		answers: func(t *testing.T) map[string]http.HandlerFunc {
			content := text(base64.StdEncoding.EncodeToString([]byte("# Docs")))
			return map[string]http.HandlerFunc{
				"/a/projects/acme%2Fshop/branches/main/files/docs%2Findex.md/content": content,
				"/a/projects/acme%2Fshop/branches/main":                               text(")]}'\n" + `{"revision": "` + sha + `"}`),
				"/a/gitiles/acme/shop/+archive/refs/heads/main/docs.tar.gz":           bytesOf(tarball(t, without("acme-shop-0123456/docs/")...)),
				"/a/gitiles/acme/shop/+/refs/heads/main/?format=JSON&recursive":       text(")]}'\n" + `{"entries": [{"type": "blob", "name": "docs/index.md"}, {"type": "blob", "name": "docs/.hidden/index.md"}]}`),
			}
		},
		file: "{}/gitiles/acme/shop/+/refs/heads/main/docs/index.md", tree: "{}/gitiles/acme/shop/+/refs/heads/main/docs",
		search: "{}/gitiles/acme/shop/+/refs/heads/main/docs/**/*.md", found: "{}/gitiles/acme/shop/+/refs/heads/main/docs/index.md",
		authorization: basic("me:secret"), etag: sha, noFileETag: true,
	},
}

func basic(login string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(login)) }

func host(server string) string { return strings.TrimPrefix(server, "http://") }

// start serves the forge and makes a reader of it. It fails the test when a request comes without the credentials.
func (f forgeCase) start(t *testing.T) (*urlreader.Reader, *api, func(string) string) {
	t.Helper()
	server := newAPI(t, f.answers(t))
	for uri, answer := range server.answers {
		server.answers[uri] = func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != f.authorization {
				t.Errorf("%s has the Authorization %q, want %q", r.RequestURI, got, f.authorization)
			}
			answer(w, r)
		}
	}
	reader := newReader(t, setup{config: object{"integrations": f.config(server.URL)}})
	if f.hosts != nil {
		reader.Through(func(to http.RoundTripper) http.RoundTripper { return redirected{f.hosts, server.host(), to} })
	}
	return reader, server, func(u string) string { return strings.ReplaceAll(u, "{}", server.URL) }
}

// redirected sends the requests for some hosts to another one.
type redirected struct {
	hosts []string
	to    string
	http.RoundTripper
}

func (r redirected) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || !slices.Contains(r.hosts, req.URL.Host) {
		return nil, fmt.Errorf("unexpected request to %s", req.URL)
	}
	req = req.Clone(req.Context())
	req.URL = &url.URL{Scheme: "http", Host: r.to, Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	return r.RoundTripper.RoundTrip(req)
}

func TestReadURL(t *testing.T) {
	t.Parallel()
	for _, f := range forgeCases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reader, server, on := f.start(t)
			file, err := reader.ReadURL(t.Context(), on(f.file), service.URLReadOptions{})
			if err != nil {
				t.Fatalf("%v\nasked: %q", err, server.asked())
			}
			content, err := file.Bytes()
			if err != nil || string(content) != "# Docs" {
				t.Fatalf("the content is %q, %v", content, err)
			}
			if f.noFileETag {
				return
			}
			if file.ETag != `"tag"` || !file.LastModified.Equal(changed) {
				t.Errorf("the ETag is %q, the time %s", file.ETag, file.LastModified)
			}
			if _, err := reader.ReadURL(t.Context(), on(f.file), service.URLReadOptions{ETag: file.ETag}); !errors.Is(err, service.NotModifiedError) {
				t.Errorf("with the ETag: %v, want a NotModifiedError", err)
			}
			if _, err := reader.ReadURL(t.Context(), on(f.file), service.URLReadOptions{LastModifiedAfter: changed}); !errors.Is(err, service.NotModifiedError) {
				t.Errorf("with the time: %v, want a NotModifiedError", err)
			}
		})
	}
}

func TestReadURLThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, f := range forgeCases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reader, _, on := f.start(t)
			missing := strings.Replace(on(f.file), "index.md", "other.md", 1)
			_, err := reader.ReadURL(t.Context(), missing, service.URLReadOptions{})
			if !errors.Is(err, service.NotFoundError) {
				t.Fatalf("%v, want a NotFoundError", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the token: %v", err)
			}
			found, err := reader.Search(t.Context(), missing, service.URLReadOptions{})
			if err != nil || len(found.Files) != 0 {
				t.Errorf("searching for it: %v, %v", found, err)
			}
		})
	}
}

func TestTokenOfCaller(t *testing.T) {
	t.Parallel()
	for _, f := range forgeCases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.authorization = "Bearer of-a-user"
			if f.name == "GitHub without a token" {
				t.Skip("a token makes it use the API")
			}
			reader, _, on := f.start(t)
			if _, err := reader.ReadURL(t.Context(), on(f.file), service.URLReadOptions{Token: "of-a-user"}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReadTree(t *testing.T) {
	t.Parallel()
	for _, f := range forgeCases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reader, server, on := f.start(t)
			tree, err := reader.ReadTree(t.Context(), on(f.tree), service.URLReadOptions{})
			if err != nil {
				t.Fatalf("%v\nasked: %q", err, server.asked())
			}
			defer tree.Close()
			got := map[string]string{}
			for file, err := range tree.Files() {
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(file.Body)
				if err != nil {
					t.Fatal(err)
				}
				if file.Size != int64(len(content)) || !file.LastModified.Equal(changed) {
					t.Errorf("%s has the size %d and the time %s", file.Path, file.Size, file.LastModified)
				}
				got[file.Path] = string(content)
			}
			want := map[string]string{"index.md": "# Docs", ".hidden/index.md": "hidden", "run.sh": "#!/bin/sh"}
			if !maps.Equal(got, want) {
				t.Errorf("the files are %q, want %q", got, want)
			}
			if tree.ETag() != f.etag {
				t.Errorf("the ETag is %q, want %q", tree.ETag(), f.etag)
			}
			for _, err := range tree.Files() {
				if err == nil {
					t.Error("the tree can be read twice")
				}
			}
			if _, err := reader.ReadTree(t.Context(), on(f.tree), service.URLReadOptions{ETag: f.etag}); !errors.Is(err, service.NotModifiedError) {
				t.Errorf("with the ETag: %v, want a NotModifiedError", err)
			}
		})
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	for _, f := range forgeCases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reader, _, on := f.start(t)
			tree, err := reader.ReadTree(t.Context(), on(f.tree), service.URLReadOptions{
				Filter: func(path string, size int64) bool { return !strings.HasPrefix(path, ".hidden/") && size < 100 },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer tree.Close()
			dir := t.TempDir()
			if err := tree.Extract(dir); err != nil {
				t.Fatal(err)
			}
			var names []string
			err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if !d.IsDir() {
					name, _ := filepath.Rel(dir, path)
					names = append(names, name)
				}
				return err
			})
			if want := []string{"index.md", "link.md", "run.sh"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("extracted %q, %v; want %q", names, err, want)
			}
			if content, err := os.ReadFile(filepath.Join(dir, "link.md")); err != nil || string(content) != "# Docs" {
				t.Errorf("behind the link is %q, %v", content, err)
			}
			if f.name != "Azure DevOps" { // zip files of the test have no modes
				if info, err := os.Stat(filepath.Join(dir, "run.sh")); err != nil || info.Mode()&0o100 == 0 {
					t.Errorf("run.sh can't be run: %v, %v", info, err)
				}
			}
		})
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for _, f := range forgeCases {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reader, server, on := f.start(t)
			found, err := reader.Search(t.Context(), on(f.search), service.URLReadOptions{})
			if err != nil {
				t.Fatalf("%v\nasked: %q", err, server.asked())
			}
			if len(found.Files) != 1 || found.Files[0].URL != on(f.found) || found.ETag != f.etag {
				t.Fatalf("found %+v, want only %s with ETag %s", found, on(f.found), f.etag)
			}
			content, err := found.Files[0].Content(t.Context())
			if err != nil || string(content) != "# Docs" {
				t.Errorf("the content is %q, %v", content, err)
			}
			if _, err := reader.Search(t.Context(), on(f.search), service.URLReadOptions{ETag: f.etag}); !errors.Is(err, service.NotModifiedError) {
				t.Errorf("with the ETag: %v, want a NotModifiedError", err)
			}
			one, err := reader.Search(t.Context(), on(f.file), service.URLReadOptions{})
			if err != nil || len(one.Files) != 1 || one.Files[0].URL != on(f.file) {
				t.Errorf("searching without a pattern: %+v, %v", one, err)
			}
		})
	}
}
