// Package httprouter serves the HTTP routes of a backend and of its plugins: one listener, one chain of middleware, and a part of its
// own for each plugin below /api/<plugin>.
//
// It provides three services. [*Server] listens, from the start of the backend to the end of its stop. *echo.Echo has the routes of the
// backend itself; one that is added with service.Root replaces it and may bring its own middleware, which then sees all requests. And
// each plugin gets an *echo.Group, with service.AuthPolicies to open routes of it.
//
// # A request
//
// At the root: security headers → CORS → compression → request log → rate limit → health routes → routes of *echo.Echo → plugins →
// plugin app, if there is one, for all other paths outside /api → 404 without a body. In a plugin: rate limit of the plugin → routes
// given to [Server.Handle] → wait for the start of the plugin → credentials → routes of the *echo.Group.
//
// A request to a plugin that is starting waits for `backend.lifecycle.startupRequestPauseTimeout` (5 seconds), and is then refused with
// status 503; so are requests to plugins that have failed or are stopping. Every route of a plugin needs credentials of a user or a
// service, unless service.AuthPolicies says otherwise.
//
// # Errors
//
// What a handler returns as its error becomes the answer, in Backstage's form:
//
//	{"error":{"name":"NotFoundError","message":"…"},"request":{"method":"GET","url":"/items/1"},"response":{"statusCode":404}}
//
// Errors of package service say for themselves what is told. An *echo.HTTPError is named after its status. echo.ErrNotFound and
// echo.ErrMethodNotAllowed, which echo returns when no route matches, give status 404 without a body, as there. A route for all other
// paths tells more with an error of package service that echo.ErrNotFound is the cause of. Everything else, a panic included, is an
// internal error: status 500 with the id of the log entry that tells more. 5xx are logged.
//
// A route serves its path with and without a slash at the end, and one for GET serves HEAD.
//
// # Limits
//
// Hostile or broken clients are cut: see [MaxHeaderBytes], [MaxBodyBytes], [BodyLimit] and the keys below `backend.server`:
//
//	headersTimeout        the time for the headers of a request; 60 s
//	requestTimeout        the time for the body of a request; 300 s
//	keepAliveTimeout      the time that a connection without a request stays open; 65 s, above that of common load balancers
//	timeout               the time that a client may take none of the answer; 60 s
//	maxHeadersCount       headers of a request; 2000
//	maxRequestsPerSocket  requests after which a connection is closed; no limit
//
// A duration is a number of milliseconds or has a unit; zero is no limit.
//
// # HTTPS
//
// With `backend.https.certificate` the server speaks HTTPS and HTTP/2, and follows changes of the certificate without a restart. With
// `backend.https: true` it makes a certificate of its own for each run.
//
// # What differs from Backstage
//
// Messages of errors that nobody meant for clients are not told, not only those of databases. Paths are matched with their case. The
// request log hides values of query parameters that carry secrets, and counts bytes of bodies as sent. A certificate that was generated
// is not kept. Bodies are compressed with gzip only, and not if they are flushed before they are long enough or are events.
package httprouter
