package actions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/portico-dev/portico/service"
)

const configKey = "backend.actions"

// settings are which actions there are.
type settings struct {
	PluginSources []string `doc:"The plugins whose actions are listed."`
	Filter        filter   `doc:"Which actions there are. By default all."`
}

type filter struct {
	Include []rule `doc:"Rules of which an action must match one. Without any, all do."`
	Exclude []rule `doc:"Rules of which an action must match none."`
}

// rule matches actions by all that it says.
type rule struct {
	ID         string     `config:"id" doc:"A glob pattern for ids of actions: catalog:*."`
	Attributes attributes `doc:"What the attributes of actions must be."`
}

type attributes struct {
	Destructive *bool
	ReadOnly    *bool
	Idempotent  *bool
}

// read reads the configuration. It is read whenever it is needed, so that it follows changes.
func read(cfg service.Config) (settings, error) {
	var s settings
	if err := cfg.Decode(configKey, &s); err != nil {
		return s, err
	}
	for list, rules := range map[string][]rule{"include": s.Filter.Include, "exclude": s.Filter.Exclude} {
		for i, r := range rules {
			if !doublestar.ValidatePattern(strings.TrimPrefix(r.ID, "!")) {
				return s, fmt.Errorf("actions: %s.filter.%s[%d].id: %q is not a valid pattern", configKey, list, i, r.ID)
			}
		}
	}
	return s, nil
}

// allows tells whether the filter leaves an action there.
func (f filter) allows(id string, a service.ActionAttributes) bool {
	matches := func(r rule) bool { return r.matches(id, a) }
	return !slices.ContainsFunc(f.Exclude, matches) && (len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches))
}

func (r rule) matches(id string, a service.ActionAttributes) bool {
	is := func(want *bool, got bool) bool { return want == nil || *want == got }
	return r.matchesID(id) && is(r.Attributes.ReadOnly, a.ReadOnly) && is(r.Attributes.Idempotent, a.Idempotent) &&
		is(r.Attributes.Destructive, !a.ReadOnly && !a.Additive)
}

// matchesID matches a pattern as minimatch does: one that begins with an exclamation mark is for all other ids.
func (r rule) matchesID(id string) bool {
	if r.ID == "" {
		return true
	}
	pattern, negated := strings.CutPrefix(r.ID, "!")
	return doublestar.MatchUnvalidated(pattern, id) != negated
}
