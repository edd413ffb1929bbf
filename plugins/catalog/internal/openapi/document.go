// Package openapi checks requests against an OpenAPI 3.1 document, as express-openapi-validator does for Backstage: what passes there passes
// here, and what is refused is refused with the same words.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Document is what an OpenAPI document says of requests. It is safe for concurrent use.
type Document struct {
	operations map[string]map[string]*operation // by route and method
}

// operation is what a request with a method to a route may be.
type operation struct {
	parameters map[string]*parameter // of the query
	required   []string              // names of parameters
	body       *schema               // nil if there is no JSON body
}

type parameter struct {
	typeName string // of the value, or of the elements of a list
	list     bool   // repeated, or one text with commas
	commas   bool   // the list may be one text
	empty    bool   // it may be there without a value
	schema   *schema
}

// source is how a document is written, as far as it matters here.
type source struct {
	Paths      map[string]map[string]sourceOperation
	Components struct{ Parameters map[string]sourceParameter }
}

type sourceOperation struct {
	Parameters  []sourceParameter
	RequestBody struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
}

type sourceParameter struct {
	Ref             string `json:"$ref"`
	Name, In        string
	Required        bool
	AllowEmptyValue bool
	Explode         *bool
	Schema          json.RawMessage
}

const (
	jsonType      = "application/json"
	parametersRef = "#/components/parameters/"
	documentName  = "openapi.json"
)

// Parse reads a document in JSON and compiles the schemas of its parameters and JSON bodies.
func Parse(text []byte) (*Document, error) {
	var src source
	if err := json.Unmarshal(text, &src); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft2020 // that of OpenAPI 3.1
	if err := compiler.AddResource(documentName, bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	r := reader{src, compiler}
	d := &Document{operations: map[string]map[string]*operation{}}
	for path, item := range src.Paths {
		route := pathParameter.ReplaceAllString(path, ":$1")
		d.operations[route] = map[string]*operation{}
		for method, o := range item {
			method = strings.ToUpper(method)
			var err error
			if d.operations[route][method], err = r.operation(path, method, o); err != nil {
				return nil, fmt.Errorf("openapi: %s %s: %w", method, path, err)
			}
		}
	}
	return d, nil
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

type reader struct {
	source
	compiler *jsonschema.Compiler
}

func (r reader) operation(path, method string, src sourceOperation) (*operation, error) {
	o := &operation{parameters: map[string]*parameter{}}
	at := []string{"paths", path, strings.ToLower(method)}
	for i, p := range src.Parameters {
		place := append(at[:len(at):len(at)], "parameters", fmt.Sprint(i))
		if name, ok := strings.CutPrefix(p.Ref, parametersRef); ok {
			p = r.Components.Parameters[name]
			place = []string{"components", "parameters", name}
		}
		if p.In != "query" {
			continue // of the path: those are whatever the route takes
		}
		if p.Required {
			o.required = append(o.required, p.Name)
		}
		var err error
		if o.parameters[p.Name], err = r.parameter(p, place); err != nil {
			return nil, err
		}
	}
	content := src.RequestBody.Content[jsonType]
	if content.Schema == nil {
		return o, nil
	}
	var err error
	o.body, err = r.schema(content.Schema, append(at, "requestBody", "content", jsonType, "schema"))
	return o, err
}

func (r reader) parameter(src sourceParameter, place []string) (*parameter, error) {
	s, err := r.schema(src.Schema, append(place, "schema"))
	if err != nil {
		return nil, err
	}
	p := &parameter{typeName: s.quick.typeName, empty: src.AllowEmptyValue, schema: s}
	if p.typeName == "array" {
		p.list, p.commas = true, src.Explode != nil && !*src.Explode
		p.typeName = ""
		if s.quick.items != nil {
			p.typeName = s.quick.items.typeName
		}
	}
	return p, nil
}

// schema compiles the schema at a place of the document.
func (r reader) schema(text json.RawMessage, place []string) (*schema, error) {
	var pointer strings.Builder
	for _, name := range place {
		pointer.WriteString("/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name)))
	}
	whole, err := r.compiler.Compile(documentName + "#" + pointer.String())
	return &schema{whole: whole, quick: newShape(text)}, err
}
