// Package origin tells which web origins take part in signing in.
package origin

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Of is the origin of an http(s) URL, as browsers write it: in lower case, and without the usual port.
func Of(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if scheme != "http" && scheme != "https" || host == "" || u.Opaque != "" {
		return "", fmt.Errorf("%q is not an http(s) URL", text)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// Allowed are the origins of frontends. It does not change.
type Allowed struct {
	app      string
	patterns []string
}

// New allows the origin of the app, and those that match a pattern like "https://*.example.com", in which a star stands for anything but a
// slash.
func New(appURL string, patterns []string) (Allowed, error) {
	app, err := Of(appURL)
	if err != nil {
		return Allowed{}, err
	}
	a := Allowed{app: app}
	for _, pattern := range patterns {
		pattern = strings.ToLower(pattern)
		for strings.Contains(pattern, "**") {
			pattern = strings.ReplaceAll(pattern, "**", "*")
		}
		if !doublestar.ValidatePattern(pattern) {
			return Allowed{}, fmt.Errorf("%q is not a pattern of origins; one is https://*.example.com", pattern)
		}
		a.patterns = append(a.patterns, pattern)
	}
	return a, nil
}

// App is the origin of the app itself.
func (a Allowed) App() string { return a.app }

// Has tells whether an origin, as [Of] returns it, is allowed.
func (a Allowed) Has(origin string) bool {
	return origin == a.app || slices.ContainsFunc(a.patterns, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, origin) })
}

// HasURL tells whether the origin of a URL is allowed, to which a browser may then be sent.
func (a Allowed) HasURL(text string) bool {
	// Browsers take a backslash for a slash, and pass over tabs and line breaks: such a URL is not what it seems.
	if strings.ContainsFunc(text, func(c rune) bool { return c == '\\' || c <= ' ' || c == 0x7f }) {
		return false
	}
	origin, err := Of(text)
	if err != nil {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && u.User == nil && a.Has(origin)
}
