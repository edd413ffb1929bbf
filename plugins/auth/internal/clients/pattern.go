// Package clients tells which OAuth clients may ask for users' tokens, and to where they may have users sent back.
package clients

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Pattern matches URLs part by part: the scheme exactly, host and path with stars that stand for anything within the part, the port exactly
// or by ":*". The pattern "*" matches all.
type Pattern struct {
	all        bool
	scheme     string
	host, path *regexp.Regexp
	port       string
	anyPort    bool
	exact      bool
}

var (
	wildcardPort   = regexp.MustCompile(`:\*(/|$)`)
	explicitScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
)

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	if text == "*" {
		return Pattern{all: true}, nil
	}
	if !explicitScheme.MatchString(text) {
		return Pattern{}, fmt.Errorf("invalid URL pattern %q, an explicit protocol is required", text)
	}
	anyPort := strings.Contains(text, "://") && wildcardPort.MatchString(text)
	u, err := url.Parse(wildcardPort.ReplaceAllString(text, ":1$1"))
	if err != nil {
		return Pattern{}, fmt.Errorf("invalid URL pattern %q", text)
	}
	p := Pattern{scheme: strings.ToLower(u.Scheme), anyPort: anyPort, port: port(u), exact: !strings.ContainsAny(text, "*?")}
	p.host = glob(u.Hostname())
	p.path = glob(path(u))
	return p, nil
}

// ParsePatterns reads patterns.
func ParsePatterns(texts []string) ([]Pattern, error) {
	var all []Pattern
	for _, text := range texts {
		p, err := ParsePattern(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// glob is a part with stars; an empty one matches anything.
func glob(part string) *regexp.Regexp {
	if part == "" {
		part = "*"
	}
	pieces := strings.Split(part, "*")
	for i := range pieces {
		pieces[i] = regexp.QuoteMeta(pieces[i])
	}
	return regexp.MustCompile(`(?is)^` + strings.Join(pieces, ".*") + `$`)
}

// path is the path as browsers see it, which of a web page is never empty.
func path(u *url.URL) string {
	if u.Opaque != "" {
		return u.Opaque
	}
	if p := u.EscapedPath(); p != "" || !isWeb(u) {
		return p
	}
	return "/"
}

func isWeb(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// port is the port of a URL, empty for the usual one.
func port(u *url.URL) string {
	p := u.Port()
	if u.Scheme == "http" && p == "80" || u.Scheme == "https" && p == "443" {
		return ""
	}
	return p
}

// Exact tells whether the pattern is one URL.
func (p Pattern) Exact() bool { return p.exact }

// Matches tells whether a URL matches.
func (p Pattern) Matches(u *url.URL) bool {
	return p.all || strings.ToLower(u.Scheme) == p.scheme && p.host.MatchString(u.Hostname()) && (p.anyPort || port(u) == p.port) &&
		p.path.MatchString(path(u))
}

// Loopback are the patterns of addresses at which programs on the machine of the user listen.
func Loopback() []string {
	return []string{"http://localhost:*/*", "http://localhost/*", "http://127.0.0.1:*/*", "http://127.0.0.1/*", "http://[::1]:*/*", "http://[::1]/*"}
}

const maxURL = 2000

// schemes that run code or show content where the link is opened are no places to go to.
var dangerous = []string{"javascript", "data", "vbscript", "about", "blob", "file", "filesystem", "view-source"}

// ParseRedirect reads a URL to which users are to be sent back. It refuses URLs that browsers may understand in another way.
func ParseRedirect(text string) (*url.URL, error) {
	odd := func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", c) }
	if len(text) > maxURL || strings.ContainsFunc(text, odd) {
		return nil, errors.New("it has characters that must be escaped, or is too long")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("it is not a URL")
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case slices.Contains(dangerous, u.Scheme), isWeb(u) && (u.Host == "" || u.Opaque != ""):
		return nil, errors.New("users can't be sent there")
	case u.User != nil || strings.ContainsAny(u.Host, "@%"):
		return nil, errors.New("it has user information")
	case strings.Contains(text, "#"):
		return nil, errors.New("it has a fragment")
	}
	return u, nil
}

// CheckRedirect tells whether the URL matches one of the patterns.
func CheckRedirect(text string, patterns []Pattern) error {
	u, err := ParseRedirect(text)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Matches(u) }) {
		return errors.New("it is not one of those that are allowed")
	}
	return nil
}

// Registered tells whether a client has registered the URL. On the machine of the user the port doesn't count (RFC 8252, section 7.3).
func Registered(text string, registered []string) bool {
	if slices.Contains(registered, text) {
		return true
	}
	u, err := ParseRedirect(text)
	if err != nil || !isLoopback(u) {
		return false
	}
	return slices.ContainsFunc(registered, func(other string) bool {
		r, err := ParseRedirect(other)
		return err == nil && isLoopback(r) && r.Scheme == u.Scheme && r.Hostname() == u.Hostname() && path(r) == path(u) && r.RawQuery == u.RawQuery
	})
}

func isLoopback(u *url.URL) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
}
