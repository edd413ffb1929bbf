package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

const (
	cookieName = "backstage-auth"
	// renewBefore is how long before its end a cookie is replaced.
	renewBefore = 5 * time.Minute
)

// HTTPAuth implements service.HTTPAuth for one plugin.
type HTTPAuth struct {
	auth   service.Auth
	server *httprouter.Server
	clock  clockwork.Clock
}

func newHTTPAuth(auth service.Auth, server *httprouter.Server, clock clockwork.Clock) service.HTTPAuth {
	return &HTTPAuth{auth, server, clock}
}

// Credentials implements service.HTTPAuth.
func (h *HTTPAuth) Credentials(r *http.Request, allow ...service.PrincipalKind) (service.Credentials, error) {
	token := bearerToken(r.Header)
	if token == "" && slices.Contains(allow, service.AllowLimitedUser) {
		token = cookieToken(r)
	}
	if token == "" {
		return permit(service.Credentials{Kind: service.AllowNone}, allow)
	}
	return h.auth.Authenticate(r.Context(), token, allow...)
}

// bearerToken is the token of the Authorization header, or empty: other schemes than Bearer are not for us.
func bearerToken(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.IndexByte(token, ' ') >= 0 || strings.IndexByte(token, '\t') >= 0 {
		return ""
	}
	return token
}

// cookieToken is the token of the cookie, or empty.
func cookieToken(r *http.Request) string {
	if cookies := r.CookiesNamed(cookieName); len(cookies) > 0 {
		return cookies[0].Value
	}
	return ""
}

// IssueUserCookie implements service.HTTPAuth.
func (h *HTTPAuth) IssueUserCookie(w http.ResponseWriter, r *http.Request, user service.Credentials) (time.Time, error) {
	switch user.Kind {
	case service.AllowUser:
	case service.AllowNone:
		now := h.clock.Now()
		return now, h.setCookie(w, "", time.Unix(0, 0))
	default:
		return time.Time{}, refuse("Refused to issue cookie for non-user principal", nil)
	}
	if expiry, ok := h.presentCookie(r, user.Subject); ok && h.clock.Now().Add(renewBefore).Before(expiry) {
		return expiry, nil
	}
	token, expiry, err := h.auth.LimitedUserToken(r.Context(), user)
	if err != nil {
		return time.Time{}, err
	}
	return expiry, h.setCookie(w, token.Reveal(), expiry)
}

// presentCookie tells when the cookie of the request ends, if it is a good one of that user.
func (h *HTTPAuth) presentCookie(r *http.Request, user string) (time.Time, bool) {
	token := cookieToken(r)
	if token == "" {
		return time.Time{}, false
	}
	c, err := h.auth.Authenticate(r.Context(), token, service.AllowUser, service.AllowLimitedUser)
	return c.ExpiresAt, err == nil && c.Subject == user
}

// setCookie sets the cookie for the host by which browsers reach the backend. The frontend may come from another site, which needs
// SameSite=None; browsers take that only with Secure, and Secure only over HTTPS or from localhost.
func (h *HTTPAuth) setCookie(w http.ResponseWriter, value string, expiry time.Time) error {
	base, err := url.Parse(h.server.BaseURL())
	if err != nil {
		return fmt.Errorf("auth: setting the cookie of a user: %w", err)
	}
	host := base.Hostname()
	cookie := http.Cookie{Name: cookieName, Value: value, Path: "/", Expires: expiry, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if !strings.Contains(host, ":") { // browsers have no domains for IPv6 addresses
		cookie.Domain = host
	}
	if base.Scheme == "https" || host == "localhost" {
		cookie.Secure, cookie.SameSite = true, http.SameSiteNoneMode
	}
	line := cookie.String()
	if line == "" {
		return errors.New("auth: the cookie of a user can't be encoded")
	}
	w.Header().Add("Set-Cookie", line+"; Priority=High")
	return nil
}
