// Package events is the default service.Events: it passes events between plugins, and between the replicas of a backend.
//
// Within a process, events are passed by function calls. To other replicas, and to durable subscriptions, they go through a log in the
// database of the plugin id "events", which is opened when somebody first publishes or subscribes. Others hear of new events by
// LISTEN and NOTIFY on PostgreSQL, and look for them several times a second on MySQL. On SQLite there are no other replicas, and only what
// durable subscriptions ask for is stored.
//
// # The log
//
// Each event has the next higher number. A counter row, which is locked until the events are committed, gives them out: so events become
// visible in the order of their numbers, and who has read up to one has missed none before it. The price is that one process writes at a
// time; what is published meanwhile is written together.
//
// # Durable subscriptions
//
// A replica holds a lease on a durable subscription, and passes on what follows the position of the subscription, which it moves forward
// when events have been handled. When the replica is killed, another one goes on at that position after the lease has ended. Times are
// those of the database's clock. If replicas ask for different topics, the one that started last gets the subscription.
//
// An event is kept until all durable subscriptions have passed it, and a minute longer. Those that fall behind by maxEvents events, or
// maxAge, miss some; that is logged.
//
// # Configuration
//
//	events:
//	  useEventBus: auto              # never: events stay in the process, also those for durable subscriptions
//	  bus:                           # beyond Backstage's keys
//	    lease: 15s                   # after this time, the subscriptions of a replica that was killed are taken over
//	    maxAge: 24h
//	    maxEvents: 100000
package events
