package auth_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

func TestUserInfo(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	info := p.plugins["todo"].userInfo
	refs := []string{guest, "group:default/team"}

	token := p.issue(p.key, usertoken.Claims{Subject: guest, Custom: map[string]any{"ent": refs}})
	if user, err := info.UserInfo(t.Context(), p.credentials("todo", token)); err != nil || user.EntityRef != guest || !reflect.DeepEqual(user.OwnershipEntityRefs, refs) {
		t.Errorf("told by the token: %+v, %v", user, err)
	}

	var asked atomic.Int64
	var shown atomic.Value
	p.serveUsers(func(c echo.Context) error {
		asked.Add(1)
		shown.Store(strings.TrimPrefix(c.Request().Header.Get("Authorization"), "Bearer "))
		return c.JSON(http.StatusOK, map[string]any{"claims": map[string]any{"sub": guest, "ent": refs}})
	})
	token = p.user(guest)
	for range 3 {
		for _, plugin := range []string{"todo", "notes"} {
			user, err := p.plugins[plugin].userInfo.UserInfo(t.Context(), p.credentials(plugin, token))
			if err != nil || user.EntityRef != guest || !reflect.DeepEqual(user.OwnershipEntityRefs, refs) {
				t.Errorf("told by the plugin auth: %+v, %v", user, err)
			}
		}
	}
	if asked.Load() != 1 || shown.Load() != token {
		t.Errorf("the plugin auth was asked %d times, with %v", asked.Load(), shown.Load())
	}
	// A plugin that acts for the user has the limited token only.
	onBehalf := p.credentials("notes", p.pluginToken("todo", "notes", p.credentials("todo", token)))
	if _, err := info.UserInfo(t.Context(), onBehalf); err != nil || shown.Load() != p.limited(token) {
		t.Errorf("on behalf of the user: %v, with %v", err, shown.Load())
	}
	p.Clock.Advance(6 * time.Second)
	if _, err := info.UserInfo(t.Context(), p.credentials("todo", token)); err != nil || asked.Load() != 3 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

func TestNoUserInfo(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	info := p.plugins["todo"].userInfo
	for name, c := range map[string]service.Credentials{
		"a service": p.plugins["todo"].auth.OwnCredentials(), "nobody": {Kind: service.AllowNone}, "no token": {Kind: service.AllowUser, Subject: guest},
	} {
		if _, err := info.UserInfo(t.Context(), c); !errors.Is(err, service.InputError) {
			t.Errorf("%s: %v", name, err)
		}
	}
	user := p.credentials("todo", p.user(guest))
	if _, err := info.UserInfo(t.Context(), user); !errors.Is(err, service.NotFoundError) {
		t.Errorf("a user who has never signed in: %v", err)
	}
	for name, serve := range map[string]echo.HandlerFunc{
		"no JSON":      func(c echo.Context) error { return c.String(http.StatusOK, "<html>") },
		"no ownership": func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]any{"claims": map[string]any{}}) },
		"other ownership": func(c echo.Context) error {
			return c.JSON(http.StatusOK, map[string]any{"claims": map[string]any{"ent": []any{1}}})
		},
		"a failure": func(echo.Context) error { return errors.New("broken") },
		"no end": func(c echo.Context) error {
			for c.Request().Context().Err() == nil {
				if _, err := c.Response().Write([]byte(strings.Repeat(" ", 1<<16))); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		p.serveUsers(serve)
		if got, err := info.UserInfo(t.Context(), user); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
