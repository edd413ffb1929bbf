// Package auth is the default service.HTTPAuth: it tells who makes a request.
//
// No route is open by accident: a request without credentials reaches only routes that their plugin opened with
// service.AuthPolicies, unless the configuration switches that rule off with backend.auth.dangerouslyDisableDefaultAuthPolicy. This
// package knows no issuer of tokens yet, so that a token, whatever it says, is refused.
package auth
