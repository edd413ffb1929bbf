package usersettings

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// maxName is how many characters a bucket or a key may have.
const maxName = 255

type routes struct {
	auth     service.HTTPAuth
	settings settings
	events   service.Events
}

// user is the ref of the user who makes the request.
func (r routes) user(c echo.Context) (string, error) {
	who, err := r.auth.Credentials(c.Request(), service.AllowUser)
	return who.Subject, err
}

// setting is what the request is about, without its value.
func (r routes) setting(c echo.Context) (setting, error) {
	user, err := r.user(c)
	if err != nil {
		return setting{}, err
	}
	key := c.Param("*")
	if c.Request().URL.RawPath != "" { // or else it is decoded already
		if key, err = url.PathUnescape(key); err != nil {
			return setting{}, service.InputError.Errorf("The key is encoded wrongly: %w", err)
		}
	}
	s := setting{User: user, Bucket: c.Param("bucket"), Key: key}
	if utf8.RuneCountInString(s.Bucket) > maxName || utf8.RuneCountInString(s.Key) > maxName {
		return setting{}, service.InputError.Errorf("The names of buckets and keys have at most %d characters", maxName)
	}
	return s, nil
}

func (r routes) get(c echo.Context) error {
	s, err := r.setting(c)
	if err != nil {
		return err
	}
	values, err := r.settings.values(c.Request().Context(), s.User, []name{s.name()})
	if err != nil {
		return err
	}
	value, ok := values[s.name()]
	if !ok {
		return service.NotFoundError.Errorf("Unable to find '%s' in bucket '%s'", s.Key, s.Bucket)
	}
	return c.JSON(http.StatusOK, answer{s.name(), value})
}

func (r routes) put(c echo.Context) error {
	s, err := r.setting(c)
	if err != nil {
		return err
	}
	var body struct {
		Value json.RawMessage `json:"value"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if body.Value == nil {
		return service.InputError.Errorf(`Missing required field "value"`)
	}
	s.Value = string(body.Value)
	if err := r.settings.set(c.Request().Context(), s); err != nil {
		return err
	}
	if err := r.tell(c.Request().Context(), s, "key-changed"); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer{s.name(), body.Value})
}

func (r routes) delete(c echo.Context) error {
	s, err := r.setting(c)
	if err != nil {
		return err
	}
	if err := r.settings.delete(c.Request().Context(), s); err != nil {
		return err
	}
	if err := r.tell(c.Request().Context(), s, "key-deleted"); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (r routes) multiget(c echo.Context) error {
	user, err := r.user(c)
	if err != nil {
		return err
	}
	var body struct {
		Items []struct {
			Bucket, Key *string
		}
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if body.Items == nil {
		return service.InputError.Errorf(`Missing required field "items"`)
	}
	names := make([]name, len(body.Items))
	for i, item := range body.Items {
		if item.Bucket == nil || item.Key == nil {
			return service.InputError.Errorf("items[%d] needs a bucket and a key", i)
		}
		names[i] = name{*item.Bucket, *item.Key}
	}
	values, err := r.settings.values(c.Request().Context(), user, names)
	if err != nil {
		return err
	}
	type item struct {
		Value json.RawMessage `json:"value"`
	}
	items := make([]*item, len(names))
	for i, n := range names {
		if value, ok := values[n]; ok {
			items[i] = &item{value}
		}
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items})
}

// answer is a setting as it is answered.
type answer struct {
	name
	Value json.RawMessage `json:"value"`
}

func decode(c echo.Context, into any) error {
	err := json.NewDecoder(c.Request().Body).Decode(into)
	if tooLarge := (*http.MaxBytesError)(nil); err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return service.InputError.Errorf("The body of the request can't be read: %w", err)
}

// tell tells the user's browsers of a change.
func (r routes) tell(ctx context.Context, s setting, what string) error {
	event, err := service.NewEvent("signals", map[string]any{
		"recipients": map[string]any{"type": "user", "entityRef": s.User},
		"channel":    "user-settings",
		"message":    map[string]any{"type": what, "key": s.Key},
	})
	if err != nil {
		return err
	}
	return r.events.Publish(ctx, event)
}
