// Package bucket reads trees and searches in stores of objects, which have neither directories nor archives: S3, Google Cloud Storage.
package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/urlreader"
)

// maxObjects is how many objects are listed for a tree or a search.
const maxObjects = 100_000

// Store is a bucket. Safe for concurrent use.
type Store interface {
	// Open reads an object; see service.URLReader for its errors.
	Open(ctx context.Context, key string, options service.URLReadOptions) (*service.URLFile, error)
	// List are the objects whose keys begin with the prefix. The sequence ends with the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
}

// Object is an object of a bucket.
type Object struct {
	Key          string
	Size         int64
	ETag         string
	LastModified time.Time
}

// Reader is a service.URLReader of buckets. Safe for concurrent use.
type Reader struct {
	locate func(*url.URL) (Store, string, error)
}

// NewReader makes a reader. locate tells the bucket that a URL leads to, and the key: the end of the decoded path.
func NewReader(locate func(*url.URL) (Store, string, error)) *Reader {
	return &Reader{locate: locate}
}

func (r *Reader) find(rawURL string) (u *url.URL, store Store, key string, err error) {
	if u, err = integration.ParseURL(rawURL); err != nil {
		return nil, nil, "", err
	}
	store, key, err = r.locate(u)
	return u, store, key, err
}

// ReadURL implements service.URLReader.
func (r *Reader) ReadURL(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLFile, error) {
	u, store, key, err := r.find(rawURL)
	if err != nil {
		return nil, err
	}
	f, err := store.Open(ctx, key, options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", integration.Redact(u), err)
	}
	return f, nil
}

// ReadTree implements service.URLReader. Objects whose keys have dot segments are left out: they could not be told from others as files.
func (r *Reader) ReadTree(ctx context.Context, rawURL string, options service.URLReadOptions) (service.URLTree, error) {
	u, store, key, err := r.find(rawURL)
	if err != nil {
		return nil, err
	}
	prefix := strings.Trim(key, "/")
	if prefix != "" {
		prefix += "/"
	}
	objects, etag, err := list(ctx, store, prefix, func(o Object) bool {
		return options.Filter == nil || options.Filter(o.Key[len(prefix):], o.Size)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", integration.Redact(u), err)
	}
	if etag == options.ETag {
		return nil, service.NotModifiedError.Errorf("%s has not changed", integration.Redact(u))
	}
	files := func(yield func(service.URLTreeFile, error) bool) {
		for _, o := range objects {
			f, err := store.Open(ctx, o.Key, service.URLReadOptions{})
			if err != nil {
				yield(service.URLTreeFile{}, fmt.Errorf("%s: %s: %w", integration.Redact(u), o.Key, err))
				return
			}
			more := yield(service.URLTreeFile{Path: o.Key[len(prefix):], Size: o.Size, Mode: 0o644, LastModified: o.LastModified, Body: f.Body}, nil)
			if err := f.Body.Close(); err != nil && more {
				yield(service.URLTreeFile{}, fmt.Errorf("%s: %s: %w", integration.Redact(u), o.Key, err))
				return
			}
			if !more {
				return
			}
		}
	}
	return urlreader.NewTree(etag, files, nil), nil
}

// Search implements service.URLReader.
func (r *Reader) Search(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLSearch, error) {
	u, store, key, err := r.find(rawURL)
	if err != nil {
		return nil, err
	}
	if !doublestar.ValidatePattern(key) {
		return nil, service.InputError.Errorf("%s: %q is not a valid pattern", integration.Redact(u), key)
	}
	fixed, _ := doublestar.SplitPattern(key)
	if fixed == "." {
		fixed = ""
	} else {
		fixed += "/"
	}
	objects, etag, err := list(ctx, store, fixed, func(o Object) bool {
		ok, err := doublestar.Match(key, o.Key)
		return err == nil && ok || o.Key == key
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", integration.Redact(u), err)
	}
	if etag == options.ETag {
		return nil, service.NotModifiedError.Errorf("%s has not changed", integration.Redact(u))
	}
	found := &service.URLSearch{ETag: etag}
	for _, o := range objects {
		link := *u
		link.Path, link.RawPath = strings.TrimSuffix(u.Path, key)+o.Key, ""
		found.Files = append(found.Files, service.URLSearchFile{
			URL: link.String(), LastModified: o.LastModified,
			Content: func(ctx context.Context) ([]byte, error) {
				f, err := store.Open(ctx, o.Key, service.URLReadOptions{})
				if err != nil {
					return nil, fmt.Errorf("%s: %w", o.Key, err)
				}
				return f.Bytes()
			},
		})
	}
	return found, nil
}

// list are the objects that are chosen, and an ETag of all of them.
func list(ctx context.Context, store Store, prefix string, chosen func(Object) bool) ([]Object, string, error) {
	var objects []Object
	hash := sha256.New()
	n := 0
	for o, err := range store.List(ctx, prefix) {
		if err != nil {
			return nil, "", err
		}
		if n++; n > maxObjects {
			return nil, "", service.InputError.Errorf("there are more than %d objects", maxObjects)
		}
		if strings.HasSuffix(o.Key, "/") || !strings.HasPrefix(o.Key, prefix) || hasDots(o.Key) || !chosen(o) {
			continue
		}
		objects = append(objects, o)
		fmt.Fprintf(hash, "%q %q %d\n", o.Key, o.ETag, o.Size)
	}
	return objects, hex.EncodeToString(hash.Sum(nil)), nil
}

func hasDots(key string) bool {
	for segment := range strings.FieldsFuncSeq(key, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
