package urlreader

import (
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/service"
)

// settings is backend.reading.
type settings struct {
	Allow []struct {
		Host  string   `schema:"required" doc:"A host that may be read from, with a port or a range of ports if they aren't the usual ones: example.com, example.com:8080, *.example.com, localhost:8000-8100. Hosts below *.example.com must have public addresses."`
		Paths []string `doc:"The paths that may be read, with all below. /docs/ is what is below /docs, without /docs itself."`
	} `doc:"What may be read by plain HTTP."`
	Limits Limits
}

// Limits bound what is read, whatever a server sends.
type Limits struct {
	// MaxFileSize is the size of a file in bytes. Default: 64 MiB.
	MaxFileSize int64 `schema:"min=1" doc:"The size of a file in bytes. Default: 64 MiB."`
	// MaxTreeSize is the size of all files of an archive in bytes, when unpacked. Default: 2 GiB.
	MaxTreeSize int64 `schema:"min=1" doc:"The size of all files of an archive in bytes. Default: 2 GiB."`
	// MaxTreeFiles is the number of entries of an archive. Default: 500,000.
	MaxTreeFiles int `schema:"min=1" doc:"The number of entries of an archive. Default: 500000."`
}

func defaultSettings() settings {
	return settings{Limits: Limits{MaxFileSize: 64 << 20, MaxTreeSize: 2 << 30, MaxTreeFiles: 500_000}}
}

func readSettings(cfg service.Config) (settings, []rule, error) {
	s := defaultSettings()
	if err := cfg.Decode("backend.reading", &s); err != nil {
		return s, nil, err
	}
	var rules []rule
	for i, entry := range s.Allow {
		r, err := newRule(entry.Host, entry.Paths)
		if err != nil {
			return s, nil, fmt.Errorf("backend.reading.allow[%d].host: %w", i, err)
		}
		rules = append(rules, r)
	}
	return s, rules, nil
}

// rule is an entry of backend.reading.allow.
type rule struct {
	host     string // in lower case; begins with a dot for all hosts below a domain
	from, to int    // ports; 0 for the usual one of the scheme
	paths    []string
}

func newRule(host string, paths []string) (rule, error) {
	wrong := fmt.Errorf("%q has to be like example.com, *.example.com, example.com:8080 or example.com:8000-8100", host)
	name, ports := strings.ToLower(host), ""
	if n := strings.LastIndexByte(name, ':'); n >= 0 && !strings.HasSuffix(name, "]") && (name[0] == '[' || strings.Count(name, ":") == 1) {
		name, ports = name[:n], name[n+1:]
		if ports == "" {
			return rule{}, wrong
		}
	}
	r := rule{paths: paths}
	if ports != "" {
		from, to, isRange := strings.Cut(ports, "-")
		if !isRange {
			to = from
		}
		var errFrom, errTo error
		r.from, errFrom = strconv.Atoi(from)
		r.to, errTo = strconv.Atoi(to)
		if errFrom != nil || errTo != nil || r.from < 1 || r.to > 65535 || r.from > r.to {
			return rule{}, wrong
		}
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if below, wildcard := strings.CutPrefix(name, "*."); wildcard {
		name = "." + below
	}
	if strings.ContainsAny(name, "*/@?# ") || strings.Trim(name, ".") == "" {
		return rule{}, wrong
	}
	r.host = name
	return r, nil
}

// exact tells whether the rule names one host.
func (r rule) exact() bool { return r.host[0] != '.' }

func (r rule) allows(u *url.URL) bool {
	host := u.Hostname()
	if r.exact() && host != r.host || !r.exact() && !strings.HasSuffix(host, r.host) {
		return false
	}
	port := 0
	if text := u.Port(); text != "" {
		if port, _ = strconv.Atoi(text); port == 0 {
			return false
		}
	} else if r.from > 0 {
		port = 443
		if u.Scheme == "http" {
			port = 80
		}
	}
	if port < r.from || port > r.to {
		return false
	}
	if r.paths == nil {
		return true
	}
	target := path.Clean("/" + u.EscapedPath())
	if strings.HasSuffix(u.EscapedPath(), "/") && target != "/" {
		target += "/"
	}
	for _, allowed := range r.paths {
		if target == allowed || strings.HasPrefix(target, strings.TrimSuffix(allowed, "/")+"/") {
			return true
		}
	}
	return false
}
