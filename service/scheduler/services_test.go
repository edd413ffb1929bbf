package scheduler_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// todo is a plugin with tasks.
func todo(tasks ...service.Task) plugin.Plugin {
	return plugin.New("todo", plugin.Init(func(s service.Scheduler, policies service.AuthPolicies) error {
		policies.AllowUnauthenticated("/")
		for _, task := range tasks {
			if err := s.Schedule(task); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestTasksFollowTheClockOfTests(t *testing.T) {
	t.Parallel()
	task, ran := ticks("clean", time.Hour)
	b := backendtest.Start(t, todo(task))
	receive(t, "the first run", ran)
	for range 3 {
		if err := b.Clock.BlockUntilContext(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		b.Clock.Advance(time.Hour)
		receive(t, "the next run", ran)
	}
	if err := b.RunTask(t, "todo", "clean"); err != nil {
		t.Error(err)
	}
	receive(t, "the run of the test", ran)
}

func TestRunTaskReturnsTheError(t *testing.T) {
	t.Parallel()
	broken := errors.New("the broom is broken")
	b := backendtest.Start(t, todo(service.Task{ID: "clean", Manual: true, Run: func(context.Context) error { return broken }}))
	if err := b.RunTask(t, "todo", "clean"); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	task, ran := ticks("clean", time.Hour)
	task.Every, task.Manual = 0, true
	b := backendtest.Start(t, todo(task))
	const path = "/api/todo/.backstage/scheduler/v1/tasks"
	user, anonymous := b.As(t, "user:default/guest"), b.Anonymous(t)
	for _, c := range []struct {
		client *backendtest.Client
		method string
		path   string
		want   int
	}{
		{user, http.MethodGet, path, http.StatusOK},
		{b.AsService(t, "plugin:devtools"), http.MethodGet, path, http.StatusOK},
		{anonymous, http.MethodGet, path, http.StatusUnauthorized}, // although the plugin has opened its routes
		{anonymous, http.MethodPost, path + "/clean/trigger", http.StatusUnauthorized},
		{user, http.MethodPost, path + "/clean/cancel", http.StatusConflict},
		{user, http.MethodPost, path + "/absent/trigger", http.StatusNotFound},
		{user, http.MethodPost, path + "/absent/cancel", http.StatusNotFound},
		{user, http.MethodPost, path + "/clean/trigger", http.StatusOK},
	} {
		if got := c.client.Do(c.method, c.path, nil).StatusCode; got != c.want {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, got, c.want)
		}
	}
	receive(t, "the run", ran)
}

// TestOddIDs has ids that mean something in URLs.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	ran := make(chan string, 1)
	paths := map[string]string{"100%": "100%25", "a%2Fb": "a%252Fb", "a/b": "a%2Fb", "a b": "a%20b", "a+b": "a+b", "ü.1": "%C3%BC%2E1"}
	var tasks []service.Task
	for id := range paths {
		tasks = append(tasks, service.Task{ID: id, Manual: true, Scope: service.TaskLocal, Run: func(context.Context) error {
			ran <- id
			return nil
		}})
	}
	user := backendtest.Start(t, todo(tasks...)).As(t, "user:default/guest")
	for id, path := range paths {
		if res := user.Post("/api/todo/.backstage/scheduler/v1/tasks/"+path+"/trigger", nil); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", id, res.Status)
			continue
		}
		if got := receive(t, "the run of "+id, ran); got != id {
			t.Errorf("%s has run, want %s", got, id)
		}
	}
}

func TestTheConfigurationOverridesSchedules(t *testing.T) {
	t.Parallel()
	override := func(values map[string]any) backend.Feature {
		return backendtest.Config(map[string]any{"backend": map[string]any{"scheduler": map[string]any{"tasks": map[string]any{"todo": values}}}})
	}
	task, _ := ticks("clean", time.Hour)
	b := backendtest.Start(t, todo(task), override(map[string]any{
		"clean": map[string]any{"frequency": map[string]any{"cron": "0 3 * * *"}, "timeout": map[string]any{"minutes": 5}, "scope": "local"},
		"claen": map[string]any{"timeout": "5m"},
	}))
	type list struct {
		Tasks []struct {
			Scope    string
			Settings map[string]any
		}
	}
	got := backendtest.JSON[list](t, b.As(t, "user:default/guest").Get("/api/todo/.backstage/scheduler/v1/tasks"))
	if s := got.Tasks[0]; s.Scope != "local" || s.Settings["cadence"] != "0 3 * * *" || s.Settings["timeoutAfterDuration"] != "PT5M" {
		t.Errorf("the task is %v", s)
	}
	if !strings.Contains(b.Log.String(), "claen") {
		t.Error("nothing is logged about an override of a task that isn't there")
	}
	_, err := backendtest.TryStart(t, todo(task), override(map[string]any{"clean": map[string]any{"frequency": map[string]any{"cron": "0 0 30 2 *"}}}))
	if err == nil || !strings.Contains(err.Error(), "backend.scheduler.tasks.todo.clean.frequency") {
		t.Errorf("the error is %v, want one that names the key", err)
	}
}

// start a backend as a program does, with the services that it has by default.
func startProgram(t *testing.T, features ...backend.Feature) {
	t.Helper()
	b := backend.New(backend.Options{Config: config.Options{Dir: t.TempDir(), Overrides: map[string]any{"backend": map[string]any{
		"listen":   map[string]any{"host": "127.0.0.1", "port": 0},
		"database": map[string]any{"client": "better-sqlite3", "connection": ":memory:"},
	}}}})
	b.Add(features...)
	t.Cleanup(func() {
		if err := b.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestGlobalTasksUseTheDatabaseOfThePlugin(t *testing.T) {
	t.Parallel()
	task, ran := ticks("clean", time.Hour)
	tables := func(db *bun.DB) (n int, err error) {
		return n, db.NewRaw("SELECT count(*) FROM portico_scheduler_tasks").Scan(t.Context(), &n)
	}
	t.Run("by default", func(t *testing.T) {
		var manager *database.Manager
		startProgram(t, todo(task), plugin.New("look", plugin.Init(func(m *database.Manager) { manager = m })))
		receive(t, "the run", ran)
		db, err := manager.Open(t.Context(), "todo")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := tables(db); err != nil || n != 1 {
			t.Errorf("%d tasks in the database of the plugin, %v", n, err)
		}
	})
	t.Run("of an adopter", func(t *testing.T) {
		var own *bun.DB
		open := func(ctx context.Context, m *database.Manager) (*bun.DB, error) {
			db, err := m.Open(ctx, "own")
			own = db
			return db, err
		}
		startProgram(t, todo(task), service.PerPlugin[*bun.DB](open))
		receive(t, "the run", ran)
		if n, err := tables(own); err != nil || n != 1 {
			t.Errorf("%d tasks in the adopter's database, %v", n, err)
		}
	})
}
