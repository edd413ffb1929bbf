package api

import (
	"errors"
	"testing"

	"github.com/portico-dev/portico/service"
)

// TestStreamsAreBounded opens as many streams as there may be in all, by several users.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStreams(3, 2)
	var ends []func()
	for _, who := range []string{"one", "one", "two"} {
		end, err := s.open(who)
		if err != nil {
			t.Fatalf("a stream of %s: %v", who, err)
		}
		ends = append(ends, end)
	}
	if _, err := s.open("three"); !errors.Is(err, service.ServiceUnavailableError) {
		t.Errorf("one more: error is %v, want a ServiceUnavailableError", err)
	}
	ends[0]()
	if _, err := s.open("three"); err != nil {
		t.Errorf("in a place that is free: %v", err)
	}
}
