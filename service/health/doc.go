// Package health tells from outside whether a backend lives and whether it is ready for requests.
//
// The answers are those of Backstage: GET /.backstage/health/v1/liveness is 200 as long as the process serves at all, GET
// /.backstage/health/v1/readiness is 200 while the backend runs and all readiness checks pass, and 503 before that, after that and
// while a check fails. Neither needs credentials.
//
//	checks.AddCheck("database", db.PingContext)
//
// Plugins and root services add checks through service.Health; root services ask for [*Health] itself. Headers that every answer
// carries, to tell this backend from others, are configured at `backend.health.headers`.
package health
