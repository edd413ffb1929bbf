package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/portico-dev/portico/service"
)

// Check checks a request to a route, such as /entities/by-uid/:uid, and answers its parameters. What the document does not allow is an
// InputError. A JSON body is read, checked, and can be read again; without one where it need not be, it is {}. Routes that are not in the document
// have no parameters and are not checked.
func (d *Document) Check(r *http.Request, route string) (Query, error) {
	o := d.operations[route][r.Method]
	if o == nil {
		return nil, nil
	}
	q, err := o.check(r.URL.RawQuery)
	if err != nil || o.body == nil {
		return q, err
	}
	return q, checkBody(r, o.body)
}

func checkBody(r *http.Request, s *schema) error {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "" && !strings.EqualFold(strings.TrimSpace(kind), jsonType) {
		return service.InputError.Errorf("unsupported media type %s, the body of the request must be %s", strings.TrimSpace(kind), jsonType)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	var content any
	if err := json.Unmarshal(text, &content); err != nil {
		return service.InputError.Errorf("The body of the request is not valid JSON: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return explain("request/body", s.validate(content))
}

// explain makes an InputError of what is wrong with the part of a request.
func explain(part string, err error) error {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	keyword := invalid.KeywordLocation[strings.LastIndexByte(invalid.KeywordLocation, '/')+1:]
	message := invalid.Message
	switch keyword {
	case "type":
		expected, got, _ := strings.Cut(strings.TrimPrefix(message, "expected "), ", but got ")
		message = fmt.Sprintf("must be %s, not %s", expected, got)
	case "required":
		missing, _, _ := strings.Cut(strings.TrimPrefix(message, "missing properties: "), ", ")
		message = "must have required property " + missing
	case "enum":
		message = strings.TrimPrefix(message, "value ")
	case "additionalProperties":
		message = "must not have " + strings.TrimSuffix(strings.TrimPrefix(message, keyword+" "), " not allowed")
	}
	return service.InputError.Errorf("%s%s %s", part, invalid.InstanceLocation, message)
}
