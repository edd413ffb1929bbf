package database_test

import (
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
)

type note struct {
	ID   int64 `bun:",pk,autoincrement"`
	Text string
}

func TestOpen(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		if _, err := db.NewCreateTable().Model((*note)(nil)).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.NewInsert().Model(&note{Text: "hello"}).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n note
		if err := db.NewSelect().Model(&n).Where("text = ?", "hello").Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
