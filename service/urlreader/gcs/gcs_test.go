package gcs

import (
	"errors"
	"io"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"go.uber.org/fx/fxtest"
	"google.golang.org/api/option"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// newTestSource is a source of a server of the protocol.
func newTestSource(t *testing.T) *source {
	t.Helper()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, InitialObjects: []fakestorage.Object{
		{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "shop", Name: "docs/index.md"}, Content: []byte("# Docs")},
		{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "shop", Name: "docs/a/b.md"}, Content: []byte("b")},
		{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "shop", Name: "docs2/x.md"}, Content: []byte("x")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	lifecycle := fxtest.NewLifecycle(t)
	s, err := newSource(config.Static(map[string]any{}), lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	client := server.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	s.options = append(s.options, option.WithHTTPClient(client))
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	return s
}

func TestRead(t *testing.T) {
	s := newTestSource(t)
	const base = "https://storage.cloud.google.com/shop/"
	file, err := s.ReadURL(t.Context(), base+"docs/index.md", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := file.Bytes(); err != nil || string(content) != "# Docs" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := s.ReadURL(t.Context(), base+"docs/index.md", service.URLReadOptions{ETag: file.ETag}); !errors.Is(err, service.NotModifiedError) {
		t.Errorf("with the ETag: %v", err)
	}
	for _, missing := range []string{base + "docs/other.md", "https://storage.cloud.google.com/other/docs"} {
		if _, err := s.ReadURL(t.Context(), missing, service.URLReadOptions{}); !errors.Is(err, service.NotFoundError) {
			t.Errorf("%s: %v", missing, err)
		}
	}
	tree, err := s.ReadTree(t.Context(), base+"docs", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
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
		got[file.Path] = string(content)
	}
	if len(got) != 2 || got["index.md"] != "# Docs" || got["a/b.md"] != "b" {
		t.Errorf("the tree has %q", got)
	}
	found, err := s.Search(t.Context(), base+"docs/**/*.md", service.URLReadOptions{})
	if err != nil || len(found.Files) != 2 || found.Files[0].URL != base+"docs/a/b.md" {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	values := map[string]any{"integrations": map[string]any{"googleGcs": map[string]any{"clientEmail": "me"}}}
	if _, err := newSource(config.Static(values), fxtest.NewLifecycle(t)); err == nil {
		t.Error("a key is missing, but there is no error")
	}
}
