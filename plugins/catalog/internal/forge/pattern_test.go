package forge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, texts := range map[string]map[string]bool{
		"^service-":    {"service-a": true, "a-service-": false},
		"^(?!old-).*$": {"shop": true, "old-shop": false}, // a look-ahead, as JavaScript has them
		"":             {"anything": true},
	} {
		var p forge.Pattern
		if err := p.UnmarshalText([]byte(pattern)); err != nil {
			t.Fatal(err)
		}
		for text, want := range texts {
			if got := p.Match(text); got != want {
				t.Errorf("%q matches %q: %v", pattern, text, got)
			}
		}
	}
	var p forge.Pattern
	if err := p.UnmarshalText([]byte("(")); err == nil || !strings.Contains(err.Error(), "is not a regular expression") {
		t.Errorf("got %v", err)
	}
}

// TestPatternsThatTakeForever has a pattern that tries all ways to split a text.
func TestPatternsThatTakeForever(t *testing.T) {
	t.Parallel()
	var p forge.Pattern
	if err := p.UnmarshalText([]byte("^(?!x)(a+)+$")); err != nil {
		t.Fatal(err)
	}
	matched := make(chan bool, 1)
	go func() { matched <- p.Match(strings.Repeat("a", 60) + "b") }()
	select {
	case got := <-matched:
		if got {
			t.Error("it matches")
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on and on")
	}
}
