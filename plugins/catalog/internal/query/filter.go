package query

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
)

// ParseFilter translates the filter parameters of a URL into the JSON form of a predicate, or nil where they hold no condition. In one
// parameter, statements `key`, `key=value` or `key=` are separated by commas and must all hold, those of the same key together
// meaning one of their values. Of several parameters, one must hold. White space around keys and values and empty statements do not count.
func ParseFilter(params []string) (json.RawMessage, error) {
	var sets []any
	for _, param := range params {
		set, err := filterSet(param)
		if err != nil {
			return nil, err
		}
		if set != nil {
			sets = append(sets, set)
		}
	}
	switch len(sets) {
	case 0:
		return nil, nil
	case 1:
		return json.Marshal(sets[0])
	}
	return json.Marshal(map[string]any{"$any": sets})
}

// filterSet is the condition of one parameter, or nil.
func filterSet(param string) (any, error) {
	var keys []string
	values := map[string][]string{}
	for statement := range strings.SplitSeq(param, ",") {
		statement = strings.TrimSpace(statement)
		if statement == "" {
			continue
		}
		key, value, equals := strings.Cut(statement, "=")
		key = strings.TrimSpace(key)
		if key == "" || strings.HasPrefix(key, "$") {
			return nil, service.InputError.Errorf("Invalid filter, '%s' is not a valid statement (expected a string on the form a=b or a= or a)", statement)
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
		if equals {
			values[key] = append(values[key], strings.TrimSpace(value))
		}
	}
	var conditions []any
	for _, key := range keys {
		switch found := values[key]; len(found) {
		case 0:
			conditions = append(conditions, map[string]any{key: map[string]any{"$exists": true}})
		case 1:
			conditions = append(conditions, map[string]any{key: found[0]})
		default:
			conditions = append(conditions, map[string]any{key: map[string]any{"$in": found}})
		}
	}
	switch len(conditions) {
	case 0:
		return nil, nil
	case 1:
		return conditions[0], nil
	}
	return map[string]any{"$all": conditions}, nil
}
