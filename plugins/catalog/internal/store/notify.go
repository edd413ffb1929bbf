package store

import (
	"context"

	"github.com/portico-dev/portico/service/database"
)

// channel is where replicas on PostgreSQL tell each other of changes. The payload is who tells.
const channel = "portico_catalog"

// CanListen tells whether Listen is of use. Where it is not, others' changes are found by looking for them.
func (s *Store) CanListen() bool { return database.CanListen(s.db) }

// Listen calls heard when other stores have changed final entities, or may have. It returns when the connection is lost, or, without an error,
// when ctx ends.
func (s *Store) Listen(ctx context.Context, heard func()) error {
	return database.Listen(ctx, s.db, channel, func(who string) error {
		if who != s.name {
			heard()
		}
		return nil
	})
}
