package api

import (
	"strings"

	"github.com/portico-dev/portico/plugins/catalog/internal/openapi"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

// parseFilter is the condition in the parameter filter, or nil if there is none.
func parseFilter(params openapi.Query) (query.Predicate, error) {
	return query.ParseFilter(params.All("filter"))
}

// parseOrders are the orders of GET /entities: order=asc:metadata.name.
func parseOrders(params openapi.Query) []query.Order {
	var orders []query.Order
	for _, text := range params.All("order") {
		direction, field, _ := strings.Cut(text, ":")
		orders = append(orders, query.Order{Field: field, Direction: direction})
	}
	return orders
}

// parseOrderFields are the orders of GET /entities/by-query: orderField=metadata.name,asc.
func parseOrderFields(params openapi.Query) ([]query.Order, error) {
	var orders []query.Order
	for _, text := range params.All("orderField") {
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
