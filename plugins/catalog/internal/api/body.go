package api

import (
	"encoding/json"
	"fmt"

	"github.com/labstack/echo/v4"
)

// body is where to put the properties of a JSON body. Their names are taken as they are spelt: encoding/json would take LIMIT for limit, which
// has not been checked.
type body map[string]any

// decode reads the body of a request that was checked. What isn't in it stays as it is.
func decode(c echo.Context, properties body) error {
	var given map[string]json.RawMessage
	if err := json.NewDecoder(c.Request().Body).Decode(&given); err != nil {
		return fmt.Errorf("catalog: reading the body of the request: %w", err)
	}
	for name, dst := range properties {
		text, ok := given[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(text, dst); err != nil {
			return fmt.Errorf("catalog: reading %s of the request: %w", name, err)
		}
	}
	return nil
}
