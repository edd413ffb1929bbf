package auditor

import (
	"log/slog"

	"github.com/portico-dev/portico/service"
)

// Entry is what is recorded of an event, once when it begins and once when it ends.
type Entry struct {
	Plugin   string                `json:"plugin"`
	EventID  string                `json:"eventId"`
	Severity service.AuditSeverity `json:"severityLevel"`
	Actor    Actor                 `json:"actor"`
	// Request is nil for events without one.
	Request *Request       `json:"request,omitempty"`
	Meta    map[string]any `json:"meta,omitempty"`
	Status  Status         `json:"status"`
	// Err is why the event has failed, and nil otherwise.
	Err error `json:"-"`
}

// Actor is who does something. What is not known is empty.
type Actor struct {
	// ActorID is the entity ref of a user, or the name of a service ("plugin:catalog").
	ActorID   string `json:"actorId,omitempty"`
	IP        string `json:"ip,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
}

// Request is by which request something is done.
type Request struct {
	URL    string `json:"url"`
	Method string `json:"method"`
}

// Status is how far an event is.
type Status string

// The statuses of events.
const (
	StatusInitiated Status = "initiated"
	StatusSucceeded Status = "succeeded"
	StatusFailed    Status = "failed"
)

// attrs are the entry as attributes of a log record, except for the plugin.
func (e Entry) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs, slog.String("eventId", e.EventID), slog.String("severityLevel", string(e.Severity)),
		group("actor", "actorId", e.Actor.ActorID, "ip", e.Actor.IP, "hostname", e.Actor.Hostname, "userAgent", e.Actor.UserAgent))
	if e.Request != nil {
		attrs = append(attrs, group("request", "url", e.Request.URL, "method", e.Request.Method))
	}
	if len(e.Meta) > 0 {
		attrs = append(attrs, slog.Any("meta", e.Meta))
	}
	attrs = append(attrs, slog.String("status", string(e.Status)))
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	return attrs
}

// group is a group of the texts that are not empty, each behind its name.
func group(name string, namesAndTexts ...string) slog.Attr {
	members := make([]slog.Attr, 0, len(namesAndTexts)/2)
	for i := 0; i < len(namesAndTexts); i += 2 {
		if text := namesAndTexts[i+1]; text != "" {
			members = append(members, slog.String(namesAndTexts[i], text))
		}
	}
	return slog.GroupAttrs(name, members...)
}

// object are attributes as a JSON object, of which groups are members. It is nil without any.
func object(attrs []slog.Attr) map[string]any {
	var members map[string]any
	for _, a := range attrs {
		if a.Equal(slog.Attr{}) {
			continue
		}
		v := a.Value.Resolve()
		value := v.Any()
		if v.Kind() == slog.KindGroup {
			value = object(v.Group())
		} else if err, ok := value.(error); ok {
			value = err.Error()
		}
		if members == nil {
			members = make(map[string]any, len(attrs))
		}
		members[a.Key] = value
	}
	return members
}
