package service

import (
	"context"
	"log/slog"
	"net/http"
)

// Auditor records who does what, for those who have to account for it: Backstage's core.auditor. Safe for concurrent use.
//
//	event, err := auditor.Event(ctx, service.AuditEvent{ID: "entity-delete", Severity: service.SeverityMedium, Request: r})
//	if err != nil {
//		return err
//	}
//	if err := catalog.delete(ctx, ref); err != nil {
//		event.Fail(ctx, err)
//		return err
//	}
//	event.Succeed(ctx, slog.String("entityRef", ref))
type Auditor interface {
	// Event records that something has been initiated, and returns what its end is recorded with. Who does it is whose request it is;
	// without a request, on whose behalf ctx acts (see [OnBehalfOf]), or else the plugin itself. An incomplete event is an error, as
	// is one that can't be recorded; credentials of the request that are not valid are an AuthenticationError. What is not recorded
	// should not be done.
	Event(ctx context.Context, event AuditEvent) (AuditedEvent, error)
}

// AuditEvent is something that somebody does.
type AuditEvent struct {
	// ID names what is done, in kebab-case and without the plugin, which is recorded beside it ("entity-fetch"). What is done in
	// several ways is one event with, by convention, its way as queryType of Meta ("by-id"). Required.
	ID string
	// Severity is how much the event matters. The default is SeverityLow.
	Severity AuditSeverity
	// Request is the request by which it is done, if there is one. Its address, browser, URL and method are recorded, no other
	// header and nothing of its body; secrets in the query are hidden.
	Request *http.Request
	// Meta tells more. It is recorded as it is, except for secrets of the configuration and values that hide themselves, such as [Token].
	Meta []slog.Attr
}

// AuditedEvent is an event that has been initiated. Of several calls of its methods only the first one counts. Safe for concurrent use.
type AuditedEvent interface {
	// Succeed records that it has been done. Of attributes with one name, those of meta replace those of the event.
	Succeed(ctx context.Context, meta ...slog.Attr)
	// Fail records that it has not been done, and why. Meta is as for Succeed.
	Fail(ctx context.Context, err error, meta ...slog.Attr)
}

// AuditSeverity tells how much an event matters.
type AuditSeverity string

// The severities of events, with what Backstage means by them.
const (
	// SeverityLow is for what happens all the time, such as reading.
	SeverityLow AuditSeverity = "low"
	// SeverityMedium is for changes of little consequence.
	SeverityMedium AuditSeverity = "medium"
	// SeverityHigh is for changes of permissions, or of what is hard to undo.
	SeverityHigh AuditSeverity = "high"
	// SeverityCritical is for what endangers the portal or its data.
	SeverityCritical AuditSeverity = "critical"
)
