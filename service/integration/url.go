package integration

import (
	"net/url"
	"strings"

	"github.com/portico-dev/portico/service"
)

const maxURLLength = 8 << 10

// ParseURL parses an absolute HTTP URL. Dot segments are resolved as browsers do. A URL with a user name or password, and one whose path
// has dot segments in encoded form, is an InputError. Errors hold nothing of a URL that might be secret.
func ParseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURLLength {
		return nil, service.InputError.Errorf("the URL is longer than %d characters", maxURLLength)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse may quote a password.
		return nil, service.InputError.Errorf("the URL can't be parsed: it has to be like https://host/path, with special characters encoded")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, service.InputError.Errorf("%s: the URL has to begin with https:// or http://", Redact(u))
	case u.Hostname() == "":
		return nil, service.InputError.Errorf("%s: the URL has no host", Redact(u))
	case u.User != nil:
		return nil, service.InputError.Errorf("%s: the URL must not have a user name or password; configure credentials below integrations", Redact(u))
	}
	u = u.ResolveReference(&url.URL{}) // resolves dot segments
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" || strings.HasSuffix(u.Host, ":") {
		u.Host = u.Host[:strings.LastIndexByte(u.Host, ':')]
	}
	if escapes(u.EscapedPath()) {
		return nil, service.InputError.Errorf("%s: the path of the URL leads out of its directory", Redact(u))
	}
	return u, nil
}

// escapes tells whether the path has dot segments or control characters, however often it is encoded.
func escapes(path string) bool {
	for {
		for _, r := range path {
			if r < ' ' || r == 0x7f {
				return true
			}
		}
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return false
		}
		path = decoded
	}
}

// Redact is the URL for messages: without user name and password, fragment, and those parameters that may be secret.
func Redact(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, Opaque: u.Opaque}
	query := url.Values{}
	for key, values := range u.Query() {
		switch key {
		case "path", "version", "ref", "at":
			query[key] = values
		}
	}
	shown.RawQuery = query.Encode()
	return shown.String()
}

// segments are the decoded parts of a path between slashes. A slash that is encoded is part of a segment.
func segments(escaped string) []string {
	parts := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, part := range parts {
		if decoded, err := url.PathUnescape(part); err == nil {
			parts[i] = decoded
		}
	}
	return parts
}

// EscapePath encodes each segment of a path.
func EscapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// resolve resolves a target relative to a base as the forges have it: a target that begins with a slash begins at the root of what the
// base's path without its last rootless segments is.
func resolve(target string, base *url.URL, pathSegments int, line string) (string, error) {
	t, err := url.Parse(target)
	if err != nil {
		return "", service.InputError.Errorf("%q can't be resolved: it is neither a URL nor a path with special characters encoded", target)
	}
	if t.IsAbs() {
		return target, nil
	}
	result := *base
	if strings.HasPrefix(target, "/") && t.Host == "" {
		parts := strings.Split(strings.TrimRight(base.EscapedPath(), "/"), "/")
		root := strings.Join(parts[:max(0, len(parts)-pathSegments)], "/")
		// What climbs out of the root stays at the root.
		inner := (&url.URL{Path: "/"}).ResolveReference(&url.URL{Path: t.Path, RawPath: t.RawPath})
		joined, err := url.Parse(root + inner.EscapedPath())
		if err != nil {
			return "", service.InputError.Errorf("%q can't be resolved", target)
		}
		result.Path, result.RawPath = joined.Path, joined.RawPath
	} else {
		result = *base.ResolveReference(t)
	}
	result.RawQuery = base.RawQuery
	result.Fragment, result.RawFragment = line, ""
	return result.String(), nil
}
