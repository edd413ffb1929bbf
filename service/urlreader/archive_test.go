package urlreader_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/urlreader"
)

// archives serves an archive as GitHub does (tar) or as Azure DevOps does (zip), and returns a function that reads the tree.
func archives(t testing.TB, content []byte, zipped bool, limits object) func(options service.URLReadOptions) (service.URLTree, error) {
	t.Helper()
	server := newAPI(t, map[string]http.HandlerFunc{
		"/repos/acme/shop/commits/main/status?per_page=0":                                             text(`{"sha": "` + sha + `"}`),
		"/repos/acme/shop/tarball/" + sha:                                                             bytesOf(content),
		"/acme/p/_apis/git/repositories/shop/commits?api-version=6.0&searchCriteria.%24top=1":         text(`{"value": [{"commitId": "` + sha + `"}]}`),
		"/acme/p/_apis/git/repositories/shop/items?api-version=6.0&download=true&recursionLevel=full": bytesOf(content),
	})
	workDir := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(workDir); err != nil || len(left) > 0 {
			t.Errorf("temporary files are left: %v, %v", left, err)
		}
	})
	reader := newReader(t, setup{config: object{
		"integrations": object{"github": []any{object{"host": server.host(), "apiBaseUrl": server.URL}}},
		"backend":      object{"workingDirectory": workDir, "reading": object{"limits": limits}},
	}})
	url := server.URL + "/acme/shop/tree/main"
	if zipped {
		reader.Through(func(to http.RoundTripper) http.RoundTripper {
			return redirected{[]string{"dev.azure.com"}, server.host(), to}
		})
		url = "https://dev.azure.com/acme/p/_git/shop"
	}
	return func(options service.URLReadOptions) (service.URLTree, error) {
		return reader.ReadTree(t.Context(), url, options)
	}
}

// consume reads a tree to its end, by Files or by Extract.
func consume(t testing.TB, tree service.URLTree, extract bool) error {
	t.Helper()
	defer tree.Close()
	if extract {
		return tree.Extract(t.TempDir())
	}
	for file, err := range tree.Files() {
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, file.Body); err != nil {
			return err
		}
	}
	return nil
}

func TestArchivesThatAreRefused(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("\x00", 3000)
	many := make([]item, 11)
	for i := range many {
		many[i] = item{name: fmt.Sprintf("r/%d", i)}
	}
	random := make([]byte, 4000)
	rand.NewChaCha8([32]byte{}).Read(random)
	limits := object{"maxFileSize": 3500, "maxTreeSize": 5000, "maxTreeFiles": 10}
	tests := []struct {
		name  string
		items []item
		want  string
	}{
		{"a path that leads out", []item{{name: "r/a"}, {name: "r/../../b", content: "b"}}, "leads out"},
		{"a path that leads out by backslashes", []item{{name: `r/..\..\b`, content: "b"}}, "leads out"},
		{"an absolute path", []item{{name: "/etc/cron.d/a", content: "b"}}, "leads out"},
		{"a path that is only dots", []item{{name: "..", content: "b"}}, "leads out"},
		{"a file that is too large", []item{{name: "r/a", content: string(random)}}, "maxFileSize"},
		{"too many files", many, "maxTreeFiles"},
		{"files that are too large together", []item{{name: "r/a", content: big}, {name: "r/b", content: big}, {name: "r/c", content: big}, {name: "r/d", content: big}, {name: "r/e", content: big},
			{name: "r/f", content: big}, {name: "r/g", content: big}, {name: "r/h", content: big}, {name: "r/i", content: big}, {name: "r/j", content: big + big}}, "max"},
	}
	for _, test := range tests {
		for _, zipped := range []bool{false, true} {
			for _, extract := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, zip %t, extract %t", test.name, zipped, extract), func(t *testing.T) {
					t.Parallel()
					content := tarball(t, test.items...)
					if zipped {
						content = zipfile(t, test.items...)
					}
					tree, err := archives(t, content, zipped, limits)(service.URLReadOptions{})
					if err != nil {
						t.Fatal(err)
					}
					if err := consume(t, tree, extract); !errors.Is(err, service.InputError) || !strings.Contains(err.Error(), test.want) {
						t.Errorf("%v, want an error with %q", err, test.want)
					}
				})
			}
		}
	}
}

// TestBombs reads archives that are small and become large: zeros that compress at 1000.
func TestBombs(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 1<<20)
	t.Run("tar", func(t *testing.T) {
		t.Parallel()
		var packed bytes.Buffer
		zipped, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
		files := tar.NewWriter(zipped)
		if err := files.WriteHeader(&tar.Header{Name: "r/a", Size: 96 << 20, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		for range 96 {
			files.Write(zeros)
		}
		files.Close()
		zipped.Close()
		// The file isn't even wanted: skipping it is what unpacks it.
		tree, err := archives(t, packed.Bytes(), false, nil)(service.URLReadOptions{Filter: func(string, int64) bool { return false }})
		if err != nil {
			t.Fatal(err)
		}
		if err := consume(t, tree, false); !errors.Is(err, service.InputError) || !strings.Contains(err.Error(), "compressed") {
			t.Errorf("%v, want an error about the compression", err)
		}
	})
	t.Run("zip with a lie about the size", func(t *testing.T) {
		t.Parallel()
		var packed bytes.Buffer
		files := zip.NewWriter(&packed)
		w, err := files.Create("a")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.Write(zeros)
		}
		files.Close()
		content := packed.Bytes()
		directory := bytes.LastIndex(content, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(content[directory+24:], 10)
		tree, err := archives(t, content, true, nil)(service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := consume(t, tree, false); err == nil {
			t.Error("the archive has been read")
		}
	})
	t.Run("zip whose entries share their content", func(t *testing.T) {
		t.Parallel()
		var packed bytes.Buffer
		files := zip.NewWriter(&packed)
		w, err := files.Create("a")
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			w.Write(zeros)
		}
		files.Close()
		content := packed.Bytes()
		start := bytes.LastIndex(content, []byte("PK\x01\x02"))
		end := bytes.LastIndex(content, []byte("PK\x05\x06"))
		one, tail := content[start:end], slices.Clone(content[end:])
		all := append(slices.Clone(content[:start]), bytes.Repeat(one, 100)...)
		binary.LittleEndian.PutUint16(tail[8:], 100)
		binary.LittleEndian.PutUint16(tail[10:], 100)
		binary.LittleEndian.PutUint32(tail[12:], uint32(len(one)*100))
		tree, err := archives(t, append(all, tail...), true, nil)(service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := consume(t, tree, false); !errors.Is(err, service.InputError) {
			t.Errorf("%v, want an InputError", err)
		}
	})
}

func TestArchivesThatAreBroken(t *testing.T) {
	t.Parallel()
	whole := tarball(t, item{name: "r/a", content: strings.Repeat("content", 10_000)})
	for name, content := range map[string][]byte{"cut": whole[:len(whole)/2], "empty gzip": {0x1f, 0x8b}, "no archive": []byte(strings.Repeat("<html>", 1000))} {
		tree, err := archives(t, content, false, nil)(service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := consume(t, tree, false); err == nil || !strings.Contains(err.Error(), "can't be read") {
			t.Errorf("%s: %v", name, err)
		}
	}
	tree, err := archives(t, []byte("PK no zip"), true, nil)(service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := consume(t, tree, false); err == nil || !strings.Contains(err.Error(), "can't be read") {
		t.Errorf("zip: %v", err)
	}
}

func TestArchiveWithoutCompression(t *testing.T) {
	t.Parallel()
	plain, err := gzip.NewReader(bytes.NewReader(tarball(t, item{name: "r/a", content: "a"})))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := archives(t, content, false, nil)(service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := consume(t, tree, false); err != nil {
		t.Error(err)
	}
}

func TestLeavingATreeEarly(t *testing.T) {
	t.Parallel()
	for _, zipped := range []bool{false, true} {
		content := tarball(t, item{name: "r/a"}, item{name: "r/b"})
		if zipped {
			content = zipfile(t, item{name: "r/a"}, item{name: "r/b"})
		}
		read := archives(t, content, zipped, nil)
		tree, err := read(service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for range tree.Files() {
			break
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
		if tree, err = read(service.URLReadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := tree.Close(); err != nil { // without reading
			t.Error(err)
		}
	}
}

// TestLinks extracts archives that try to write or lead out of the directory by symbolic links.
func TestLinks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		items []item
		left  []string // what is there afterwards
	}{
		{"a file through a link", []item{{name: "r/out", link: "../.."}, {name: "r/out/evil", content: "x"}}, []string{"out/evil"}},
		{"a file over a link", []item{{name: "r/out", link: "../../evil"}, {name: "r/out", content: "x"}}, []string{"out"}},
		{"a link through a link", []item{{name: "r/a/b/c", content: "c"}, {name: "r/up", link: "a/b/.."}, {name: "r/out", link: "up/../../evil"}}, []string{"a/b/c", "up"}},
		{"links that lead out together", []item{{name: "r/d/e/f", content: "f"}, {name: "r/d/e/root", link: "../.."}, {name: "r/out", link: "d/e/root/../.."}}, []string{"d/e/f", "d/e/root"}},
		{"a link to a link that leads out", []item{{name: "r/a", link: "b"}, {name: "r/b", link: "/etc"}}, nil},
		{"a loop", []item{{name: "r/a", link: "b"}, {name: "r/b", link: "a"}}, nil},
		{"a link to itself", []item{{name: "r/a", link: "a"}}, nil},
		{"a link that is fine", []item{{name: "r/a", content: "x"}, {name: "r/d/b", link: "../a"}}, []string{"a", "d/b"}},
	}
	for _, test := range tests {
		for _, zipped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, zip %t", test.name, zipped), func(t *testing.T) {
				t.Parallel()
				content := tarball(t, test.items...)
				if zipped {
					var items []item
					for _, it := range test.items {
						it.name = strings.TrimPrefix(it.name, "r/")
						items = append(items, it)
					}
					content = zipfile(t, items...)
				}
				tree, err := archives(t, content, zipped, nil)(service.URLReadOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer tree.Close()
				outer := t.TempDir()
				dir := filepath.Join(outer, "x", "y")
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := tree.Extract(dir); err != nil {
					t.Fatal(err)
				}
				var left []string
				err = filepath.WalkDir(outer, func(path string, d os.DirEntry, err error) error {
					if !d.IsDir() {
						name, _ := filepath.Rel(dir, path)
						left = append(left, filepath.ToSlash(name))
					}
					if d.Type()&os.ModeSymlink != 0 {
						target, err := filepath.EvalSymlinks(path)
						if err != nil || !strings.HasPrefix(target, dir) {
							t.Errorf("%s leads to %s, %v", path, target, err)
						}
					}
					return err
				})
				if err != nil || !slices.Equal(left, test.left) {
					t.Errorf("there is %q, want %q; %v", left, test.left, err)
				}
			})
		}
	}
}

// TestExtractIntoADirectoryWithLinks has a link in the directory already.
func TestExtractIntoADirectoryWithLinks(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "docs")); err != nil {
		t.Fatal(err)
	}
	tree, err := archives(t, tarball(t, item{name: "r/docs/a", content: "a"}), false, nil)(service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := tree.Extract(dir); err == nil {
		t.Error("it was extracted")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside is %v, %v", left, err)
	}
}

func TestNewTree(t *testing.T) {
	t.Parallel()
	files := func(yield func(service.URLTreeFile, error) bool) {
		for name, content := range map[string]string{"a": "a", "b/c": "c"} {
			if !yield(service.URLTreeFile{Path: name, Size: 1, Body: strings.NewReader(content)}, nil) {
				return
			}
		}
	}
	got := map[string]bool{}
	for file, err := range urlreader.NewTree("tag", files, nil).Files() {
		if err != nil {
			t.Fatal(err)
		}
		got[file.Path] = true
	}
	if !maps.Equal(got, map[string]bool{"a": true, "b/c": true}) {
		t.Errorf("the files are %v", got)
	}
	bad := func(yield func(service.URLTreeFile, error) bool) {
		yield(service.URLTreeFile{Path: "../a", Body: strings.NewReader("a")}, nil)
	}
	if err := consume(t, urlreader.NewTree("", bad, nil), true); !errors.Is(err, service.InputError) {
		t.Error(err)
	}
}
