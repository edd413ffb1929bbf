// Package auditor records what is done by whom in the log of the backend, or elsewhere: it implements service.Auditor.
//
// An event is two entries, when it begins and when it ends, with the fields of Backstage's audit log:
//
//	{
//	  "timestamp": "…", "level": "info", "message": "catalog.entity-delete", "service": "backstage", "plugin": "catalog",
//	  "isAuditEvent": true, "eventId": "entity-delete", "severityLevel": "medium", "status": "succeeded",
//	  "actor": {"actorId": "user:default/guest", "ip": "192.0.2.7", "hostname": "portal.example.com", "userAgent": "…"},
//	  "request": {"url": "/api/catalog/entities/by-uid/…", "method": "DELETE"},
//	  "meta": {"entityRef": "component:default/shop"}
//	}
//
// The status is initiated, succeeded or failed. A failed event has the error as field error, and behind the message.
//
// # Configuration
//
// `backend.auditor.severityLogLevelMappings` is at which level of the log the severities low, medium, high and critical are: debug, info,
// warn or error. Low is debug unless it is set, and so not in the log; the others are info.
//
// # Keeping entries elsewhere
//
// A portal that keeps its audit log elsewhere adds a service.Auditor made by [New]:
//
//	backend.Main(…, service.PerPlugin[service.Auditor](func(d auditor.Dependencies, archive *Archive) service.Auditor {
//		return auditor.New(d, archive.Store)
//	}))
//
// # What differs from Backstage
//
// Users are recognized by their cookie too. Credentials are looked at once, when the event begins. Secrets in the query of the URL are
// hidden. An event without a request that is done on somebody's behalf has them as actor, not the plugin.
package auditor
