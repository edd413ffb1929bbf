package cron_test

import (
	"testing"
	"time"

	"github.com/portico-dev/portico/service/internal/cron"
)

// thursday is the 1st of January 2026.
var thursday = time.Date(2026, 1, 1, 12, 30, 15, 0, time.UTC)

func TestNext(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"*/5 * * * *":        "2026-01-01 12:35:00",
		"*/10 * * * * *":     "2026-01-01 12:30:20",
		"0 3 * * *":          "2026-01-02 03:00:00",
		"0 0 0 * * 7":        "2026-01-04 00:00:00",
		"0 0 * * 5-7":        "2026-01-02 00:00:00",
		"0 0 * * 6-7/1":      "2026-01-03 00:00:00",
		"0 0 * * 0-7":        "2026-01-02 00:00:00",
		"0 0 * FEB sun":      "2026-02-01 00:00:00",
		"0 0 13 * 5":         "2026-01-02 00:00:00", // the 13th, and Fridays
		"0 0 29 2 *":         "2028-02-29 00:00:00",
		" @weekends ":        "2026-01-03 00:00:00",
		"@minutely":          "2026-01-01 12:31:00",
		"0 0 12 1 1 ?":       "2027-01-01 12:00:00",
		"15,30 8-17/3 * * *": "2026-01-01 14:15:00",
	} {
		s, err := cron.Parse(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if got := s.Next(thursday).Format(time.DateTime); got != want {
			t.Errorf("%q fires at %s, want %s", line, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "* * * * 5-8", "* * * * 7-5",
		"*/0 * * * *", "* * * * 7/0", "@every 5m", "@sometimes", "TZ=", "CRON_TZ=UTC * * * * *", "5 minutes",
		"0 0 30 2 *", "0 0 31 4,6,9,11 *",
	} {
		if s, err := cron.Parse(line); err == nil {
			t.Errorf("%q is accepted, and fires at %s", line, s.Next(thursday))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{"*/5 * * * *", "0 0 * * 5-7", "@daily", "TZ=", "* * * * 7/9", "0 0 29 2 mon"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, err := cron.Parse(line)
		if err != nil {
			return
		}
		if next := s.Next(thursday); !next.After(thursday) {
			t.Errorf("%q fires at %s, which is not after %s", line, next, thursday)
		}
	})
}
