package auth

import (
	"context"
	"net/http"

	"go.uber.org/fx"
)

// transport is how the plugins of this backend and others are asked for keys and users.
type transport struct{ *http.Transport }

func newTransport(lifecycle fx.Lifecycle) *transport {
	t := &transport{http.DefaultTransport.(*http.Transport).Clone()}
	lifecycle.Append(fx.Hook{OnStop: func(context.Context) error {
		t.CloseIdleConnections()
		return nil
	}})
	return t
}
