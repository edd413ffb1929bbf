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
	patterns
}

// patterns are what an attribute may be. It is configured by one of them or by an array.
type patterns []pattern

func (p *patterns) UnmarshalText(text []byte) error {
	var single pattern
	if err := single.UnmarshalText(text); err != nil {
		return err
	}
	*p = patterns{single}
	return nil
}

func (p patterns) match(text string) bool {
	return slices.ContainsFunc(p, func(p pattern) bool {
		if p.expression != nil {
			return p.expression.MatchString(text)
		}
		return p.text == text
	})
}

// pattern is a value or a /regular expression/.
type pattern struct {
	text       string
	expression *regexp.Regexp
}

func (p *pattern) UnmarshalText(text []byte) error {
	p.text = string(text)
	end := strings.LastIndexByte(p.text, '/')
	if end <= 0 || p.text[0] != '/' {
		return nil
	}
	// The flags that JavaScript and Go have in common; the others change nothing for a single test.
	flags := strings.Map(func(r rune) rune {
		if strings.ContainsRune("ims", r) {
			return r
		}
		return -1
	}, p.text[end+1:])
	if flags != "" {
		flags = "(?" + flags + ")"
	}
	var err error
	if p.expression, err = regexp.Compile(flags + p.text[1:end]); err != nil {
		return fmt.Errorf("is not a regular expression that Go knows: %w", err)
	}
	return nil
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
			next.matchers = append(next.matchers, matcher{attribute: name, patterns: o.Matchers[name]})
		}
		r.overrides = append(r.overrides, next)
	}
	return r, nil
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
	known := map[string]string{}
	for _, a := range attrs {
		known[a.Key] = a.Value.Resolve().String()
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
			case !there || !m.match(value):
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
			matched = m.match(r.Message)
		case slog.LevelKey:
			matched = m.match(levelName(r.Level))
		default:
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == m.attribute {
					matched = m.match(a.Value.Resolve().String())
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
