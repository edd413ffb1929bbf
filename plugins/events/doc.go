// Package events is the events plugin: it takes events from outside by HTTP, as webhooks send them, and publishes them to the events service.
// It is the ingress of Backstage's plugin-events-backend 0.6, with its configuration.
//
//	backend.Main(events.Plugin(), github.Module(), gitlab.Module(), …)
//
// # Ingress
//
//	POST /api/events/http/<topic>
//
// publishes the body as an event of the topic, whose metadata are the headers of the request, and answers 202 and {"status":"accepted"} when
// all subscribers of this process have been told and the event is stored for the others. The routes are open to anybody: a topic belongs to a
// module that can tell who sends a request (see [HTTPPostIngress]), as those in the folders below do for GitHub, GitLab and Azure DevOps.
// The configuration can open more topics, without any such check:
//
//	events:
//	  http:
//	    topics: [bitbucketCloud]
//
// Bodies are JSON of up to 5 MiB; modules can add parsers for other types of content.
//
// # Differences from Backstage
//
// Headers that carry credentials (Authorization, Cookie, and secrets that a module has checked) are not in the metadata, which is stored with the
// event. JSON that is malformed and a missing Content-Type are the sender's fault: 400, not 500. There is no event bus for backends of
// Node: the routes below /api/events/bus are not there, so that their events stay with them (events.useEventBus: auto takes that as an answer).
package events
