package catalog_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestOneFullImportAtATime has a full import run while others are tried.
func TestOneFullImportAtATime(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		b := backendtest.Start(t, catalog.Plugin(), database(section))
		c := b.AsService(t, "external:ci")
		try := func(query string) int {
			t.Helper()
			return c.Post("/api/catalog/import?"+query, strings.NewReader("")).StatusCode
		}
		// begin begins a full import that lasts until the stream is closed.
		begin := func() (stream io.Closer, status <-chan int) {
			t.Helper()
			read, write := io.Pipe()
			answered := make(chan int, 1)
			go func() { answered <- c.Post("/api/catalog/import?provider=bulk&mode=full", read).StatusCode }()
			await(t, "the import to begin", func() bool { return try("provider=bulk&mode=delta") == http.StatusConflict })
			return write, answered
		}

		stream, answered := begin()
		if status := try("provider=bulk&mode=full"); status != http.StatusConflict {
			t.Errorf("beside a full import: %d", status)
		}
		if status := try("provider=other&mode=full"); status != http.StatusOK {
			t.Errorf("of another provider: %d", status)
		}
		if err := stream.Close(); err != nil {
			t.Fatal(err)
		}
		if status := <-answered; status != http.StatusOK {
			t.Errorf("the import itself: %d", status)
		}

		// One that is silent for too long is taken over.
		stream, answered = begin()
		b.Clock.Advance(6 * time.Minute)
		if status := try("provider=bulk&mode=full"); status != http.StatusOK {
			t.Errorf("after the other one has gone silent: %d", status)
		}
		if err := stream.Close(); err != nil {
			t.Fatal(err)
		}
		if status := <-answered; status != http.StatusConflict {
			t.Errorf("the one that was silent: %d", status)
		}
	})
}
