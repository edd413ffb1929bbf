package store

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// packer compresses entities that are only read by the catalog itself: as they were brought, as they were processed, and as they once were. It
// is safe for concurrent use.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// maxUnpacked bounds what is made of a compressed entity: the database may be damaged.
const maxUnpacked = 1 << 30

func newPacker() packer {
	// With these options neither fails, and without a stream neither starts anything that had to be closed.
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithWindowSize(1<<17),
		zstd.WithEncoderCRC(false))
	decoder, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked))
	return packer{encoder, decoder}
}

// pack compresses JSON. None stays none.
func (p packer) pack(json []byte) []byte {
	if len(json) == 0 {
		return nil
	}
	return p.encoder.EncodeAll(json, nil)
}

// unpack is the JSON that was packed. JSON that never was comes out as it is: older versions stored it so.
func (p packer) unpack(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	if packed[0] == '{' {
		return packed, nil
	}
	json, err := p.decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("a compressed entity can't be read: %w", err)
	}
	return json, nil
}

// unpackIngested is an entity as it was brought, and its place.
func (p packer) unpackIngested(packed []byte) (json []byte, place string, err error) {
	text, err := p.unpack(packed)
	json, at, _ := bytes.Cut(text, []byte("\n")) // which JSON as the catalog writes it does not have
	return json, string(at), err
}

// each calls do with the numbers below n, on all cores.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}
