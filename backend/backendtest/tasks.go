package backendtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

// tasks are the tasks of all plugins.
type tasks struct {
	mu   sync.Mutex
	byID map[string]*task // by <plugin>/<task>
}

type task struct {
	service.Task
	running sync.Mutex
}

// scheduler is the service.Scheduler of tests. Tasks run by the clock of the backend, global ones too.
func (b *Backend) scheduler(d scheduler.Dependencies) (service.Scheduler, error) {
	s, err := scheduler.InProcess(d)
	return &testScheduler{Scheduler: s, pluginID: d.Metadata.ID, tasks: &b.tasks}, err
}

type testScheduler struct {
	*scheduler.Scheduler
	pluginID string
	tasks    *tasks
}

// Schedule implements service.Scheduler.
func (s *testScheduler) Schedule(scheduled service.Task) error {
	known := &task{Task: scheduled}
	if scheduled.Run != nil {
		scheduled.Run = known.run
	}
	if err := s.Scheduler.Schedule(scheduled); err != nil {
		return err
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if s.tasks.byID == nil {
		s.tasks.byID = map[string]*task{}
	}
	s.tasks.byID[s.pluginID+"/"+scheduled.ID] = known
	return nil
}

func (t *task) run(ctx context.Context) error {
	t.running.Lock()
	defer t.running.Unlock()
	return t.Run(ctx)
}

// RunTask runs a task of a plugin, whenever it may be due, and returns its error. If the task is running already, it waits for the end of
// that run first. The test fails at once if the plugin has no such task.
func (b *Backend) RunTask(t testing.TB, pluginID, taskID string) error {
	t.Helper()
	b.tasks.mu.Lock()
	known, ok := b.tasks.byID[pluginID+"/"+taskID]
	ids := slices.Sorted(maps.Keys(b.tasks.byID))
	b.tasks.mu.Unlock()
	if !ok {
		t.Fatalf("there is no task %s of plugin %s; the tasks are: %s", taskID, pluginID, strings.Join(ids, ", "))
	}
	return known.run(t.Context())
}
