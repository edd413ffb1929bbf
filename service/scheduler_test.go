package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

func TestScheduleFromConfiguration(t *testing.T) {
	t.Parallel()
	minutes := map[string]any{"minutes": 3}
	for name, c := range map[string]struct {
		section map[string]any
		want    service.Schedule
		err     string
	}{
		"durations as objects": {
			section: map[string]any{"frequency": map[string]any{"hours": 1, "minutes": 30}, "timeout": minutes},
			want:    service.Schedule{Frequency: service.Frequency{Every: 90 * time.Minute}, Timeout: 3 * time.Minute},
		},
		"durations as text": {
			section: map[string]any{"frequency": "PT30M", "timeout": "3 minutes", "initialDelay": "15s", "scope": "local"},
			want: service.Schedule{Frequency: service.Frequency{Every: 30 * time.Minute}, Timeout: 3 * time.Minute,
				InitialDelay: 15 * time.Second, Scope: service.TaskLocal},
		},
		"cron": {
			section: map[string]any{"frequency": map[string]any{"cron": "0 3 * * *"}, "timeout": minutes},
			want:    service.Schedule{Frequency: service.Frequency{Cron: "0 3 * * *"}, Timeout: 3 * time.Minute},
		},
		"manual": {
			section: map[string]any{"frequency": map[string]any{"trigger": "manual"}, "timeout": minutes},
			want:    service.Schedule{Frequency: service.Frequency{Manual: true}, Timeout: 3 * time.Minute},
		},
		"no frequency":           {section: map[string]any{"timeout": minutes}, err: "task.frequency"},
		"no timeout":             {section: map[string]any{"frequency": "5m"}, err: "task.timeout"},
		"a frequency of nothing": {section: map[string]any{"frequency": "0s", "timeout": minutes}, err: "task.frequency"},
		"a number":               {section: map[string]any{"frequency": 5, "timeout": minutes}, err: "unit"},
		"a misspelt unit":        {section: map[string]any{"frequency": map[string]any{"minuts": 5}, "timeout": minutes}, err: "minutes"},
		"a broken cron line": {
			section: map[string]any{"frequency": map[string]any{"cron": "every day"}, "timeout": minutes}, err: "five fields"},
		"a cron line that never fires": {
			section: map[string]any{"frequency": map[string]any{"cron": "0 0 30 2 *"}, "timeout": minutes}, err: "never fires"},
		"cron and a duration": {
			section: map[string]any{"frequency": map[string]any{"cron": "0 3 * * *", "minutes": 5}, "timeout": minutes}, err: "several"},
		"another trigger": {
			section: map[string]any{"frequency": map[string]any{"trigger": "always"}, "timeout": minutes}, err: "manual"},
		"another scope": {section: map[string]any{"frequency": "5m", "timeout": minutes, "scope": "planet"}, err: "global"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got service.Schedule
			err := config.Static(map[string]any{"task": c.section}).Decode("task", &got)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "task") {
					t.Fatalf("the error is %v, want one about %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
			if err := got.Task("refresh", func(context.Context) error { return nil }).Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}
