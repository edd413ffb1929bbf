package backendtest

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

const leakLabel = "portico-backendtest"

// checkLeaks fails the test if goroutines with the label are still there. Goroutines that have been told to end get a moment to do so;
// those of pgx that close a connection take up to 15 seconds if the server is busy.
func checkLeaks(t testing.TB, label string) {
	t.Helper()
	// Connections that the shared transport keeps for later are nobody's leak.
	http.DefaultClient.CloseIdleConnections()
	var left []string
	for wait := time.Millisecond; ; wait *= 2 {
		if left = labelled(label); len(left) == 0 {
			return
		}
		if wait > 8*time.Second {
			break
		}
		time.Sleep(wait)
	}
	t.Errorf("%d goroutines of the backend are left after its stop:\n%s", len(left), strings.Join(left, "\n\n"))
}

// labelled are the stacks of the goroutines with the label.
func labelled(label string) []string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return []string{err.Error()}
	}
	var stacks []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", leakLabel, label)) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
