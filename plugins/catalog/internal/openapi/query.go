package openapi

import (
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/service"
)

// Query are the parameters in the URL of a request that was checked. The nil Query has none.
type Query map[string][]string

// All answers all values of a parameter.
func (q Query) All(name string) []string { return q[name] }

// Get answers the value of a parameter, and whether there is one.
func (q Query) Get(name string) (string, bool) {
	if len(q[name]) == 0 {
		return "", false
	}
	return q[name][0], true
}

// Int answers the value of a parameter that the document declares an integer, and whether there is one.
func (q Query) Int(name string) (int, bool) {
	text, ok := q.Get(name)
	if !ok {
		return 0, false
	}
	n, _ := number(text)
	return int(n), true
}

// Bool answers the value of a parameter that the document declares a boolean; without one, it is false.
func (q Query) Bool(name string) bool {
	text, _ := q.Get(name)
	yes, _ := boolean(text)
	return yes
}

// parseQuery reads parameters as Express does: what isn't escaped well stands for itself, and name[] and name[0] are the name too. The names are in
// the order in which they come.
func parseQuery(raw string) (q Query, names []string) {
	q = Query{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = unescape(name)
		if list, index, ok := strings.Cut(name, "["); ok && strings.TrimLeft(index, "0123456789") == "]" {
			name = list
		}
		if _, known := q[name]; !known {
			names = append(names, name)
		}
		q[name] = append(q[name], unescape(value))
	}
	return q, names
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return strings.ReplaceAll(text, "+", " ")
}

// check checks the parameters of a request.
func (o *operation) check(raw string) (Query, error) {
	if raw == "" && len(o.required) == 0 {
		return nil, nil
	}
	q, names := parseQuery(raw)
	for _, name := range names {
		switch values := q[name]; {
		case o.parameters[name] == nil:
			return nil, service.InputError.Errorf("Unknown query parameter '%s'", name)
		case len(values) == 1 && values[0] == "" && !o.parameters[name].empty:
			return nil, service.InputError.Errorf("Empty value found for query parameter '%s'", name)
		}
	}
	for _, name := range o.required {
		if len(q[name]) == 0 {
			return nil, service.InputError.Errorf("request/query must have required property '%s'", name)
		}
	}
	for _, name := range names {
		if err := o.parameters[name].check(name, q[name]); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (p *parameter) check(name string, values []string) error {
	at := "request/query/" + name
	if !p.list && len(values) > 1 {
		return service.InputError.Errorf("%s must be %s, and is there %d times", at, p.typeName, len(values))
	}
	if !p.list {
		return explain(at, p.schema.validate(p.value(values[0])))
	}
	var list []any
	for _, text := range values {
		if !p.commas {
			list = append(list, p.value(text))
			continue
		}
		for part := range strings.SplitSeq(text, ",") {
			list = append(list, p.value(part))
		}
	}
	return explain(at, p.schema.validate(list))
}

// value is what a text stands for, or the text itself if it does not stand for a value of the type.
func (p *parameter) value(text string) any {
	switch p.typeName {
	case "integer", "number":
		if n, ok := number(text); ok {
			return n
		}
	case "boolean":
		if yes, ok := boolean(text); ok {
			return yes
		}
	}
	return text
}

func number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && !strings.ContainsAny(text, "_xX") && !math.IsInf(n, 0) && !math.IsNaN(n)
}

func boolean(text string) (yes, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "y", "1", "on":
		return true, true
	case "false", "no", "n", "0", "off":
		return false, true
	}
	return false, false
}
