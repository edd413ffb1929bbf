package httprouter

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// cookiePath is where the frontend gets, renews and removes the cookie of a user, below each plugin.
const cookiePath = "/.backstage/auth/v1/cookie"

// timeFormat is how JavaScript writes a time in JSON.
const timeFormat = "2006-01-02T15:04:05.000Z"

// issueCookie gives the user a cookie. Another cookie is not enough to get one.
func (m *mount) issueCookie(c echo.Context, r *http.Request) error {
	user, err := m.auth.Credentials(r, service.AllowUser)
	if err != nil {
		return err
	}
	expiry, err := m.auth.IssueUserCookie(c.Response(), r, user)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"expiresAt": expiry.UTC().Truncate(time.Millisecond).Format(timeFormat)})
}

// removeCookie takes the cookie back.
func (m *mount) removeCookie(c echo.Context, r *http.Request) error {
	if _, err := m.auth.IssueUserCookie(c.Response(), r, service.Credentials{Kind: service.AllowNone}); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
