package cache_test

import (
	"errors"
	"testing"
	"time"

	"github.com/eko/gocache/lib/v4/store"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
)

func TestSetAndGet(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		ctx := t.Context()
		if _, err := c.Get(ctx, "a"); !errors.Is(err, store.NotFound{}) {
			t.Fatalf("Get of what was never set: %v, want store.NotFound", err)
		}
		if err := c.Set(ctx, "a", []byte("1"), store.WithExpiration(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(ctx, "a"); err != nil || string(got) != "1" {
			t.Fatalf("Get: %q, %v", got, err)
		}
	})
}
