package scheduler

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// AddRoutes adds the routes by which tasks are listed, triggered and cancelled. They are for users and services, also where the plugin has
// opened everything below its routes; unless auth is nil. The group is one of package httprouter, which decodes parameters.
func (s *Scheduler) AddRoutes(routes *echo.Group, auth service.HTTPAuth) {
	g := routes.Group("/.backstage/scheduler/v1/tasks", func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if auth != nil {
				if _, err := auth.Credentials(c.Request(), service.AllowUser, service.AllowService); err != nil {
					return err
				}
			}
			return next(c)
		}
	})
	g.GET("", s.list)
	g.POST("/:id/trigger", onTask(s.Trigger))
	g.POST("/:id/cancel", onTask(s.Cancel))
}

func onTask(do func(ctx context.Context, id string) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := do(c.Request().Context(), c.Param("id")); err != nil {
			return err
		}
		return c.NoContent(http.StatusOK)
	}
}

// The answer, with the names of Backstage.
type taskList struct {
	Tasks []listedTask `json:"tasks"`
}

type listedTask struct {
	TaskID      string            `json:"taskId"`
	PluginID    string            `json:"pluginId"`
	Scope       service.TaskScope `json:"scope"`
	Settings    settings          `json:"settings"`
	TaskState   *taskState        `json:"taskState"`
	WorkerState *workerState      `json:"workerState"`
}

type taskState struct {
	Status         string `json:"status"` // idle or running
	StartedAt      string `json:"startedAt,omitempty"`
	TimesOutAt     string `json:"timesOutAt,omitempty"`
	StartsAt       string `json:"startsAt,omitempty"`
	LastRunEndedAt string `json:"lastRunEndedAt,omitempty"`
	LastRunError   string `json:"lastRunError,omitempty"` // JSON
}

func (s *taskState) running(began time.Time, timeout time.Duration) {
	s.Status, s.StartedAt = "running", isoTime(began)
	if timeout > 0 {
		s.TimesOutAt = isoTime(began.Add(timeout))
	}
}

type workerState struct {
	Status workerStatus `json:"status"`
}

func (s *Scheduler) list(c echo.Context) error {
	s.mu.Lock()
	tasks, global := s.tasks[:len(s.tasks):len(s.tasks)], s.global
	s.mu.Unlock()
	var states map[string]*taskState
	if global != nil {
		var err error
		if states, err = global.states(c.Request().Context()); err != nil {
			return err
		}
	}
	answer := taskList{Tasks: make([]listedTask, len(tasks))}
	for n, t := range tasks {
		listed := &answer.Tasks[n]
		*listed = listedTask{TaskID: t.ID, PluginID: s.options.PluginID, Scope: t.Scope, Settings: t.settings, TaskState: states[t.ID]}
		worker, err := s.worker(t.ID)
		if err != nil {
			continue
		}
		listed.WorkerState = &workerState{Status: worker.status()}
		if l, ok := worker.(*local); ok {
			listed.TaskState = l.state()
		}
	}
	return c.JSON(http.StatusOK, answer)
}

func isoTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// errorJSON is an error as Backstage writes it.
func errorJSON(err error) string {
	text, _ := json.Marshal(struct { // strings can always be encoded
		Name    string `json:"name"`
		Message string `json:"message"`
	}{Name: "Error", Message: err.Error()})
	return string(text)
}
