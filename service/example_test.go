package service_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/portico-dev/portico/service"
)

// A backend to which this is added logs through it instead of the built-in logger.
func ExampleRoot() {
	fmt.Println(service.Root[service.RootLogger](func() service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	}))
	// Output: service service.RootLogger
}

// Handlers return errors with the names that clients of Backstage know.
func ExampleErrorName_Errorf() {
	err := fmt.Errorf("reading the list: %w", service.NotFoundError.Errorf("no item %d", 7))
	fmt.Println(err)
	fmt.Println(errors.Is(err, service.NotFoundError), service.NotFoundError.Status() == http.StatusNotFound)
	// Output:
	// reading the list: no item 7
	// true true
}
