package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/urlreader/bucket"
)

// store is a bucket in memory.
type store map[string]string

func (s store) Open(_ context.Context, key string, options service.URLReadOptions) (*service.URLFile, error) {
	content, ok := s[key]
	if !ok {
		return nil, service.NotFoundError.Errorf("there is no object %s", key)
	}
	if options.ETag == content {
		return nil, service.NotModifiedError.Errorf("the object has not changed")
	}
	return &service.URLFile{Body: io.NopCloser(strings.NewReader(content)), ETag: content}, nil
}

func (s store) List(_ context.Context, prefix string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(s)) {
			if strings.HasPrefix(key, prefix) && !yield(bucket.Object{Key: key, Size: int64(len(s[key])), ETag: s[key]}, nil) {
				return
			}
		}
	}
}

func newReader() *bucket.Reader {
	s := store{"docs/a.md": "a", "docs/b/c.md": "c", "docs2/d.md": "d", "docs/": "", "docs/../e.md": "e"}
	return bucket.NewReader(func(u *url.URL) (bucket.Store, string, error) { return s, strings.TrimPrefix(u.Path, "/"), nil })
}

func Example() {
	reader := newReader()
	tree, err := reader.ReadTree(context.Background(), "https://bucket.test/docs", service.URLReadOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tree.Close()
	for file, err := range tree.Files() {
		fmt.Println(file.Path, file.Size, err)
	}
	// Output:
	// a.md 1 <nil>
	// b/c.md 1 <nil>
}

func TestReader(t *testing.T) {
	t.Parallel()
	reader := newReader()
	f, err := reader.ReadURL(t.Context(), "https://bucket.test/docs/a.md", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := f.Bytes(); err != nil || string(content) != "a" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := reader.ReadURL(t.Context(), "https://bucket.test/docs/x.md", service.URLReadOptions{}); !errors.Is(err, service.NotFoundError) {
		t.Error(err)
	}
	tree, err := reader.ReadTree(t.Context(), "https://bucket.test/docs", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ReadTree(t.Context(), "https://bucket.test/docs", service.URLReadOptions{ETag: tree.ETag()}); !errors.Is(err, service.NotModifiedError) {
		t.Error(err)
	}
	for pattern, want := range map[string][]string{
		"docs/**/*.md": {"https://bucket.test/docs/a.md", "https://bucket.test/docs/b/c.md"},
		"*/d.md":       {"https://bucket.test/docs2/d.md"},
		"docs/a.md":    {"https://bucket.test/docs/a.md"},
		"docs/x.md":    nil,
	} {
		found, err := reader.Search(t.Context(), "https://bucket.test/"+pattern, service.URLReadOptions{})
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		var got []string
		for _, file := range found.Files {
			got = append(got, file.URL)
			if content, err := file.Content(t.Context()); err != nil || len(content) != 1 {
				t.Errorf("%s: %q, %v", file.URL, content, err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s found %q, want %q", pattern, got, want)
		}
	}
	if _, err := reader.Search(t.Context(), "https://bucket.test/docs/[a", service.URLReadOptions{}); !errors.Is(err, service.InputError) {
		t.Error(err)
	}
}
