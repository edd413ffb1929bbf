package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/database"
)

// onEachDatabase runs a test on a database of each kind with the catalog's tables.
func onEachDatabase(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		if err := database.Migrate(t.Context(), db, "catalog", os.DirFS("../../migrations"), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		test(t, db)
	})
}

// TestHistory has entities come, change and go, and compares the log, and every moment of the past, with what there was at the time.
func TestHistory(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, db *bun.DB) {
		w := &world{now: time.UnixMilli(1_000_000), followed: map[string]string{}, brought: map[string]map[string]bool{"one": {}, "two": {}},
			relations: map[string]map[store.Relation]bool{}, versions: map[string]int{}}
		var wanted []store.Entry
		w.store = store.New(db, func() time.Time { return w.now }, func(_ context.Context, changes []store.Change) {
			for _, c := range changes {
				e := store.Entry{Seq: c.Seq, Ref: c.Ref, ID: c.ID, At: w.now, Action: store.Created, After: c.JSON}
				if before, ok := w.followed[c.Ref]; ok {
					e.Before, e.Action = []byte(before), store.Updated
				}
				if delete(w.followed, c.Ref); c.JSON != nil {
					w.followed[c.Ref] = string(c.JSON)
				} else {
					e.Action = store.Deleted
				}
				wanted = append(wanted, e)
			}
		})
		type moment struct {
			at       time.Time
			entities map[string]string
		}
		var past []moment
		rapid.Check(t, func(t *rapid.T) { // each run goes on where the one before has ended
			if len(past) > 12 {
				return
			}
			w.mutate(t)
			w.process(t)
			w.check(t)
			now := map[string]string{}
			for ref, text := range w.followed {
				now[ref] = text
			}
			past = append(past, moment{w.now, now})
			w.now = w.now.Add(time.Second)
		})
		compareEntries(t, w.store, wanted)
		for _, ref := range refs {
			compareHistory(t, w.store, ref, wanted)
		}
		for _, m := range past {
			rewound := map[string]string{}
			for ref, text := range w.followed {
				rewound[ref] = text
			}
			if err := w.store.Rewind(t.Context(), m.at, func(changes []store.Change) error {
				for _, c := range changes {
					if delete(rewound, c.Ref); c.JSON != nil {
						rewound[c.Ref] = string(c.JSON)
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(rewound) != fmt.Sprint(m.entities) {
				t.Errorf("rewound to %s there are\n%v, want\n%v", m.at, rewound, m.entities)
			}
			for _, ref := range refs {
				if got, err := w.store.At(t.Context(), ref, m.at); err != nil || string(got) != m.entities[ref] {
					t.Errorf("%s was %s at %s (%v), want %s", ref, got, m.at, err, m.entities[ref])
				}
			}
		}
		forget(t, w.store, wanted, past[len(past)/2].at)
	})
}

func compareEntries(t *testing.T, s *store.Store, wanted []store.Entry) {
	t.Helper()
	var got []store.Entry
	for after := int64(0); ; {
		page, err := s.Entries(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1].Seq
	}
	sameEntries(t, got, wanted)
	if _, err := s.Entries(t.Context(), int64(len(wanted))+1, 3); !errors.Is(err, service.NotFoundError) {
		t.Errorf("after the end: %v", err)
	}
}

func compareHistory(t *testing.T, s *store.Store, ref string, all []store.Entry) {
	t.Helper()
	var wanted, got []store.Entry
	for _, e := range slices.Backward(all) {
		if e.Ref == ref {
			wanted = append(wanted, e)
		}
	}
	for before := int64(0); ; {
		page, err := s.History(t.Context(), ref, before, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		before = page[len(page)-1].Seq
	}
	sameEntries(t, got, wanted)
}

func sameEntries(t *testing.T, got, wanted []store.Entry) {
	t.Helper()
	if len(got) != len(wanted) {
		t.Fatalf("%d entries, want %d", len(got), len(wanted))
	}
	for i, want := range wanted {
		if got[i].Cause.Reason == "" {
			t.Errorf("entry %d has no reason", got[i].Seq)
		}
		got[i].Cause = store.Cause{}
		if fmt.Sprintf("%+v", got[i]) != fmt.Sprintf("%+v", want) {
			t.Errorf("entry %d is\n%+v, want\n%+v", want.Seq, got[i], want)
		}
	}
}

func forget(t *testing.T, s *store.Store, all []store.Entry, before time.Time) {
	t.Helper()
	if err := s.ForgetLog(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	start, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var left []store.Entry
	for _, e := range all {
		if !e.At.Before(before) {
			left = append(left, e)
		}
	}
	if len(left) == len(all) {
		t.Fatal("there was nothing to forget")
	}
	got, err := s.Entries(t.Context(), start, 1000)
	if err != nil {
		t.Fatal(err)
	}
	sameEntries(t, got, left)
	if _, err := s.Entries(t.Context(), start-1, 1000); !errors.Is(err, store.ErrForgotten) {
		t.Errorf("before the beginning: %v", err)
	}
	if _, err := s.At(t.Context(), refs[0], before.Add(-time.Second)); !errors.Is(err, store.ErrForgotten) {
		t.Errorf("at a time before the beginning: %v", err)
	}
	if err := s.ForgetLog(t.Context(), before.Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Entries(t.Context(), start, 1000); !errors.Is(err, store.ErrForgotten) {
		t.Errorf("in a log that is empty: %v", err)
	}
	head, err := s.Start(t.Context())
	if got, failure := s.Entries(t.Context(), head, 1000); err != nil || failure != nil || len(got) > 0 {
		t.Errorf("at the end of a log that is empty: %v, %v, %v", got, err, failure)
	}
}
