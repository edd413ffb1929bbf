package httprouter

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// policies are the paths of a plugin that need less than the credentials of a user or a service.
type policies struct {
	unauthenticated paths
	userCookie      paths
}

// AllowUnauthenticated opens a path and everything below it; see service.AuthPolicies.
func (p *policies) AllowUnauthenticated(path string) {
	p.unauthenticated.add("AllowUnauthenticated", path)
}

// AllowUserCookie opens a path and everything below it to users with a cookie; see service.AuthPolicies.
func (p *policies) AllowUserCookie(path string) { p.userCookie.add("AllowUserCookie", path) }

// paths are patterns that grow while requests are being served.
type paths struct {
	mu       sync.Mutex // guards changes
	patterns atomic.Pointer[[]pathPattern]
}

func (p *paths) add(method, path string) {
	pattern, err := parsePattern(path)
	if err != nil {
		panic(fmt.Sprintf("httprouter: %s(%q): %v", method, path, err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var patterns []pathPattern
	if before := p.patterns.Load(); before != nil {
		patterns = slices.Clone(*before)
	}
	patterns = append(patterns, pattern)
	p.patterns.Store(&patterns)
}

func (p *paths) match(path string) bool {
	patterns := p.patterns.Load()
	if patterns == nil {
		return false
	}
	for _, pattern := range *patterns {
		if pattern.matches(path) {
			return len(pattern) == 0 || !hasDots(path)
		}
	}
	return false
}

// pathPattern is a path with parameters, as segments. It matches paths that begin with it.
type pathPattern []string

// parsePattern reads "/", "/public", "/:provider/start" or "/static/*".
func parsePattern(path string) (pathPattern, error) {
	if path == "*" {
		return pathPattern{}, nil
	}
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("a path begins with a slash")
	}
	path = strings.Trim(path, "/")
	if path == "" {
		return pathPattern{}, nil
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case s == "*" && i == len(segments)-1:
			// Everything below is open anyway, but something has to be there.
			segments[i] = ":"
		case s == "" || strings.ContainsAny(s, "*{}()[]?+\\"):
			return nil, fmt.Errorf("segment %q: a segment is plain text or a parameter (\":name\"), and a star stands at the end", s)
		}
	}
	return segments, nil
}

func (p pathPattern) matches(path string) bool {
	rest := strings.TrimPrefix(path, "/")
	for _, want := range p {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if segment == "" || !strings.HasPrefix(want, ":") && segment != want {
			return false
		}
	}
	return true
}

// hasDots tells whether a path has segments that stand for a folder, in plain or encoded form. They could lead a handler that cleans the
// path out of what is open.
func hasDots(path string) bool {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%") {
		return false
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(path), "%2f", "/"), "/") {
		if dots := strings.ReplaceAll(segment, "%2e", "."); dots == "." || dots == ".." {
			return true
		}
	}
	return false
}
