// Package webhook tells others of changes by calling them, in the form of https://www.standardwebhooks.com: each request has the headers
// webhook-id, webhook-timestamp and webhook-signature, by which the receiver knows who sends it, and that it is not an old one.
//
// A webhook is called with one page of changes after the other, in their order. It has got one when it answers with a status from 200 to
// 299; otherwise it is called again, after pauses that grow to an hour, or those that it asks for with Retry-After. How far it has got is in
// the database: nothing is lost if a replica dies, but what it has got last may come again. One that has failed for five days, or that
// answers 410, is disabled, which is logged as an error and shown with its state until somebody enables it.
package webhook
