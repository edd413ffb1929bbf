package ingest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Location is an entry of catalog.locations: a place that entities are read from for as long as it is configured.
type Location struct {
	Type   string `config:"type"`
	Target string `config:"target"`
	Rules  []Rule `config:"rules"`
}

// Rule allows kinds of entities, from anywhere or from some locations.
type Rule struct {
	Allow     []any     `config:"allow"` // names of kinds, or objects with kind and spec.type
	Locations []Matcher `config:"locations"`
}

// Matcher names locations: those of a type, with an exact target or one that a pattern matches.
type Matcher struct {
	Type    string `config:"type"`
	Exact   string `config:"exact"`
	Pattern string `config:"pattern"`
}

// allowed is a kind, of any or of one spec.type, in lower case.
type allowed struct{ kind, specType string }

type rule struct {
	allow     []allowed
	anywhere  bool
	locations []Matcher
}

// Rules say which entities may come from which location. They never change, and are safe for concurrent use.
type Rules struct{ rules []rule }

// Read reads catalog.locations and catalog.rules. Targets of files come out absolute, from the working directory of the process.
func Read(cfg service.Config) ([]Location, *Rules, error) {
	var locations []Location
	if err := cfg.Decode("catalog.locations", &locations); err != nil {
		return nil, nil, err
	}
	rules := &Rules{}
	configured := []Rule{{Allow: []any{"Component", "API", "Location"}}}
	if cfg.Has("catalog.rules") {
		configured = nil
		if err := cfg.Decode("catalog.rules", &configured); err != nil {
			return nil, nil, err
		}
	}
	for i, r := range configured {
		if err := rules.add(r, r.Locations != nil); err != nil {
			return nil, nil, fmt.Errorf("catalog.rules[%d]: %w", i, err)
		}
	}
	for i, location := range locations {
		if location.Type == "" || location.Target == "" {
			return nil, nil, fmt.Errorf("catalog.locations[%d]: it needs a type and a target", i)
		}
		if location.Type == fileType {
			target, err := filepath.Abs(location.Target)
			if err != nil {
				return nil, nil, fmt.Errorf("catalog.locations[%d].target: %w", i, err)
			}
			locations[i].Target = target
		}
		for j, r := range location.Rules {
			r.Locations = []Matcher{{Type: location.Type, Exact: locations[i].Target}}
			if err := rules.add(r, true); err != nil {
				return nil, nil, fmt.Errorf("catalog.locations[%d].rules[%d]: %w", i, j, err)
			}
		}
	}
	return locations, rules, nil
}

func (r *Rules) add(configured Rule, somewhere bool) error {
	added := rule{anywhere: !somewhere, locations: configured.Locations}
	for _, v := range configured.Allow {
		switch v := v.(type) {
		case string:
			added.allow = append(added.allow, allowed{kind: strings.ToLower(v)})
		case map[string]any:
			kind, _ := v["kind"].(string)
			specType, _ := v["spec.type"].(string)
			if spec, ok := v["spec"].(map[string]any); ok && specType == "" { // a dot in a key may have been taken for a level
				specType, _ = spec["type"].(string)
			}
			if kind == "" {
				return fmt.Errorf("allow: an object needs a kind, this one is %s", asJSON(v))
			}
			added.allow = append(added.allow, allowed{strings.ToLower(kind), strings.ToLower(specType)})
		default:
			return fmt.Errorf("allow: must name kinds, not %s", asJSON(v))
		}
	}
	for _, m := range configured.Locations {
		if m.Exact != "" && m.Pattern != "" {
			return fmt.Errorf("locations: one location can't have both exact and pattern")
		}
		if !doublestar.ValidatePattern(m.Pattern) {
			return fmt.Errorf("locations: the pattern %q is malformed", m.Pattern)
		}
	}
	r.rules = append(r.rules, added)
	return nil
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// Allow tells whether the entity may come from what the origin, a registered location, led to.
func (r *Rules) Allow(e catalogmodel.Entity, origin catalogmodel.LocationRef) bool {
	kind, specType := strings.ToLower(e.Kind()), strings.ToLower(e.Type())
	for _, rule := range r.rules {
		if !rule.matches(origin) {
			continue
		}
		for _, a := range rule.allow {
			if a.kind == kind && (a.specType == "" || a.specType == specType) {
				return true
			}
		}
	}
	return false
}

func (r rule) matches(origin catalogmodel.LocationRef) bool {
	if r.anywhere {
		return true
	}
	for _, m := range r.locations {
		if m.Type != origin.Type || m.Exact != "" && m.Exact != origin.Target {
			continue
		}
		if m.Pattern == "" || doublestar.MatchUnvalidated(strings.ToLower(m.Pattern), strings.ToLower(origin.Target)) {
			return true
		}
	}
	return false
}
