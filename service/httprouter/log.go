package httprouter

import (
	"net/url"
	"strings"
)

// loggedURL is a URL as the request log shows it: without the secrets that protocols like OAuth put into queries.
func loggedURL(u *url.URL) string {
	if u.RawQuery == "" {
		return u.RequestURI()
	}
	pairs := strings.Split(u.RawQuery, "&")
	changed := false
	for i, pair := range pairs {
		if name, _, found := strings.Cut(pair, "="); found && isSecret(name) {
			pairs[i] = name + "=***"
			changed = true
		}
	}
	if !changed {
		return u.RequestURI()
	}
	shown := *u
	shown.RawQuery = strings.Join(pairs, "&")
	return shown.RequestURI()
}

func isSecret(name string) bool {
	switch strings.ToLower(name) {
	case "code", "token", "access_token", "id_token", "refresh_token", "client_secret", "secret", "password", "api_key", "apikey":
		return true
	}
	return false
}
