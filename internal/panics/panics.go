// Package panics contains the panics of what others have written, such as plugins, modules and their tasks, so that they end nothing else.
package panics

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Error is a contained panic. Its message is the panic's; the stack is for the log. Whatever the value is, it is no error that somebody expects: it
// is not unwrapped.
type Error struct {
	Value any
	Stack []byte
}

// New returns the error for what recover has returned. The stack is that of the caller.
func New(value any) *Error { return &Error{Value: value, Stack: debug.Stack()} }

// Error is the message.
func (e *Error) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Recover is deferred to turn a panic into an *Error.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = New(v)
	}
}

// Attrs adds to the attributes of a record of the log what is known of an error: with the stack, if it is a panic.
func Attrs(err error, attrs ...any) []any {
	attrs = append(attrs, "error", err)
	if p := (*Error)(nil); errors.As(err, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	return attrs
}
