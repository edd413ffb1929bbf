package catalog_test

import (
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestReplicasTellEachOther has one replica serve what another has taken in, while no time passes by its clock: PostgreSQL tells it.
func TestReplicasTellEachOther(t *testing.T) {
	t.Parallel()
	config := backendtest.Config(map[string]any{"backend": map[string]any{"database": backendtest.PostgreSQL(t)}})
	one, other := &source{name: "one"}, &source{name: "one"}
	first := backendtest.Start(t, catalog.Plugin(), module(one), config)
	second := backendtest.Start(t, catalog.Plugin(), module(other), config)
	reader, follower := first.As(t, "user:default/guest"), second.As(t, "user:default/guest")
	for _, name := range []string{"a", "b", "c"} {
		one.full(t, parse(t, component(name, "team")))
		await(t, "the replica itself to serve it", func() bool { return exists(reader, "component/default/"+name) })
		begin := time.Now()
		await(t, "the other replica to serve it", func() bool { return exists(follower, "component/default/"+name) })
		t.Logf("%s was served by the other replica %s later", name, time.Since(begin))
	}
}
