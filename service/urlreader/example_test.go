package urlreader_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/urlreader"
)

// A plugin asks for a service.URLReader and reads what the configuration allows.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, "kind: Component")
	}))
	defer server.Close()

	read := plugin.New("example", plugin.Init(func(ctx context.Context, reader service.URLReader) error {
		url := server.URL + "/catalog-info.yaml"
		file, err := reader.ReadURL(ctx, url, service.URLReadOptions{})
		if err != nil {
			return err
		}
		content, err := file.Bytes()
		if err != nil {
			return err
		}
		fmt.Println(string(content))

		_, err = reader.ReadURL(ctx, url, service.URLReadOptions{ETag: file.ETag})
		fmt.Println("still the same:", errors.Is(err, service.NotModifiedError))

		_, err = reader.ReadURL(ctx, "https://example.com/catalog-info.yaml", service.URLReadOptions{})
		fmt.Println("another host:", errors.Is(err, service.NotAllowedError))
		return nil
	}))

	b := backend.New(backend.Options{Config: config.Options{Overrides: map[string]any{"backend": map[string]any{
		"listen":   map[string]any{"host": "127.0.0.1", "port": 0},
		"database": map[string]any{"client": "better-sqlite3", "connection": ":memory:"},
		"reading":  map[string]any{"allow": []any{map[string]any{"host": strings.TrimPrefix(server.URL, "http://")}}},
	}}}})
	b.Add(read, service.Root[service.RootLogger](func() service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
	}))
	if err := b.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := b.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// kind: Component
	// still the same: true
	// another host: true
}

// A tree that a source has no archive for.
func ExampleNewTree() {
	files := func(yield func(service.URLTreeFile, error) bool) {
		yield(service.URLTreeFile{Path: "docs/index.md", Size: 6, Body: strings.NewReader("# Docs")}, nil)
	}
	tree := urlreader.NewTree("revision 1", files, nil)
	defer tree.Close()
	for file, err := range tree.Files() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(file.Path, file.Size)
	}
	// Output: docs/index.md 6
}
