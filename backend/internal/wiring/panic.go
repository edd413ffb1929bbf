package wiring

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a contained panic. Its message is the panic's; the stack is for the log.
type PanicError struct {
	Value any
	Stack []byte
}

// Error is the message.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap is the value of the panic, where that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Recover is deferred to turn a panic into a *PanicError.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
