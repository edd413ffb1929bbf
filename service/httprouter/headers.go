package httprouter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// header is a header that all answers carry. The slice is shared between answers: it has no spare capacity, so that whoever appends
// to it gets a copy.
type header struct {
	name   string
	values []string
}

// securityHeaders are those that helmet 6 sets, with the changes that Backstage makes.
func (r *reader) securityHeaders() []header {
	values := [][2]string{
		{"Content-Security-Policy", r.contentSecurityPolicy("backend.csp")},
		{"Referrer-Policy", r.referrerPolicy("backend.referrer.policy")},
		{"Strict-Transport-Security", "max-age=15552000; includeSubDomains"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Dns-Prefetch-Control", "off"},
		{"X-Download-Options", "noopen"},
		{"X-Frame-Options", "SAMEORIGIN"},
		{"X-Permitted-Cross-Domain-Policies", "none"},
		{"X-Xss-Protection", "0"},
	}
	headers := make([]header, len(values))
	for i, v := range values {
		headers[i] = header{name: v[0], values: []string{v[1]}}
	}
	return headers
}

type directive struct {
	name   string
	values []string
}

// defaultDirectives are the directives of helmet 6, with the 'unsafe-eval' that Backstage's frontend needs and without form-action, which
// would stop sign-in forms.
func defaultDirectives() []directive {
	return []directive{
		{"default-src", []string{"'self'"}},
		{"base-uri", []string{"'self'"}},
		{"font-src", []string{"'self'", "https:", "data:"}},
		{"frame-ancestors", []string{"'self'"}},
		{"img-src", []string{"'self'", "data:"}},
		{"object-src", []string{"'none'"}},
		{"script-src", []string{"'self'", "'unsafe-eval'"}},
		{"script-src-attr", []string{"'none'"}},
		{"style-src", []string{"'self'", "https:", "'unsafe-inline'"}},
		{"upgrade-insecure-requests", nil},
	}
}

// contentSecurityPolicy changes the default directives as configured: a list replaces a directive, false removes it.
func (r *reader) contentSecurityPolicy(key string) string {
	directives := defaultDirectives()
	var configured map[string]any
	r.decode(key, &configured)
	var names []string
	for name := range configured {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, raw := range names {
		name := kebab(raw)
		if !directiveName.MatchString(name) {
			r.fail(key, "%q is not the name of a directive", raw)
			return ""
		}
		at := slices.IndexFunc(directives, func(d directive) bool { return d.name == name })
		if configured[raw] == false {
			if at >= 0 {
				directives = slices.Delete(directives, at, at+1)
			}
			continue
		}
		values, err := directiveValues(configured[raw])
		if err != nil {
			r.fail(key+"."+raw, "%w", err)
			return ""
		}
		if at < 0 {
			directives = append(directives, directive{name, values})
		} else {
			directives[at].values = values
		}
	}
	if !slices.ContainsFunc(directives, func(d directive) bool { return d.name == "default-src" }) {
		r.fail(key+".default-src", "a policy needs this directive; give it the sources that are allowed where no other directive says so")
		return ""
	}
	parts := make([]string, len(directives))
	for i, d := range directives {
		parts[i] = strings.Join(append([]string{d.name}, d.values...), " ")
	}
	return strings.Join(parts, ";")
}

var directiveName = regexp.MustCompile(`^[a-z0-9-]+$`)

func directiveValues(v any) ([]string, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%v is neither a list of sources nor false", v)
	}
	values := make([]string, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok || strings.ContainsFunc(s, func(c rune) bool { return c == ';' || c == ',' || c > unicode.MaxASCII || unicode.IsControl(c) }) {
			return nil, fmt.Errorf("%v is not a source; a source is a string without semicolons, commas and control characters", item)
		}
		values[i] = s
	}
	return values, nil
}

// kebab is how Backstage takes directives that are written like "connectSrc".
func kebab(s string) string {
	var b strings.Builder
	for i, c := range s {
		if unicode.IsUpper(c) {
			if i > 0 {
				b.WriteByte('-')
			}
			c = unicode.ToLower(c)
		}
		b.WriteRune(c)
	}
	return b.String()
}

func (r *reader) referrerPolicy(key string) string {
	policies := r.list(key)
	if policies == nil {
		return "no-referrer"
	}
	known := []string{"no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
		"origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url", ""}
	for i, p := range policies {
		if !slices.Contains(known, p) {
			r.fail(key, "%q is not a referrer policy; there are %s", p, strings.Join(known[:len(known)-1], ", "))
		}
		if slices.Contains(policies[:i], p) {
			r.fail(key, "%q is there twice", p)
		}
	}
	if len(policies) == 0 {
		r.fail(key, "the list is empty")
	}
	return strings.Join(policies, ",")
}
