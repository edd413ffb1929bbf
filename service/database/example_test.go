package database_test

import (
	"context"
	"embed"
	"fmt"
	"log/slog"

	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

//go:embed testdata/migrations/*.sql
var migrations embed.FS

type Todo struct {
	ID    int64 `bun:",pk,autoincrement"`
	Title string
}

// A backend does all of this for a plugin that asks for a *bun.DB and has plugin.Migrations.
func Example() {
	ctx := context.Background()
	var stop lifecycle
	manager, err := database.NewManager(
		config.Static(map[string]any{}), // nothing configured: SQLite in memory
		service.RootLogger{Logger: slog.Default()}, &stop)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop.stop(ctx)

	db, err := manager.Open(ctx, "todo")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := database.Migrate(ctx, db, "todo", migrations, slog.New(slog.DiscardHandler)); err != nil {
		fmt.Println(err)
		return
	}
	if err := addAndList(ctx, db); err != nil {
		fmt.Println(err)
	}
	// Output: [{1 Write an example}]
}

func addAndList(ctx context.Context, db *bun.DB) error {
	if _, err := db.NewInsert().Model(&Todo{Title: "Write an example"}).Exec(ctx); err != nil {
		return err
	}
	var todos []Todo
	if err := db.NewSelect().Model(&todos).Order("id").Scan(ctx); err != nil {
		return err
	}
	fmt.Println(todos)
	return nil
}

// lifecycle stands for the fx.Lifecycle of a backend.
type lifecycle struct{ hooks []fx.Hook }

func (l *lifecycle) Append(hook fx.Hook) { l.hooks = append(l.hooks, hook) }

func (l *lifecycle) stop(ctx context.Context) {
	for _, hook := range l.hooks {
		if err := hook.OnStop(ctx); err != nil {
			fmt.Println(err)
		}
	}
}
