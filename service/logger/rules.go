package logger

import (
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// rules are which records are logged.
type rules struct {
	level     slog.Level
	meta      []slog.Attr
	overrides []override
}

// override is the level of the records that have certain attributes.
type override struct {
	level    slog.Level
	matchers []matcher
}

type matcher struct {
	attribute string
	matches   func(any) bool
}

func newRules(s settings, levelOfEnv string) (rules, error) {
	var r rules
	var err error
	if r.level, err = parseLevel(s.Level); err != nil {
		return rules{}, fmt.Errorf("backend.logger.level: %w", err)
	}
	if levelOfEnv != "" {
		if r.level, err = parseLevel(levelOfEnv); err != nil {
			return rules{}, fmt.Errorf("the environment variable LOG_LEVEL: %w", err)
		}
	}
	if _, ok := s.Meta["service"]; !ok {
		r.meta = append(r.meta, slog.String("service", "backstage"))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Meta)) {
		r.meta = append(r.meta, slog.Any(name, s.Meta[name]))
	}
	for i, o := range s.Overrides {
		level, err := parseLevel(o.Level)
		if err != nil {
			return rules{}, fmt.Errorf("backend.logger.overrides[%d].level: %w", i, err)
		}
		next := override{level: level}
		for _, name := range slices.Sorted(maps.Keys(o.Matchers)) {
			matches, err := newMatcher(o.Matchers[name])
			if err != nil {
				return rules{}, fmt.Errorf("backend.logger.overrides[%d].matchers.%s: %w", i, name, err)
			}
			next.matchers = append(next.matchers, matcher{attribute: name, matches: matches})
		}
		r.overrides = append(r.overrides, next)
	}
	return r, nil
}

func newMatcher(value any) (func(any) bool, error) {
	switch value := value.(type) {
	case []any:
		var any []func(any) bool
		for _, v := range value {
			m, err := newMatcher(v)
			if err != nil {
				return nil, err
			}
			any = append(any, m)
		}
		return func(v interface{}) bool {
			return slices.ContainsFunc(any, func(matches func(interface{}) bool) bool { return matches(v) })
		}, nil
	case string:
		end := strings.LastIndexByte(value, '/')
		if end <= 0 || value[0] != '/' {
			break
		}
		// The flags that JavaScript and Go have in common; the others change nothing for a single test.
		flags := strings.Map(func(r rune) rune {
			if strings.ContainsRune("ims", r) {
				return r
			}
			return -1
		}, value[end+1:])
		if flags != "" {
			flags = "(?" + flags + ")"
		}
		pattern, err := regexp.Compile(flags + value[1:end])
		if err != nil {
			return nil, fmt.Errorf("%s is not a regular expression: %w", value, err)
		}
		return func(v any) bool { s, ok := v.(string); return ok && pattern.MatchString(s) }, nil
	}
	if f, ok := value.(float64); ok {
		return func(v any) bool { return v == f }, nil
	}
	return func(v any) bool { return v == value }, nil
}

// plain is the value of an attribute as matchers see it.
func plain(v slog.Value) any {
	v = v.Resolve()
	if v.Kind() == slog.KindUint64 {
		return int64(v.Uint64())
	}
	if s, ok := v.Any().(fmt.Stringer); ok && v.Kind() == slog.KindAny {
		return s.String()
	}
	return v.Any()
}

// decision is what the rules say about the records of a logger.
type decision struct {
	// lowest is the lowest level that a record could be logged at.
	lowest slog.Level
	// open are the overrides that depend on the record, in order, with the matchers that do.
	open []override
	// level holds if none of them matches.
	level slog.Level
}

// decide applies the rules to the attributes of a logger. If grouped, the attributes of its records are within a group, where no matcher
// reaches.
func (r *rules) decide(attrs []slog.Attr, grouped bool) decision {
	known := map[string]any{}
	for _, a := range attrs {
		known[a.Key] = plain(a.Value)
	}
	d := decision{level: r.level}
	for _, o := range r.overrides {
		var depends []matcher
		refuted := false
		for _, m := range o.matchers {
			value, there := known[m.attribute]
			switch {
			case m.attribute == "message" || m.attribute == slog.LevelKey || !there && !grouped:
				depends = append(depends, m)
			case !there || !m.matches(value):
				refuted = true
			}
		}
		if refuted {
			continue
		}
		if len(depends) == 0 {
			d.level = o.level
			break
		}
		d.open = append(d.open, override{level: o.level, matchers: depends})
	}
	d.lowest = d.level
	for _, o := range d.open {
		d.lowest = min(d.lowest, o.level)
	}
	return d
}

// allows tells whether a record is logged.
func (d *decision) allows(r slog.Record) bool {
	for _, o := range d.open {
		if o.matchesRecord(r) {
			return r.Level >= o.level
		}
	}
	return r.Level >= d.level
}

func (o *override) matchesRecord(r slog.Record) bool {
	for _, m := range o.matchers {
		matched := false
		switch m.attribute {
		case "message":
			matched = m.matches(r.Message)
		case slog.LevelKey:
			matched = m.matches(levelName(r.Level))
		default:
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == m.attribute {
					matched = m.matches(plain(a.Value))
				}
				return !matched
			})
		}
		if !matched {
			return false
		}
	}
	return true
}
