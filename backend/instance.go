package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/service"
)

// instance is the service.Instance: it keeps the states of the backend and of its plugins.
type instance struct {
	mu      sync.RWMutex
	began   time.Time
	root    service.Status
	plugins []*pluginState // ordered by id
}

type pluginState struct {
	status  service.Status // its modules are shared with whoever asked, and replaced as a whole
	began   time.Time
	started chan struct{} // closed when the plugin is no longer starting
}

func newInstance() *instance {
	return &instance{began: time.Now(), root: service.Status{State: service.StateStarting}}
}

// expect makes the plugins known, as starting.
func (i *instance) expect(plugins []*wiring.Plugin) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, pl := range plugins {
		s := &pluginState{began: time.Now(), started: make(chan struct{})}
		s.status = service.Status{ID: pl.ID(), State: service.StateStarting}
		for _, m := range pl.Modules {
			s.status.Modules = append(s.status.Modules, service.Status{ID: m.ID(), State: service.StateStarting})
		}
		slices.SortFunc(s.status.Modules, func(a, b service.Status) int { return strings.Compare(a.ID, b.ID) })
		i.plugins = append(i.plugins, s)
	}
}

func (i *instance) find(id string) *pluginState {
	n, ok := slices.BinarySearchFunc(i.plugins, id, func(s *pluginState, id string) int { return strings.Compare(s.status.ID, id) })
	if !ok {
		return nil
	}
	return i.plugins[n]
}

func outcome(s *service.Status, err error, took time.Duration) {
	s.State, s.Err, s.Duration = service.StateRunning, err, took
	if err != nil {
		s.State = service.StateFailed
	}
}

// setModule records how the start of a module went.
func (i *instance) setModule(pluginID, id string, err error, took time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.find(pluginID)
	s.status.Modules = slices.Clone(s.status.Modules)
	for n := range s.status.Modules {
		if s.status.Modules[n].ID == id {
			outcome(&s.status.Modules[n], err, took)
		}
	}
}

// setStarted records how the start of a plugin went.
func (i *instance) setStarted(id string, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.find(id)
	outcome(&s.status, err, time.Since(s.began))
	close(s.started)
}

// setRoot records how the start of the backend went.
func (i *instance) setRoot(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	outcome(&i.root, err, time.Since(i.began))
}

// setState sets the state of the backend, and that of the plugins that are running if they are meant too.
func (i *instance) setState(state service.State, plugins bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.root.State = state
	if !plugins {
		return
	}
	for _, s := range i.plugins {
		switch s.status.State {
		case service.StateFailed, service.StateStarting:
			continue
		}
		s.status.State = state
		s.status.Modules = slices.Clone(s.status.Modules)
		for n := range s.status.Modules {
			if s.status.Modules[n].State != service.StateFailed {
				s.status.Modules[n].State = state
			}
		}
	}
}

// Status implements service.Instance.
func (i *instance) Status() service.Status {
	i.mu.RLock()
	defer i.mu.RUnlock()
	s := i.root
	if s.State == service.StateStarting {
		s.Duration = time.Since(i.began)
	}
	return s
}

// Plugins implements service.Instance.
func (i *instance) Plugins() []service.Status {
	i.mu.RLock()
	defer i.mu.RUnlock()
	all := make([]service.Status, len(i.plugins))
	for n, s := range i.plugins {
		all[n] = s.snapshot()
	}
	return all
}

// Plugin implements service.Instance.
func (i *instance) Plugin(id string) (service.Status, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	s := i.find(id)
	if s == nil {
		return service.Status{}, false
	}
	return s.snapshot(), true
}

func (s *pluginState) snapshot() service.Status {
	status := s.status
	if status.State == service.StateStarting {
		status.Duration = time.Since(s.began)
	}
	return status
}

// Await implements service.Instance.
func (i *instance) Await(ctx context.Context, pluginID string) (service.State, error) {
	i.mu.RLock()
	s := i.find(pluginID)
	i.mu.RUnlock()
	if s == nil {
		return "", fmt.Errorf("there is no plugin %s in this backend", pluginID)
	}
	select {
	case <-s.started:
	case <-ctx.Done():
		return service.StateStarting, ctx.Err()
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	return s.status.State, nil
}
