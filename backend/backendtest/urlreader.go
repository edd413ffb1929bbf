package backendtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/urlreader"
)

// URLReader replaces the service.URLReader of a backend by one that knows only the given files: their contents by URL.
//
//	backendtest.Start(t, catalog.Plugin(), backendtest.URLReader(map[string]string{
//		"https://github.com/acme/shop/blob/main/catalog-info.yaml": "kind: Component…",
//	}))
//
// A tree is the files whose URLs are below its own. Searches match patterns against whole URLs. ETags are hashes of the contents.
func URLReader(files map[string]string) backend.Feature {
	files = maps.Clone(files)
	return service.PerPlugin[service.URLReader](func() service.URLReader { return urlReader(files) })
}

// urlReader are the contents of files by URL.
type urlReader map[string]string

// ReadURL implements service.URLReader.
func (r urlReader) ReadURL(_ context.Context, url string, options service.URLReadOptions) (*service.URLFile, error) {
	content, ok := r[url]
	if !ok {
		return nil, service.NotFoundError.Errorf("the test has no file with the URL %s", url)
	}
	f := &service.URLFile{Body: io.NopCloser(strings.NewReader(content)), ETag: r.etag(url)}
	if f.ETag == options.ETag {
		return nil, service.NotModifiedError.Errorf("%s has not changed", url)
	}
	return f, nil
}

// ReadTree implements service.URLReader.
func (r urlReader) ReadTree(_ context.Context, url string, options service.URLReadOptions) (service.URLTree, error) {
	prefix := strings.TrimSuffix(url, "/") + "/"
	var urls []string
	for _, one := range r.urls() {
		if path, ok := strings.CutPrefix(one, prefix); ok && (options.Filter == nil || options.Filter(path, int64(len(r[one])))) {
			urls = append(urls, one)
		}
	}
	etag := r.etag(urls...)
	if etag == options.ETag {
		return nil, service.NotModifiedError.Errorf("%s has not changed", url)
	}
	var entries iter.Seq2[service.URLTreeFile, error] = func(yield func(service.URLTreeFile, error) bool) {
		for _, one := range urls {
			f := service.URLTreeFile{Path: one[len(prefix):], Size: int64(len(r[one])), Mode: 0o644, Body: strings.NewReader(r[one])}
			if !yield(f, nil) {
				return
			}
		}
	}
	return urlreader.NewTree(etag, entries, nil), nil
}

// Search implements service.URLReader.
func (r urlReader) Search(_ context.Context, url string, options service.URLReadOptions) (*service.URLSearch, error) {
	var urls []string
	for _, one := range r.urls() {
		if matches, err := doublestar.Match(url, one); err != nil {
			return nil, service.InputError.Errorf("%s is not a valid pattern: %w", url, err)
		} else if matches || one == url {
			urls = append(urls, one)
		}
	}
	found := &service.URLSearch{ETag: r.etag(urls...)}
	if found.ETag == options.ETag {
		return nil, service.NotModifiedError.Errorf("%s has not changed", url)
	}
	for _, one := range urls {
		found.Files = append(found.Files, service.URLSearchFile{
			URL:     one,
			Content: func(context.Context) ([]byte, error) { return []byte(r[one]), nil },
		})
	}
	return found, nil
}

func (r urlReader) urls() []string { return slices.Sorted(maps.Keys(r)) }

// etag is a hash of files.
func (r urlReader) etag(urls ...string) string {
	hash := sha256.New()
	for _, one := range urls {
		io.WriteString(hash, one+"\x00"+r[one]+"\x00") // a hash never fails
	}
	return hex.EncodeToString(hash.Sum(nil))
}
