package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// ErrorName is one of the error names that Backstage's clients know. It is itself an error, so that errors.Is(err,
// service.NotFoundError) tells whether err is of that kind, wherever in a chain it stands.
type ErrorName string

// The error names, with the HTTP statuses that they are answered with.
const (
	NotModifiedError        ErrorName = "NotModifiedError"        // 304
	InputError              ErrorName = "InputError"              // 400
	AuthenticationError     ErrorName = "AuthenticationError"     // 401
	NotAllowedError         ErrorName = "NotAllowedError"         // 403
	NotFoundError           ErrorName = "NotFoundError"           // 404
	ConflictError           ErrorName = "ConflictError"           // 409
	NotImplementedError     ErrorName = "NotImplementedError"     // 501
	ServiceUnavailableError ErrorName = "ServiceUnavailableError" // 503
)

// Error is the name itself.
func (n ErrorName) Error() string { return string(n) }

// Errorf returns an [*Error] of this name. The format is that of fmt.Errorf: an error formatted with %w is its cause.
func (n ErrorName) Errorf(format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	e := &Error{Name: n, Message: wrapped.Error()}
	if errors.Unwrap(wrapped) != nil {
		e.Cause = errors.Unwrap(wrapped)
	}
	return e
}

// Status is the HTTP status that errors of this name are answered with: 500 for names without one.
func (n ErrorName) Status() int {
	switch n {
	case NotModifiedError:
		return http.StatusNotModified
	case InputError:
		return http.StatusBadRequest
	case AuthenticationError:
		return http.StatusUnauthorized
	case NotAllowedError:
		return http.StatusForbidden
	case NotFoundError:
		return http.StatusNotFound
	case ConflictError:
		return http.StatusConflict
	case NotImplementedError:
		return http.StatusNotImplemented
	case ServiceUnavailableError:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is an error with a name that clients can tell. A handler that returns one, alone or wrapped, has it answered with its status
// and the JSON error body of Backstage.
type Error struct {
	// Name is the kind of the error.
	Name ErrorName
	// Message is for the caller: it is part of the answer.
	Message string
	// Cause is what led to the error, or nil. It is logged, not answered.
	Cause error
	// Details are further fields of the answer's error object.
	Details map[string]any
}

// DecodeError is the error in the JSON body of an answer, as Backstage and Portico write it, or nil if there is none in it.
func DecodeError(body []byte) *Error {
	var answer struct {
		Error struct {
			Name    ErrorName `json:"name"`
			Message string    `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Error.Name == "" {
		return nil
	}
	return &Error{Name: answer.Error.Name, Message: answer.Error.Message}
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the error's name.
func (e *Error) Is(target error) bool {
	name, ok := target.(ErrorName)
	return ok && name == e.Name
}
