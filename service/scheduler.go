package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portico-dev/portico/service/internal/cron"
)

// Scheduler runs recurring work of a plugin: Backstage's core.scheduler. Safe for concurrent use.
type Scheduler interface {
	// Schedule adds a task. It starts when the plugin has started, its start-up hooks included, or at once if it has already. An incomplete
	// task and one whose id the plugin has used already are errors.
	Schedule(task Task) error
	// Trigger has a task run now, besides its frequency: a global one on any replica. It doesn't wait for the run. An unknown task is a
	// NotFoundError, one that is running a ConflictError.
	Trigger(ctx context.Context, id string) error
	// Cancel ends the context of the present run of a task, on whatever replica that is. It doesn't wait for the end of the run; until
	// then the task isn't run again. An unknown task is a NotFoundError, one that isn't running a ConflictError.
	Cancel(ctx context.Context, id string) error
}

// Task is a piece of recurring work. One of Every, Cron and Manual tells when it runs.
type Task struct {
	// ID names the task; it is unique within the plugin. Required, at most 255 characters.
	ID string
	// Every is the time from the beginning of one run to the beginning of the next, at least one millisecond. A run that takes longer
	// delays the next one.
	Every time.Duration
	// Cron is a cron line: minute, hour, day of the month, month, day of the week, optionally with the second before them; or one of
	// @secondly, @minutely, @hourly, @daily, @weekdays, @weekends, @weekly, @monthly and @yearly. The time zone is that of the process.
	// Times that pass during a run are left out.
	Cron string
	// Manual is for tasks that run only when they are triggered.
	Manual bool
	// InitialDelay is the time before the first run, and before this replica takes part in running a global task. Without it, the first
	// run is at once, or at the first time of Cron.
	InitialDelay time.Duration
	// Timeout ends the context of a run that takes longer. Zero means no limit.
	Timeout time.Duration
	// Scope tells whether replicas share the task. The default is TaskGlobal.
	Scope TaskScope
	// Run does the work; runs of one task never overlap. It must return soon after its context ends, which it does on shutdown too. An
	// error is logged, as is a panic; the task goes on. Required.
	Run func(context.Context) error
}

// TaskScope tells which replicas of a backend run a task.
type TaskScope string

// The scopes of tasks.
const (
	// TaskGlobal is the scope of tasks of which each run is on one of the replicas, which agree through the plugin's database. A run that
	// dies with its replica is taken over by another one soon after.
	TaskGlobal TaskScope = "global"
	// TaskLocal is the scope of tasks that run on every replica. They need no database.
	TaskLocal TaskScope = "local"
)

// Validate tells what is wrong with the task.
func (t Task) Validate() error {
	switch {
	case strings.TrimSpace(t.ID) == "":
		return errors.New("a task needs an ID")
	case len(t.ID) > 255:
		return fmt.Errorf("task %s… has an ID of more than 255 characters", t.ID[:40])
	case t.Run == nil:
		return fmt.Errorf("task %s needs a Run function", t.ID)
	case t.InitialDelay < 0 || t.Timeout < 0:
		return fmt.Errorf("task %s has a negative InitialDelay or Timeout", t.ID)
	case t.Scope != "" && t.Scope != TaskGlobal && t.Scope != TaskLocal:
		return fmt.Errorf("task %s has the scope %q; there are %s and %s", t.ID, t.Scope, TaskGlobal, TaskLocal)
	}
	if err := (Frequency{Every: t.Every, Cron: t.Cron, Manual: t.Manual}).validate(); err != nil {
		return fmt.Errorf("task %s: %w", t.ID, err)
	}
	return nil
}

// Schedule is when a task runs, as it stands in the configuration; it is a type to decode into. The keys are Backstage's:
//
//	schedule:
//	  frequency: { minutes: 30 }     # or PT30M, 30m, { cron: '0 3 * * *' }, { trigger: manual }
//	  timeout: { minutes: 3 }
//	  initialDelay: 15s              # optional
//	  scope: global                  # or local; optional
type Schedule struct {
	Frequency    Frequency     `config:"frequency" schema:"required" doc:"How often the task runs: a duration, {cron: …} or {trigger: manual}."`
	Timeout      time.Duration `config:"timeout" schema:"required" doc:"How long a run may take."`
	InitialDelay time.Duration `config:"initialDelay" doc:"How long after the start the first run is."`
	Scope        TaskScope     `config:"scope" schema:"enum=global|local" doc:"Whether one replica runs the task (global, the default) or each (local)."`
}

// Task is a task with this schedule.
func (s Schedule) Task(id string, run func(context.Context) error) Task {
	return Task{
		ID: id, Every: s.Frequency.Every, Cron: s.Frequency.Cron, Manual: s.Frequency.Manual,
		InitialDelay: s.InitialDelay, Timeout: s.Timeout, Scope: s.Scope, Run: run,
	}
}

// Frequency is how often a task runs. One of the fields is set; they are those of [Task].
type Frequency struct {
	Every  time.Duration
	Cron   string
	Manual bool
}

// UnmarshalConfig reads a duration in any of its forms, {cron: '0 3 * * *'} or {trigger: manual}.
func (f *Frequency) UnmarshalConfig(decode func(dst any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	object, _ := value.(map[string]any)
	_, isCron := object["cron"]
	_, isTrigger := object["trigger"]
	var read Frequency
	switch {
	case (isCron || isTrigger) && len(object) > 1:
		return errors.New("is a duration, {cron: …} or {trigger: manual}, and not several of them")
	case isCron:
		var c struct {
			Cron string `schema:"required"`
		}
		if err := decode(&c); err != nil {
			return err
		}
		read.Cron = c.Cron
	case isTrigger:
		var t struct {
			Trigger string `schema:"required,enum=manual"`
		}
		if err := decode(&t); err != nil {
			return err
		}
		read.Manual = true
	default:
		if err := decode(&read.Every); err != nil {
			return err
		}
	}
	if err := read.validate(); err != nil {
		return err
	}
	*f = read
	return nil
}

func (f Frequency) validate() error {
	set := 0
	for _, is := range []bool{f.Every != 0, f.Cron != "", f.Manual} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("needs one of Every, Cron and Manual to tell when it runs")
	case f.Cron != "":
		_, err := cron.Parse(f.Cron)
		return err
	case !f.Manual && f.Every < time.Millisecond:
		return fmt.Errorf("the time between runs must be at least 1ms, not %s", f.Every)
	}
	return nil
}
