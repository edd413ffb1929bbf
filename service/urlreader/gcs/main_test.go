package gcs

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { // A library of the client starts a goroutine when the program begins, and never ends it.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}
