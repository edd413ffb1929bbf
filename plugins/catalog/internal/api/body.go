package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// decode reads the JSON object in the body of a request, in which the required fields must be there. A body that is not what dst takes is an
// InputError.
func decode(c echo.Context, dst any, required ...string) error {
	text, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return malformed(err)
	}
	for _, name := range required {
		if fields[name] == nil {
			return service.InputError.Errorf("request/body must have required property '%s'", name)
		}
	}
	if err := json.Unmarshal(text, dst); err != nil {
		return malformed(err)
	}
	return nil
}

func malformed(err error) error {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		at := "request/body"
		if wrong.Field != "" {
			at += "/" + wrong.Field
		}
		return service.InputError.Errorf("%s must not be of the type %s", at, wrong.Value)
	}
	return service.InputError.Errorf("The body of the request is not valid JSON: %w", err)
}
