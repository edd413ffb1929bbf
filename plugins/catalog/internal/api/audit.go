package api

import (
	"log/slog"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// audits are the events by which requests are recorded, by method and path of their routes: those of Backstage, and ones like them for what it
// lacks. What is not listed is not recorded by the API.
var audits = map[string]service.AuditEvent{
	"POST /refresh":                                mutation("entity-mutate", "refresh"),
	"GET /entities":                                fetch("entity-fetch", "all"),
	"GET /entities/by-query":                       fetch("entity-fetch", "by-query"),
	"POST /entities/by-query":                      fetch("entity-fetch", "by-query"),
	"POST /entities/by-refs":                       fetch("entity-fetch", "by-refs"),
	"GET /entities/by-uid/:uid":                    fetch("entity-fetch", "by-uid"),
	"DELETE /entities/by-uid/:uid":                 mutation("entity-mutate", "delete"),
	"GET /entities/by-name/" + named:               fetch("entity-fetch", "by-name"),
	"GET /entities/by-name/" + named + "/ancestry": fetch("entity-fetch", "ancestry"),
	"GET /entities/by-name/" + named + "/history":  fetch("entity-fetch", "history"),
	"GET /entity-facets":                           {ID: "entity-facets"},
	"POST /entity-facets":                          {ID: "entity-facets"},
	"POST /validate-entity":                        {ID: "entity-validate"},
	"POST /analyze-location":                       {ID: "location-analyze"},
	"POST /locations":                              mutation("location-mutate", "create"),
	"GET /locations":                               fetch("location-fetch", "all"),
	"POST /locations/by-query":                     fetch("location-fetch", "by-query"),
	"GET /locations/:id":                           fetch("location-fetch", "by-id"),
	"PUT /locations/:id":                           mutation("location-mutate", "update"),
	"DELETE /locations/:id":                        mutation("location-mutate", "delete"),
	"GET /locations/by-entity/" + named:            fetch("location-fetch", "by-entity"),
}

const named = ":kind/:namespace/:name"

func fetch(id, queryType string) service.AuditEvent {
	return service.AuditEvent{ID: id, Meta: []slog.Attr{slog.String("queryType", queryType)}}
}

func mutation(id, actionType string) service.AuditEvent {
	return service.AuditEvent{ID: id, Severity: service.SeverityMedium, Meta: []slog.Attr{slog.String("actionType", actionType)}}
}

// Audited is a part of the router whose requests are recorded, with what their paths name. What the [Router] refuses has done nothing and isn't.
func Audited(router Router, auditor service.Auditor) Router {
	return Router{router.Group.Group("", func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			event, ok := audits[c.Request().Method+" "+route(c)]
			if !ok {
				return next(c)
			}
			event.Request = c.Request()
			if parameters(c).Bool("dryRun") {
				event.Severity = service.SeverityLow
			}
			for i, name := range c.ParamNames() {
				event.Meta = append(event.Meta[:len(event.Meta):len(event.Meta)], slog.String(name, c.ParamValues()[i]))
			}
			ctx := c.Request().Context()
			audited, err := auditor.Event(ctx, event)
			if err != nil {
				return err
			}
			if err := next(c); err != nil {
				audited.Fail(ctx, err)
				return err
			}
			audited.Succeed(ctx)
			return nil
		}
	})}
}
