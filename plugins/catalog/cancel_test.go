package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
)

// countdown is a context that ends when it has been asked so often whether it has, as each statement does that is sent to a database.
type countdown struct {
	context.Context
	end  context.CancelFunc
	left atomic.Int64
}

func (c *countdown) Done() <-chan struct{} {
	if c.left.Add(-1) == 0 {
		c.end()
	}
	return c.Context.Done()
}

// TestMutationsThatAreCutShort has the context of a large full mutation end early, and later and later: nothing of the mutation is there then. At
// last it is not cut short any more.
func TestMutationsThatAreCutShort(t *testing.T) {
	t.Parallel()
	const old, renewed = 700, 1200
	several := func(name string, n int) (entities []catalogmodel.Entity) {
		for i := range n {
			entities = append(entities, named(t, fmt.Sprint(name, i)))
		}
		return entities
	}
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		one := &source{name: "one"}
		var db *bun.DB
		b := backendtest.Start(t, catalog.Plugin(), module(one), plugin.NewModule("catalog", "probe", plugin.Init(func(d *bun.DB) { db = d })), database)
		one.full(t, several("old-", old)...)
		c := settle(t, b, old)
		stored := func() (sizes [4]int) {
			t.Helper()
			for i, table := range []string{"refresh_state", "ingested_entities", "refresh_state_references", "entity_log"} {
				if err := db.NewRaw("SELECT COUNT(*) FROM ?", bun.Ident(table)).Scan(t.Context(), &sizes[i]); err != nil {
					t.Fatal(err)
				}
			}
			return sizes
		}
		before, attempts := stored(), 0
		mutation := catalog.FullMutation(several("new-", renewed)...)
		for statements := int64(1); ; statements += 1 + statements/2 {
			ctx, cancel := context.WithCancel(t.Context())
			limited := &countdown{Context: ctx, end: cancel}
			limited.left.Store(statements)
			err := one.conn.ApplyMutation(limited, mutation)
			cancel()
			if err == nil {
				break
			}
			attempts++
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cut short: error is %v", err)
			}
			if after := stored(); after != before {
				t.Fatalf("cut short after %d steps, the tables have %v rows, not %v", statements, after, before)
			}
		}
		if attempts < 10 {
			t.Errorf("it was cut short %d times only", attempts)
		}
		settle(t, b, renewed)
		if !exists(c, "component/default/new-0") || exists(c, "component/default/old-0") {
			t.Error("the mutation that was not cut short didn't replace what was there")
		}
	})
}
