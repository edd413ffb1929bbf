package httprouter

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Values that answers share. They have no spare capacity, so that whoever appends to them gets a copy.
var (
	anyOrigin      = []string{"*"}
	variesByOrigin = []string{"Origin"}
)

// corsPolicy tells browsers which other origins may use the backend. It follows the configuration and the behaviour of Backstage,
// where it is the cors package for Express.
type corsPolicy struct {
	origins         []string // patterns in lower case; nil for any origin, without credentials from browsers
	methods         []string
	allowedHeaders  []string // nil answers what was asked for
	exposedHeaders  []string
	credentials     []string
	maxAge          []string
	passPreflight   bool
	preflightStatus int
}

func (r *reader) cors(key string) *corsPolicy {
	if !r.config.Has(key) {
		return nil
	}
	joined := func(name, fallback string) []string {
		values := r.list(key + "." + name)
		if values == nil && fallback == "" {
			return nil
		} else if values == nil {
			return []string{fallback}
		}
		return []string{strings.Join(values, ",")}
	}
	p := &corsPolicy{
		origins:         slices.Clone(r.list(key + ".origin")),
		methods:         joined("methods", "GET,HEAD,PUT,PATCH,POST,DELETE"),
		allowedHeaders:  joined("allowedHeaders", ""),
		exposedHeaders:  joined("exposedHeaders", ""),
		passPreflight:   r.flag(key + ".preflightContinue"),
		preflightStatus: r.count(key+".optionsSuccessStatus", http.StatusNoContent),
	}
	for i, pattern := range p.origins {
		// As there, a double star is no more than a single one, and case does not matter.
		for strings.Contains(pattern, "**") {
			pattern = strings.ReplaceAll(pattern, "**", "*")
		}
		p.origins[i] = strings.ToLower(pattern)
		if !doublestar.ValidatePattern(p.origins[i]) {
			r.fail(key+".origin", `%q is not a pattern; write an origin like "https://*.example.com"`, pattern)
		}
	}
	if p.preflightStatus < 200 || p.preflightStatus > 299 {
		r.fail(key+".optionsSuccessStatus", "%d is not a status of success", p.preflightStatus)
	}
	if r.flag(key + ".credentials") {
		p.credentials = []string{"true"}
	}
	if r.config.Has(key + ".maxAge") {
		p.maxAge = []string{strconv.Itoa(r.count(key+".maxAge", 0))}
	}
	return p
}

// serve adds the headers to the answer, and reports whether it has answered a preflight request.
func (p *corsPolicy) serve(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	if p.origins == nil {
		h["Access-Control-Allow-Origin"] = anyOrigin
	} else {
		h["Vary"] = variesByOrigin
		origin := r.Header["Origin"]
		if len(origin) == 0 || !p.allows(origin[0]) {
			return false
		}
		h["Access-Control-Allow-Origin"] = origin[:1:1]
	}
	set := func(name string, values []string) {
		if values != nil {
			h[name] = values
		}
	}
	set("Access-Control-Allow-Credentials", p.credentials)
	set("Access-Control-Expose-Headers", p.exposedHeaders)
	if r.Method != http.MethodOptions {
		return false
	}
	set("Access-Control-Allow-Methods", p.methods)
	set("Access-Control-Max-Age", p.maxAge)
	if p.allowedHeaders != nil {
		h["Access-Control-Allow-Headers"] = p.allowedHeaders
	} else {
		h["Vary"] = append(h["Vary"], "Access-Control-Request-Headers")
		set("Access-Control-Allow-Headers", r.Header["Access-Control-Request-Headers"])
	}
	if p.passPreflight {
		return false
	}
	w.WriteHeader(p.preflightStatus)
	return true
}

func (p *corsPolicy) allows(origin string) bool {
	if origin == "" {
		return false
	}
	origin = strings.ToLower(origin)
	for _, pattern := range p.origins {
		if doublestar.MatchUnvalidated(pattern, origin) {
			return true
		}
	}
	return false
}
