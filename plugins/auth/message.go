package auth

import (
	"context"
	"errors"
	"net/http"

	"github.com/portico-dev/portico/service"
)

// message is what the window that has opened the pop-up gets.
type message struct {
	Type     string        `json:"type"`
	Response *session      `json:"response,omitempty"`
	Error    *messageError `json:"error,omitempty"`
}

type messageError struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

const messageType = "authorization_response"

// failure is the message of an error. What is not meant for users is logged instead.
func (p *portal) failure(ctx context.Context, provider string, err error) message {
	told := &messageError{Name: "Error", Message: "Failed to sign in with " + provider + "; the log of the backend tells why"}
	if named := (*service.Error)(nil); errors.As(err, &named) {
		told = &messageError{Name: string(named.Name), Message: named.Message}
	}
	p.base.Log.WarnContext(ctx, "A sign-in failed", "provider", provider, "error", reason(err))
	return message{Type: messageType, Error: told}
}

// reason is an error as the log has it: with its cause, which is not for users.
func reason(err error) string {
	if named := (*service.Error)(nil); errors.As(err, &named) && named.Cause != nil {
		return err.Error() + ": " + named.Cause.Error()
	}
	return err.Error()
}

// fromScript refuses requests that another site could have a browser make: those of scripts have a header that needs permission.
func fromScript(r *http.Request) error {
	if r.Header.Get("X-Requested-With") != "XMLHttpRequest" {
		return service.AuthenticationError.Errorf("Invalid X-Requested-With header")
	}
	return nil
}
