package database

import (
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	bunschema "github.com/uptrace/bun/schema"
)

func TestStatementsWithoutValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ client, query, want string }{
		{clientSQLite, `SELECT "n"."id" FROM "notes" AS "n" WHERE (text = 'it''s') AND id IN (1, -2.5, .5, 1e-9, 0xff) LIMIT 20`,
			`SELECT "n"."id" FROM "notes" AS "n" WHERE (text = ?) AND id IN (?, -?, ?, ?, ?) LIMIT ?`},
		{clientSQLite, `INSERT INTO t2 VALUES ('\', 'secret'), (?, ?1)`, `INSERT INTO t2 VALUES (?, ?), (?, ??)`},
		{clientPostgres, `SELECT '\', $1, $tag$it's secret$tag$, $$x$$, E'a\'b', e1 FROM "o'brien" WHERE x LIKE'a\' AND y = 'z'`,
			`SELECT ?, $1, ?, ?, E?, e1 FROM "o'brien" WHERE x LIKE? AND y = ?`},
		{clientPostgres, "SELECT data->>'secret', '{\"a\": 1}'::jsonb -- 'secret\n FROM t /* secret */", `SELECT data->>?, ?::jsonb  FROM t`},
		{clientMySQL, "SELECT `it's`, 'a\\'secret', \"se''cret\" FROM t # secret", "SELECT `it's`, ?, ? FROM t"},
		{clientMySQL, "SELECT 'cut off", "SELECT ?"},
	} {
		if got := withoutValues(c.query, c.client); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.client, c.query, got, c.want)
		}
	}
	if got := withoutValues("SELECT "+strings.Repeat("a, ", 1e6), clientSQLite); len(got) > maxShown+10 {
		t.Errorf("a long statement is shown with %d bytes", len(got))
	}
}

// FuzzStatementsWithoutValues has bun write values into statements. What is shown must not depend on the values.
func FuzzStatementsWithoutValues(f *testing.F) {
	f.Add("it's", []byte{0, 1, 0xff}, int64(-5))
	f.Add(`\`, []byte(`'`), int64(42))
	f.Add(`\' OR "x`, []byte(`$$`), int64(7))
	f.Add("--", []byte("/*"), int64(1<<62))
	dialects := map[string]bunschema.Dialect{clientSQLite: sqlitedialect.New(), clientPostgres: pgdialect.New(), clientMySQL: mysqldialect.New()}
	f.Fuzz(func(t *testing.T, text string, data []byte, number int64) {
		if strings.Contains(text, "\x00") {
			t.Skip("bun makes no statement of it")
		}
		for client, dialect := range dialects {
			shown := func(text string, data []byte, number int64) string {
				query := bunschema.NewQueryGen(dialect).FormatQuery("INSERT INTO ? (a, b, c, d, e, f) VALUES (?, ?, ?, ?, ?, ?) RETURNING a",
					bun.Ident("t"), text, append([]byte{}, data...), number, time.Unix(number%(1<<33), 0), []string{text, "x"}, "end")
				return strings.ReplaceAll(withoutValues(query, client), "-", "")
			}
			if got, want := shown(text, data, number), shown("a", []byte("b"), 1); got != want {
				t.Errorf("%s:\n got %s\nwant %s", client, got, want)
			}
		}
	})
}
