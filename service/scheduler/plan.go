package scheduler

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sosodev/duration"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/internal/cron"
)

// settings are when a task runs, in the form of Backstage: so they are stored and listed.
type settings struct {
	Version      int    `json:"version"`
	Cadence      string `json:"cadence"` // an ISO 8601 duration, a cron line or "manual"
	InitialDelay string `json:"initialDelayDuration,omitempty"`
	Timeout      string `json:"timeoutAfterDuration,omitempty"`
}

const (
	settingsVersion = 2
	manual          = "manual"
)

func settingsOf(t service.Task) settings {
	s := settings{Version: settingsVersion, Cadence: manual}
	switch {
	case t.Cron != "":
		s.Cadence = t.Cron
	case t.Every > 0:
		s.Cadence = isoDuration(t.Every)
	}
	if t.InitialDelay > 0 {
		s.InitialDelay = isoDuration(t.InitialDelay)
	}
	if t.Timeout > 0 {
		s.Timeout = isoDuration(t.Timeout)
	}
	return s
}

// isoDuration writes a duration without units whose length depends on the calendar.
func isoDuration(d time.Duration) string {
	iso := duration.Duration{Hours: float64(d / time.Hour), Minutes: float64(d % time.Hour / time.Minute), Seconds: (d % time.Minute).Seconds()}
	return iso.String()
}

// String is the JSON that is stored.
func (s settings) String() string {
	text, _ := json.Marshal(s) // strings can always be encoded
	return string(text)
}

// plan is what settings mean.
type plan struct {
	every   time.Duration
	cron    *cron.Schedule
	timeout time.Duration
}

// parsePlan reads stored settings.
func parsePlan(stored string) (plan, error) {
	var s settings
	if err := json.Unmarshal([]byte(stored), &s); err != nil {
		return plan{}, err
	}
	if s.Version != settingsVersion {
		return plan{}, fmt.Errorf("they have version %d, this program knows %d", s.Version, settingsVersion)
	}
	return s.plan()
}

func (s settings) plan() (plan, error) {
	var p plan
	if s.Timeout != "" {
		d, err := duration.Parse(s.Timeout)
		if err != nil {
			return p, fmt.Errorf("timeout %q: %w", s.Timeout, err)
		}
		p.timeout = d.ToTimeDuration()
	}
	switch {
	case s.Cadence == manual:
	case strings.HasPrefix(s.Cadence, "P"):
		d, err := duration.Parse(s.Cadence)
		if err != nil {
			return p, fmt.Errorf("cadence %q: %w", s.Cadence, err)
		}
		if p.every = d.ToTimeDuration(); p.every < time.Millisecond {
			return p, fmt.Errorf("cadence %q is too short", s.Cadence)
		}
	default:
		line, err := cron.Parse(s.Cadence)
		if err != nil {
			return p, err
		}
		p.cron = &line
	}
	return p, nil
}

// first is when a task runs first that is scheduled now, and never before: the zero time for manual tasks.
func (p plan) first(now time.Time, delay time.Duration) time.Time {
	switch {
	case p.cron != nil && delay == 0:
		return p.cron.Next(now.Local())
	case p.cron != nil || p.every > 0:
		return now.Add(delay)
	}
	return time.Time{}
}

// next is when a task runs next after a run that began at one time and ended at another: the zero time for manual tasks.
func (p plan) next(began, ended time.Time) time.Time {
	switch {
	case p.cron != nil:
		return p.cron.Next(ended.Local())
	case p.every > 0:
		if due := began.Add(p.every); due.After(ended) {
			return due
		}
		return ended
	}
	return time.Time{}
}
