package api

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

// params are the query parameters of a request.
type params url.Values

// parameters reads the query parameters of a request, which must be known ones.
func parameters(u *url.URL, known ...string) (params, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, service.InputError.Errorf("The query of the URL can't be read: %s", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			return nil, service.InputError.Errorf("Unknown query parameter '%s'", name)
		}
		all := values[name]
		for _, v := range all {
			if v == "" && name != "fullTextFilterTerm" {
				return nil, service.InputError.Errorf("Empty value found for query parameter '%s'", name)
			}
		}
	}
	return params(values), nil
}

func (p params) all(name string) []string { return p[name] }

func (p params) get(name string) (string, bool) {
	if len(p[name]) == 0 {
		return "", false
	}
	return p[name][0], true
}

// integer reads a number that is not negative.
func (p params) integer(name string) (n int, set bool, err error) {
	text, set := p.get(name)
	if !set {
		return 0, false, nil
	}
	n, err = strconv.Atoi(text)
	if err != nil {
		return 0, true, service.InputError.Errorf("request/query/%s must be integer", name)
	}
	if n < 0 {
		return 0, true, service.InputError.Errorf("request/query/%s must be >= 0", name)
	}
	return n, true, nil
}

// filter is the condition, also in its JSON form; nil if there is none.
func (p params) filter() (query.Predicate, json.RawMessage, error) {
	text, err := query.ParseFilter(p.all("filter"))
	if err != nil {
		return nil, nil, err
	}
	where, err := query.ParsePredicate(text)
	return where, text, err
}

var orderPattern = regexp.MustCompile(`^(asc|desc):(.+)$`)

// orders are those of GET /entities: order=asc:metadata.name.
func (p params) orders() ([]query.Order, error) {
	var orders []query.Order
	for _, text := range p.all("order") {
		parts := orderPattern.FindStringSubmatch(text)
		if parts == nil {
			return nil, service.InputError.Errorf(`Invalid order parameter "%s", expected "<asc or desc>:<field name>"`, text)
		}
		orders = append(orders, query.Order{Field: parts[2], Direction: parts[1]})
	}
	return orders, nil
}

// orderFields are those of GET /entities/by-query: orderField=metadata.name,asc.
func (p params) orderFields() ([]query.Order, error) {
	var orders []query.Order
	for _, text := range p.all("orderField") {
		field, direction, found := strings.Cut(text, ",")
		direction, _, _ = strings.Cut(direction, ",")
		if !found {
			direction = "asc"
		}
		if direction != "asc" && direction != "desc" {
			return nil, service.InputError.Errorf("Invalid order field order, must be asc or desc")
		}
		orders = append(orders, query.Order{Field: field, Direction: direction})
	}
	return orders, nil
}
