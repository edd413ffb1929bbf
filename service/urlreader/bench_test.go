package urlreader_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service"
)

// sources are files as a repository has them: words that repeat, 2,000 files of 8 kB.
func sources() (items []item, size int64) {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 2000)
	for i := range words {
		words[i] = fmt.Sprintf("word%x", random.Uint32()>>8)
	}
	for i := range 2000 {
		var content strings.Builder
		for content.Len() < 8<<10 {
			content.WriteString(words[random.IntN(len(words))])
			content.WriteByte(" \n"[random.IntN(2)])
		}
		items = append(items, item{name: fmt.Sprintf("repo/dir%d/file%d.txt", i%50, i), content: content.String()})
		size += int64(content.Len())
	}
	return items, size
}

// BenchmarkReadTree reads 2,000 files of 16 MB together over loopback TCP.
func BenchmarkReadTree(b *testing.B) {
	items, size := sources()
	for _, zipped := range []bool{false, true} {
		name, content := "tar.gz", tarball(b, items...)
		if zipped {
			name, content = "zip", zipfile(b, items...)
		}
		for _, extract := range []bool{false, true} {
			how := "Files"
			if extract {
				how = "Extract"
			}
			b.Run(name+"/"+how, func(b *testing.B) {
				read := archives(b, content, zipped, nil)
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					tree, err := read(service.URLReadOptions{})
					if err != nil {
						b.Fatal(err)
					}
					if err := consume(b, tree, extract); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(items)*b.N)/b.Elapsed().Seconds(), "files/s")
			})
		}
	}
}

// BenchmarkReadURL reads a small file over loopback TCP.
func BenchmarkReadURL(b *testing.B) {
	server := newAPI(b, map[string]http.HandlerFunc{"/a": text("kind: Component")})
	reader := newReader(b, setup{config: reading(object{"host": server.host()})})
	b.ReportAllocs()
	for b.Loop() {
		file, err := reader.ReadURL(b.Context(), server.URL+"/a", service.URLReadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := file.Bytes(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
