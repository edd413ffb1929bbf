package service

import "context"

// Health lets plugins and root services take part in the readiness of the backend (/.backstage/health/v1/readiness). Safe for
// concurrent use.
type Health interface {
	// AddCheck adds a readiness check. The name says what is checked ("database"); it appears in the log and in the answer, next to the
	// plugin, when the check fails. The check must return soon after its context ends; its error is logged, not answered.
	AddCheck(name string, check func(context.Context) error)
}
