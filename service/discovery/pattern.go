package discovery

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// target is the target of an endpoint: one URL, or one for each side.
type target struct {
	Internal internalURL
	External externalURL
}

// UnmarshalText takes one URL for both sides.
func (t *target) UnmarshalText(text []byte) error {
	if err := t.External.UnmarshalText(text); err != nil {
		return err
	}
	t.Internal.pattern = t.External.pattern
	return nil
}

// internalURL is a URL for other plugins, which may be one whose host is in SRV records.
type internalURL struct{ *pattern }

func (u *internalURL) UnmarshalText(text []byte) (err error) {
	u.pattern, err = parsePattern(string(text))
	return err
}

// externalURL is a URL for browsers, who know nothing of SRV records.
type externalURL struct{ *pattern }

func (u *externalURL) UnmarshalText(text []byte) (err error) {
	u.pattern, err = parsePattern(string(text))
	if err == nil && u.srv {
		err = errors.New("a URL that is looked up in SRV records can only be a target.internal: browsers don't look there")
	}
	return err
}

// pattern is a URL that may have placeholders for the id of a plugin.
type pattern struct {
	parts []string // around the placeholders
	srv   bool
}

var (
	placeholder = regexp.MustCompile(`\{\{\s*pluginId\s*\}\}`)
	idPrefix    = regexp.MustCompile(`^[A-Za-z0-9_-]+`)
)

const srvSuffix = "+srv"

func parsePattern(text string) (*pattern, error) {
	p := &pattern{parts: placeholder.Split(strings.TrimRight(text, "/"), -1)}
	u, err := url.Parse(p.base("plugin"))
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf(`%q is not a URL; write something like "https://catalog.example.com/api/{{pluginId}}"`, text)
	}
	scheme, srv := strings.CutSuffix(u.Scheme, srvSuffix)
	p.srv = srv
	switch {
	case scheme != "http" && scheme != "https":
		return nil, fmt.Errorf("%q must begin with http:// or https://, or with http+srv:// or https+srv:// where SRV records name the host", text)
	case u.User != nil:
		return nil, errors.New("a base URL has no user and no password")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return nil, fmt.Errorf("%q is a base URL: it can't have a query or a fragment", text)
	case srv && u.Port() != "":
		return nil, fmt.Errorf("%q can't have a port: it is looked up in SRV records", text)
	case strings.Contains(strings.Join(p.parts, ""), "{{"):
		return nil, fmt.Errorf("%q has a placeholder that is unknown; there is only {{pluginId}}", text)
	}
	return p, nil
}

// base is the URL for a plugin.
func (p *pattern) base(pluginID string) string {
	return strings.Join(p.parts, url.PathEscape(pluginID))
}

// id is the id that stands in the address where the pattern has its first placeholder, or empty. The rest of the address may be another.
func (p *pattern) id(address string) string {
	rest, ok := strings.CutPrefix(address, p.parts[0])
	if !ok || len(p.parts) == 1 {
		return ""
	}
	return idPrefix.FindString(rest)
}
