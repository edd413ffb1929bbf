package usersettings

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/feature"

	"github.com/portico-dev/portico/service"
)

const (
	// maxValue is how many bytes a request with a value may have.
	maxValue = 1 << 20
	// maxSettings is how many settings a user may have.
	maxSettings = 1000
	// batch is how many keys are looked up at once.
	batch = 100
)

// setting is a row of the table.
type setting struct {
	bun.BaseModel `bun:"table:user_settings"`

	User   string `bun:"user_entity_ref"`
	Bucket string `bun:"bucket"`
	Key    string `bun:"key"`
	Value  string `bun:"value"` // JSON
}

func (s setting) name() name { return name{s.Bucket, s.Key} }

// name is what a user's setting is found by.
type name struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// settings keeps the settings of users.
type settings struct{ db *bun.DB }

// values are those of the user's settings that are there.
func (s settings) values(ctx context.Context, user string, names []name) (map[name]json.RawMessage, error) {
	keys := map[string][]string{}
	for _, n := range names {
		keys[n.Bucket] = append(keys[n.Bucket], n.Key)
	}
	values := map[name]json.RawMessage{}
	for bucket, all := range keys {
		for some := range slices.Chunk(all, batch) {
			var rows []setting
			err := s.db.NewSelect().Model(&rows).Where("user_entity_ref = ? AND bucket = ?", user, bucket).Where("? IN (?)", bun.Ident("key"), bun.List(some)).Scan(ctx)
			if err != nil {
				return nil, fmt.Errorf("user-settings: reading settings of %s: %w", user, err)
			}
			for _, row := range rows {
				values[row.name()] = json.RawMessage(row.Value)
			}
		}
	}
	return values, nil
}

// set stores a setting.
func (s settings) set(ctx context.Context, row setting) error {
	n, err := s.db.NewSelect().Model((*setting)(nil)).Where("user_entity_ref = ?", row.User).
		Where("NOT (bucket = ? AND ? = ?)", row.Bucket, bun.Ident("key"), row.Key).Count(ctx)
	if err != nil {
		return fmt.Errorf("user-settings: counting settings of %s: %w", row.User, err)
	}
	if n >= maxSettings {
		return service.InputError.Errorf("There are %d settings already, which is all that a user may have; delete some", n)
	}
	insert := s.db.NewInsert().Model(&row)
	if s.db.HasFeature(feature.InsertOnDuplicateKey) {
		insert = insert.On("DUPLICATE KEY UPDATE")
	} else {
		insert = insert.On("CONFLICT (user_entity_ref, bucket, ?) DO UPDATE", bun.Ident("key"))
	}
	if _, err := insert.Set("value = ?", row.Value).Exec(ctx); err != nil {
		return fmt.Errorf("user-settings: storing a setting of %s: %w", row.User, err)
	}
	return nil
}

// delete deletes a setting, if it is there.
func (s settings) delete(ctx context.Context, row setting) error {
	_, err := s.db.NewDelete().Model((*setting)(nil)).Where("user_entity_ref = ? AND bucket = ? AND ? = ?", row.User, row.Bucket, bun.Ident("key"), row.Key).Exec(ctx)
	if err != nil {
		return fmt.Errorf("user-settings: deleting a setting of %s: %w", row.User, err)
	}
	return nil
}
