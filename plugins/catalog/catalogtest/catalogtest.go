// Package catalogtest stands in for the catalog in tests of plugins that call it.
package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/catalog/internal/api"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/service"
)

// Client returns a client of a catalog that has just these entities, as they are: nothing is processed or added, relations neither. What
// it answers is what the catalog itself would, but for what the entities lack.
func Client(entities ...catalogmodel.Entity) (*catalogclient.Client, error) {
	entries := make([]index.Entry, len(entities))
	for n, e := range entities {
		e = e.WithDefaultNamespace(catalogmodel.DefaultNamespace)
		uid := e.UID()
		if uid == "" {
			uid = fmt.Sprintf("00000000-0000-0000-0000-%012d", n+1)
		}
		entries[n] = index.Entry{Ref: e.Ref().String(), UID: uid, JSON: e.AppendJSON(nil)}
	}
	x := index.New()
	if err := x.Apply(entries); err != nil {
		return nil, fmt.Errorf("catalogtest: %w", err)
	}
	router := echo.New()
	router.HTTPErrorHandler = answerError
	routes, err := api.NewRouter(router.Group("/api/catalog"))
	if err != nil {
		return nil, fmt.Errorf("catalogtest: %w", err)
	}
	api.New(x, noParents, noPast{}, nil).Register(routes)
	return catalogclient.New(nowhere{}, &http.Client{Transport: handlerTransport{router}}), nil
}

// Service replaces the catalog client of all plugins by one of a catalog that has just these entities; see [Client].
func Service(entities ...catalogmodel.Entity) service.Service {
	return service.PerPlugin[*catalogclient.Client](func() (*catalogclient.Client, error) { return Client(entities...) })
}

// noParents is where entities come from that nothing has led to.
func noParents(context.Context, []string) (map[string][]string, error) { return nil, nil }

// noPast is the past of a catalog that has always been the same.
type noPast struct{}

// At implements api.Past.
func (noPast) At(context.Context, string, time.Time) ([]byte, error) { return nil, errNoPast }

// Rewind implements api.Past.
func (noPast) Rewind(context.Context, time.Time) (*index.Index, error) { return nil, errNoPast }

var errNoPast = service.NotImplementedError.Errorf("catalogtest: this catalog does not remember what was")

// nowhere is the service.Discovery of a catalog that has no address.
type nowhere struct{}

// BaseURL implements service.Discovery.
func (nowhere) BaseURL(context.Context, string) (string, error) {
	return "http://catalog.invalid/api/catalog", nil
}

// ExternalBaseURL implements service.Discovery.
func (n nowhere) ExternalBaseURL(ctx context.Context, id string) (string, error) {
	return n.BaseURL(ctx, id)
}

// handlerTransport answers requests from a handler.
type handlerTransport struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	t.ServeHTTP(recorder, r)
	res := recorder.Result()
	res.Request = r
	return res, nil
}

func answerError(err error, c echo.Context) {
	status, name := http.StatusInternalServerError, "Error"
	var named *service.Error
	var answered *echo.HTTPError
	switch {
	case errors.As(err, &named):
		status, name = named.Name.Status(), string(named.Name)
	case errors.As(err, &answered):
		status = answered.Code
	}
	_ = c.JSON(status, map[string]any{"error": map[string]string{"name": name, "message": err.Error()}})
}
