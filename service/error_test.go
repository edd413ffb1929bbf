package service_test

import (
	"errors"
	"io"
	"testing"

	"github.com/portico-dev/portico/service"
)

func TestErrorNames(t *testing.T) {
	t.Parallel()
	for name, status := range map[service.ErrorName]int{
		service.NotModifiedError: 304, service.InputError: 400, service.AuthenticationError: 401, service.NotAllowedError: 403,
		service.NotFoundError: 404, service.ConflictError: 409, service.NotImplementedError: 501, service.ServiceUnavailableError: 503,
		"OtherError": 500,
	} {
		err := name.Errorf("reading: %w", io.ErrUnexpectedEOF)
		if name.Status() != status {
			t.Errorf("%s has status %d, want %d", name, name.Status(), status)
		}
		if !errors.Is(err, name) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, service.ErrorName("YetAnotherError")) {
			t.Errorf("%s: errors.Is doesn't tell what the error is", name)
		}
		if err.Error() != "reading: unexpected EOF" {
			t.Errorf("the message is %q", err)
		}
	}
}

func TestDecodeError(t *testing.T) {
	t.Parallel()
	got := service.DecodeError([]byte(`{"error":{"name":"ConflictError","message":"taken"},"response":{"statusCode":409}}`))
	if !errors.Is(got, service.ConflictError) || got.Error() != "taken" {
		t.Errorf("got %v", got)
	}
	for _, body := range []string{"", "null", "[]", `{"error":"x"}`, `{"error":{"message":"x"}}`} {
		if got := service.DecodeError([]byte(body)); got != nil {
			t.Errorf("%s: got %v", body, got)
		}
	}
}
