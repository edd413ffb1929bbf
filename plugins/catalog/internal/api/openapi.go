package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/openapi"
)

// document describes the API, with paths relative to where the plugin's routes are.
//
//go:embed openapi.json
var document []byte

const documentPath = "/openapi.json"

// Router is where routes are added. Requests are checked against the document before anything else is done for them.
type Router struct{ *echo.Group }

// NewRouter returns a Router for a part of another router.
func NewRouter(parent *echo.Group) (Router, error) {
	doc, err := openapi.Parse(document)
	if err != nil {
		return Router{}, err
	}
	return Router{parent.Group("", func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			params, err := doc.Check(c.Request(), route(c))
			if err != nil {
				return err
			}
			if params != nil {
				c.Set(parametersKey, params)
			}
			return next(c)
		}
	})}, nil
}

const parametersKey = "catalog.parameters"

// parameters are those in the URL of a request that was checked.
func parameters(c echo.Context) openapi.Query {
	params, _ := c.Get(parametersKey).(openapi.Query)
	return params
}

// route is the route of a request, such as /locations/:id.
func route(c echo.Context) string { return strings.TrimPrefix(c.Path(), "/api/catalog") }

// RegisterDocument adds the route of the OpenAPI document.
func RegisterDocument(router Router) { router.GET(documentPath, serveDocument) }

// serveDocument answers the document with the whole paths, as Backstage does.
func serveDocument(c echo.Context) error {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(document, &whole); err != nil {
		return fmt.Errorf("catalog: the OpenAPI document: %w", err)
	}
	var relative map[string]json.RawMessage
	if err := json.Unmarshal(whole["paths"], &relative); err != nil {
		return fmt.Errorf("catalog: the paths of the OpenAPI document: %w", err)
	}
	mount := strings.TrimSuffix(c.Request().URL.Path, documentPath)
	paths := make(map[string]json.RawMessage, len(relative))
	for path, item := range relative {
		paths[mount+path] = item
	}
	var err error
	if whole["paths"], err = json.Marshal(paths); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, whole)
}
