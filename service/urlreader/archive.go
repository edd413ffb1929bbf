package urlreader

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/portico-dev/portico/service"
)

const (
	// maxRatio is how many bytes a compressed byte may become, on average. Sources compress at 3 to 20.
	maxRatio = 250
	// ratioFrom is how many bytes may come out before the ratio counts.
	ratioFrom = 64 << 20
	// directoryBytes is how much of a zip file may be read to learn of one entry.
	directoryBytes = 512
)

// archive is a repository that is being downloaded.
type archive struct {
	body    io.ReadCloser
	zip     bool   // otherwise a tar file, perhaps compressed by gzip
	subpath string // what is read; paths are relative to it
	strip   bool   // whether everything is in a folder that is not part of the repository
}

// entry is a regular file or a symbolic link of an archive.
type entry struct {
	path     string // relative to what is read
	size     int64
	mode     fs.FileMode
	modified time.Time
	link     string // the target of a symbolic link
	body     io.Reader
}

// unpacking reads the entries of an archive.
type unpacking struct {
	archive
	subject string
	limits  Limits
	filter  func(path string, size int64) bool
	workDir string

	count int
	total int64
}

func (u *unpacking) fail(format string, args ...any) error {
	return service.InputError.Errorf("%s: the archive %s", u.subject, fmt.Sprintf(format, args...))
}

// entries are those below the subpath that the filter chooses.
func (u *unpacking) entries() iter.Seq2[*entry, error] {
	return func(yield func(*entry, error) bool) {
		read := u.readTar
		if u.zip {
			read = u.readZip
		}
		if err := read(func(e *entry) bool { return yield(e, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// admit counts an entry. It returns the entry's path relative to what is read, and whether it is to be read.
func (u *unpacking) admit(name string, size int64, link bool) (string, bool, error) {
	if u.count++; u.count > u.limits.MaxTreeFiles {
		return "", false, u.fail("has more than %d entries, which backend.reading.limits.maxTreeFiles allows", u.limits.MaxTreeFiles)
	}
	clean, err := cleanPath(name)
	if err != nil {
		return "", false, u.fail("has an entry that leads out of it: %q", name)
	}
	if u.strip {
		if _, rest, ok := strings.Cut(clean, "/"); ok {
			clean = rest
		} else {
			return "", false, nil
		}
	}
	if u.subpath != "" {
		rest, below := strings.CutPrefix(clean, u.subpath+"/")
		if !below {
			return "", false, nil
		}
		clean = rest
	}
	if clean == "" || u.filter != nil && !u.filter(clean, size) {
		return "", false, nil
	}
	if size > u.limits.MaxFileSize && !link {
		return "", false, tooLarge(u.subject+": "+clean, u.limits.MaxFileSize)
	}
	return clean, true, nil
}

// cleanPath is the path of an entry without what means nothing. A path that leads out of its directory on any system is an error.
func cleanPath(name string) (string, error) {
	if strings.ContainsRune(name, 0) || strings.HasPrefix(name, "/") || strings.HasPrefix(name, `\`) {
		return "", fs.ErrInvalid
	}
	for segment := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == ".." {
			return "", fs.ErrInvalid
		}
	}
	clean := path.Clean(name)
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// readTar reads a tar file as it arrives.
func (u *unpacking) readTar(yield func(*entry) bool) error {
	compressed := &countingReader{r: u.body}
	buffered := bufio.NewReaderSize(compressed, 64<<10)
	var plain io.Reader = buffered
	if magic, _ := buffered.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return u.broken(err)
		}
		defer unzipped.Close()
		plain = unzipped
	}
	bounded := &boundedReader{r: plain, archive: u, headers: true, compressed: compressed}
	files := tar.NewReader(bounded)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // paths are looked at below
			return u.broken(err)
		}
		link := header.Typeflag == tar.TypeSymlink
		if header.Typeflag != tar.TypeReg && !link {
			// Git has nothing else; directories are made as they are needed.
			if u.count++; u.count > u.limits.MaxTreeFiles {
				return u.fail("has more than %d entries, which backend.reading.limits.maxTreeFiles allows", u.limits.MaxTreeFiles)
			}
			continue
		}
		name, chosen, err := u.admit(header.Name, header.Size, link)
		if err != nil {
			return err
		}
		if !chosen {
			continue
		}
		e := &entry{path: name, size: header.Size, mode: header.FileInfo().Mode().Perm(), modified: header.ModTime, body: entryReader{files, u}}
		if link {
			e.link = header.Linkname
		}
		if !yield(e) {
			return nil
		}
	}
}

// broken is the error of an archive that can't be read.
func (u *unpacking) broken(err error) error {
	var known *service.Error
	if errors.As(err, &known) {
		return err
	}
	return fmt.Errorf("%s: the archive can't be read: %w", u.subject, err)
}

// entryReader names the archive in errors.
type entryReader struct {
	r io.Reader
	u *unpacking
}

func (e entryReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = e.u.broken(err)
	}
	return n, err
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// boundedReader fails when too much comes out of an archive.
type boundedReader struct {
	r       io.Reader
	archive *unpacking
	// headers tells whether r has the headers of entries too.
	headers bool
	// compressed is what has been read of the archive, or nil if it isn't compressed.
	compressed *countingReader
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	u := b.archive
	u.total += int64(n)
	limit := u.limits.MaxTreeSize
	if b.headers {
		limit += int64(u.count+16) * 2048 // headers and padding don't count, since entries do
	}
	if u.total > limit {
		return 0, u.tooLarge()
	}
	if b.compressed != nil && u.total > ratioFrom && u.total/maxRatio > b.compressed.n {
		return 0, u.fail("is compressed more than %d times, as no repository is", maxRatio)
	}
	return n, err
}

func (u *unpacking) tooLarge() error {
	return u.fail("is larger than %d bytes when unpacked, which backend.reading.limits.maxTreeSize allows", u.limits.MaxTreeSize)
}

// readZip downloads a zip file, since its directory is at the end, and reads it.
func (u *unpacking) readZip(yield func(*entry) bool) (err error) {
	file, err := os.CreateTemp(u.workDir, "portico-*.zip")
	if err != nil {
		return fmt.Errorf("%s: making a temporary file for the archive: %w", u.subject, err)
	}
	defer func() {
		err = errors.Join(err, file.Close(), os.Remove(file.Name()))
	}()
	size, err := io.Copy(file, io.LimitReader(u.body, u.limits.MaxTreeSize+1))
	if err != nil {
		return fmt.Errorf("%s: downloading the archive: %w", u.subject, err)
	}
	if size > u.limits.MaxTreeSize {
		return u.fail("is larger than %d bytes, which backend.reading.limits.maxTreeSize allows", u.limits.MaxTreeSize)
	}
	// zip.NewReader keeps the whole directory in memory: that is bounded by what it may read.
	directory := &budgetReader{r: file, left: int64(u.limits.MaxTreeFiles+1)*directoryBytes + 1<<20}
	files, err := zip.NewReader(directory, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // paths are looked at below
		if directory.left < 0 {
			return u.fail("has more than %d entries, which backend.reading.limits.maxTreeFiles allows", u.limits.MaxTreeFiles)
		}
		return u.broken(err)
	}
	directory.unbounded = true
	for _, f := range files.File {
		if more, err := u.readZipEntry(f, size, yield); err != nil || !more {
			return err
		}
	}
	return nil
}

func (u *unpacking) readZipEntry(f *zip.File, size int64, yield func(*entry) bool) (bool, error) {
	mode := f.Mode()
	link := mode&fs.ModeSymlink != 0
	if !mode.IsRegular() && !link || strings.HasSuffix(f.Name, "/") {
		u.count++
		return true, nil
	}
	name, chosen, err := u.admit(f.Name, int64(min(f.UncompressedSize64, 1<<62)), link)
	if err != nil || !chosen {
		return err == nil, err
	}
	content, err := f.Open()
	if err != nil {
		return false, u.broken(err)
	}
	defer content.Close()
	// What the directory says about sizes may be a lie, and entries may share their content.
	bounded := &boundedReader{r: content, archive: u, compressed: &countingReader{n: size}}
	e := &entry{path: name, size: int64(f.UncompressedSize64), mode: mode.Perm(), modified: f.Modified,
		body: entryReader{limitReader(bounded, u.limits.MaxFileSize, u.subject+": "+name), u}}
	if link {
		target, err := io.ReadAll(io.LimitReader(e.body, 4096))
		if err != nil {
			return false, u.broken(err)
		}
		e.link = string(target)
	}
	return yield(e), nil
}

// budgetReader fails when more than its budget is read.
type budgetReader struct {
	r         io.ReaderAt
	left      int64
	unbounded bool
}

func (b *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 && !b.unbounded {
		return 0, errors.New("the directory is too large")
	}
	return b.r.ReadAt(p, off)
}
