package urlreader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
)

// body is a reader that closes something else.
type body struct {
	io.Reader
	io.Closer
}

func tooLarge(subject string, limit int64) error {
	return service.InputError.Errorf("%s is larger than %d bytes, which backend.reading.limits.maxFileSize allows", subject, limit)
}

// limitReader is a reader that fails where io.LimitReader would end.
func limitReader(r io.Reader, limit int64, subject string) io.Reader {
	return &limitedReader{r: r, left: limit, err: tooLarge(subject, limit)}
}

type limitedReader struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, l.err
	}
	return n, err
}

// stallingBody is the body of an answer that ends when the server sends nothing for some time.
type stallingBody struct {
	io.ReadCloser
	clock   clockwork.Clock
	cancel  context.CancelFunc
	timer   clockwork.Timer // runs only while somebody reads; nil before
	stalled atomic.Bool
}

func (s *stallingBody) Read(p []byte) (int, error) {
	if s.timer == nil {
		s.timer = s.clock.AfterFunc(stallTimeout, func() {
			s.stalled.Store(true)
			s.cancel()
		})
	} else {
		s.timer.Reset(stallTimeout)
	}
	n, err := s.ReadCloser.Read(p)
	s.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && s.stalled.Load() {
		err = fmt.Errorf("the server has sent nothing for %s", stallTimeout)
	}
	return n, err
}

// Close ends the request. The rest of the body is not read: it may be endless.
func (s *stallingBody) Close() error {
	s.cancel()
	err := s.ReadCloser.Close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
