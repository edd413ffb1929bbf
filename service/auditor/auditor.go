package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

// Dependencies are what an auditor asks for.
type Dependencies struct {
	fx.In

	Metadata plugin.Metadata
	Log      *slog.Logger
	Auth     service.Auth
	HTTPAuth service.HTTPAuth
	Server   *httprouter.Server
}

// Recorder keeps an entry. It is called by several goroutines at once, and must not change the entry. An error keeps an event from
// beginning; where one ends, it is logged.
type Recorder func(context.Context, Entry) error

// New returns a service.Auditor for one plugin that has its entries kept by the recorder.
func New(d Dependencies, record Recorder) service.Auditor {
	return &auditor{Dependencies: d, record: record}
}

type auditor struct {
	Dependencies
	record Recorder
}

var severities = []service.AuditSeverity{service.SeverityLow, service.SeverityMedium, service.SeverityHigh, service.SeverityCritical}

// Event implements service.Auditor.
func (a *auditor) Event(ctx context.Context, e service.AuditEvent) (service.AuditedEvent, error) {
	if e.Severity == "" {
		e.Severity = service.SeverityLow
	}
	switch {
	case e.ID == "":
		return nil, errors.New("auditor: an event needs an ID")
	case !slices.Contains(severities, e.Severity):
		return nil, fmt.Errorf("auditor: event %s has the severity %q; there are %v", e.ID, e.Severity, severities)
	}
	entry := Entry{Plugin: a.Metadata.ID, EventID: e.ID, Severity: e.Severity, Status: StatusInitiated, Meta: object(e.Meta)}
	who, err := a.actor(ctx, e.Request)
	if err != nil {
		return nil, fmt.Errorf("auditor: who does %s: %w", e.ID, err)
	}
	entry.Actor.ActorID = who.Subject
	if e.Request != nil {
		info := a.Server.RequestInfo(e.Request)
		entry.Actor.IP, entry.Actor.Hostname, entry.Actor.UserAgent = info.ClientIP, info.Hostname, info.UserAgent
		entry.Request = &Request{URL: info.URL, Method: info.Method}
	}
	if err := a.record(ctx, entry); err != nil {
		return nil, fmt.Errorf("auditor: recording that %s begins: %w", e.ID, err)
	}
	return &event{auditor: a, begin: entry}, nil
}

func (a *auditor) actor(ctx context.Context, r *http.Request) (service.Credentials, error) {
	if r != nil {
		return a.HTTPAuth.Credentials(r, service.AllowUser, service.AllowLimitedUser, service.AllowService, service.AllowNone)
	}
	if who, ok := service.ActsFor(ctx); ok {
		return who, nil
	}
	return a.Auth.OwnCredentials(), nil
}

// event is one that has begun.
type event struct {
	auditor *auditor
	begin   Entry
	ended   atomic.Bool
}

// Succeed implements service.AuditedEvent.
func (e *event) Succeed(ctx context.Context, meta ...slog.Attr) {
	e.end(ctx, StatusSucceeded, nil, meta)
}

// Fail implements service.AuditedEvent.
func (e *event) Fail(ctx context.Context, err error, meta ...slog.Attr) {
	e.end(ctx, StatusFailed, err, meta)
}

func (e *event) end(ctx context.Context, status Status, reason error, meta []slog.Attr) {
	if e.ended.Swap(true) {
		return
	}
	entry := e.begin
	entry.Status, entry.Err = status, reason
	if len(meta) > 0 {
		entry.Meta = maps.Clone(entry.Meta)
		if entry.Meta == nil {
			entry.Meta = map[string]any{}
		}
		maps.Copy(entry.Meta, object(meta))
	}
	// Requests may end, with their contexts, before what they have begun.
	if err := e.auditor.record(context.WithoutCancel(ctx), entry); err != nil {
		e.auditor.Log.ErrorContext(ctx, "An audit event was not recorded", "eventId", entry.EventID, "status", string(status), "error", err)
	}
}
