// Package store keeps the catalog in a database: what was ingested, what processing made of it, the final entities, and the log of their
// changes.
//
// # The flow
//
// Providers apply mutations, which put entities into refresh_state. Claim hands out those that are due, in batches; processing happens
// elsewhere; Save stores what came of it, and notes in stitch_queue which final entities are affected. Stitch makes those: the
// processed entity together with its relations from all sides. Nothing is written that has not changed: hashes decide.
//
// # The past
//
// An entry of the log has what the entity was before, compressed. What it became is what it was at its next change, or what it is now: each
// version is stored once, when it is over, and an entity that never changes has no more than its one row. From the log come the history of an
// entity, the catalog as of a time, and what changed since.
//
// # Concurrency
//
// Any number of replicas may work on one database. Claims pass over rows that another replica is claiming. All other writes take the row of
// entity_log_head first, and so happen one after the other, a batch of entities at a time: the log's order is the order of commits,
// without gaps, and who has read it up to a number has missed nothing. PostgreSQL tells those who Listen of each commit that extends the log.
package store
