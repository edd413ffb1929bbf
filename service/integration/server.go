package integration

import (
	"net/url"
	"strings"
)

// server is what all integrations have.
type server struct {
	host  string
	bases []*url.URL
}

// Host implements Integration.
func (s *server) Host() string { return s.host }

// Bases implements Integration.
func (s *server) Bases() []*url.URL { return s.bases }

// resolveIn resolves a target relative to a base of an integration.
func resolveIn(in Integration, target, base, line string) (string, error) {
	u, err := ParseURL(base)
	if err != nil {
		return "", err
	}
	l, err := in.Parse(base)
	if err != nil {
		return "", err
	}
	return resolve(target, u, l.pathSegments, line)
}

func join(parts []string) string { return strings.Trim(strings.Join(parts, "/"), "/") }

func trimGit(name string) string { return strings.TrimSuffix(name, ".git") }
