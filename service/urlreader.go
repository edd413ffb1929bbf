package service

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"
)

// URLReader reads files and trees of files by the URLs that people see in their browsers: Backstage's core.urlReader. Which URLs may be
// read is configured: those of the forges below integrations, and those that backend.reading.allow lists. Safe for concurrent use.
//
// The errors that callers branch on are NotModifiedError, NotFoundError, NotAllowedError (the URL is none of the configured ones) and
// ServiceUnavailableError (a rate limit is exhausted, or the server asks to come back later); [InputError] is a URL that means nothing
// to the forge. None of them holds a secret.
type URLReader interface {
	// ReadURL reads a file.
	ReadURL(ctx context.Context, url string, options URLReadOptions) (*URLFile, error)
	// ReadTree reads the files below a directory of a repository, or all of them if the URL is that of a repository. The tree is valid
	// until ctx ends; it must be closed.
	ReadTree(ctx context.Context, url string, options URLReadOptions) (URLTree, error)
	// Search finds the files of a repository that match the path in the URL, in which * and ? stand for characters of a name, ** for
	// directories, [a-z] for one of several characters and {a,b} for alternatives. Names that begin with a dot are matched only where
	// the pattern has the dot. Without a pattern in it, the URL is that of a file; if there is none, nothing is found.
	Search(ctx context.Context, url string, options URLReadOptions) (*URLSearch, error)
}

// URLReadOptions says how to read. The zero value reads everything, with the configured credentials.
type URLReadOptions struct {
	// ETag is the ETag of an earlier answer. If it still holds, reading fails with a NotModifiedError. Some servers have none.
	ETag string
	// LastModifiedAfter has ReadURL fail with a NotModifiedError if the file is not newer, as far as the server tells.
	LastModifiedAfter time.Time
	// Token replaces the configured credentials: that of a user, for instance. It is sent to the URL's own server only.
	Token string
	// Filter chooses the files of ReadTree, by the path relative to the directory that is read and the size in bytes.
	Filter func(path string, size int64) bool
}

// URLFile is a file that is being read. The body must be closed. Reading it fails if the file is larger than
// backend.reading.limits.maxFileSize, or if the server stalls.
type URLFile struct {
	Body io.ReadCloser
	// ETag identifies the content, or is empty.
	ETag string
	// LastModified is when the file changed, or the zero time if the server doesn't tell.
	LastModified time.Time
}

// Bytes reads the whole body and closes it.
func (f *URLFile) Bytes() ([]byte, error) {
	content, err := io.ReadAll(f.Body)
	if closeErr := f.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("reading the content: %w", err)
	}
	return content, nil
}

// URLTree is a tree of files. It arrives while it is read, hence it can be read only once, by Files or by Extract, and by one goroutine.
type URLTree interface {
	// ETag identifies the content, usually by the commit.
	ETag() string
	// Files are the regular files, in the order of the archive. The sequence ends with the first error. Paths that lead out of the
	// tree, too many files, and files, trees or compression rates that are too large are errors.
	Files() iter.Seq2[URLTreeFile, error]
	// Extract writes the tree below a directory, which must exist, and creates the directories in between. Symbolic links are
	// written if they lead to something within the tree, and otherwise left out. Nothing is written outside of dir, whatever links are
	// in it. What has been written before an error stays.
	Extract(dir string) error
	// Close ends the download and removes temporary files.
	Close() error
}

// URLTreeFile is a file of a tree.
type URLTreeFile struct {
	// Path is relative to what was read, with slashes.
	Path string
	// Size is in bytes.
	Size int64
	// Mode has the permissions.
	Mode fs.FileMode
	// LastModified is when the file changed, or the zero time.
	LastModified time.Time
	// Body is the content. It can be read until the next file is asked for.
	Body io.Reader
}

// URLSearch is what a search has found.
type URLSearch struct {
	// ETag identifies what was searched, usually by the commit.
	ETag string
	// Files are the files that match.
	Files []URLSearchFile
}

// URLSearchFile is a file that a search has found.
type URLSearchFile struct {
	// URL is the URL of the file, as ReadURL takes it.
	URL string
	// LastModified is when the file changed, or the zero time.
	LastModified time.Time
	// Content is the content, which may have to be read first. It may be called several times, also concurrently.
	Content func(context.Context) ([]byte, error)
}
