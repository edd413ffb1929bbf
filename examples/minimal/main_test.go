package main

import (
	"net/http"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
)

func TestHello(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, hello(), backendtest.Config(map[string]any{"hello": map[string]any{"greeting": "Ahoy"}}))
	res := b.Anonymous(t).Get("/api/hello")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %s", res.Status)
	}
	if got := backendtest.JSON[map[string]string](t, res)["message"]; got != "Ahoy" {
		t.Errorf("the greeting is %q", got)
	}
}

func TestAMisspeltKeyIsAnError(t *testing.T) {
	t.Parallel()
	_, err := backendtest.TryStart(t, hello(), backendtest.Config(map[string]any{"hello": map[string]any{"greting": "Ahoy"}}))
	if err == nil {
		t.Fatal("the backend started")
	}
	t.Log(err)
}
