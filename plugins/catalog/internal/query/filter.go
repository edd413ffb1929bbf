package query

import (
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
)

// ParseFilter reads the filter parameters of a URL. The predicate is nil where they hold no condition. In one parameter, statements `key`,
// `key=value` or `key=` are separated by commas and must all hold, those of the same key together meaning one of their values. Of several
// parameters, one must hold. White space around keys and values and empty statements do not count. What it refuses, it refuses with an InputError.
func ParseFilter(params []string) (Predicate, error) {
	var sets Any
	conditions := 0
	for _, param := range params {
		set, err := filterSet(param)
		if err != nil {
			return nil, err
		}
		if len(set) == 0 {
			continue
		}
		if conditions += len(set); conditions > maxConditions {
			return nil, tooMany()
		}
		sets = append(sets, single(set))
	}
	switch len(sets) {
	case 0:
		return nil, nil
	case 1:
		return sets[0], nil
	}
	return sets, nil
}

// single is the condition itself where there is one only.
func single(set All) Predicate {
	if len(set) == 1 {
		return set[0]
	}
	return set
}

// filterSet are the conditions of one parameter.
func filterSet(param string) (All, error) {
	var keys []string // as they are spelt
	var values [][]string
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
		i := slices.Index(keys, key)
		if i < 0 {
			i = len(keys)
			keys, values = append(keys, key), append(values, nil)
		}
		if equals {
			values[i] = append(values[i], strings.ToLower(strings.TrimSpace(value)))
		}
	}
	conditions := make(All, len(keys))
	for i, key := range keys {
		if conditions[i] = (In{strings.ToLower(key), values[i]}); len(values[i]) == 0 {
			conditions[i] = Exists{strings.ToLower(key)}
		}
	}
	return conditions, nil
}
