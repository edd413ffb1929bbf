package httprouter

import (
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// logRequest writes the line of the request log: as its message what web servers have always written, and the same as attributes.
func (s *Server) logRequest(res *response, r *http.Request) {
	ctx := r.Context()
	handler := s.log.Handler()
	if !handler.Enabled(ctx, slog.LevelInfo) {
		return
	}
	now := time.Now()
	shownURL := loggedURL(r.URL)
	version := strings.TrimPrefix(r.Proto, "HTTP/")
	agent, referrer := r.UserAgent(), r.Referer()

	line := make([]byte, 0, 256)
	line = append(line, '[')
	line = now.UTC().AppendFormat(line, timeFormat)
	line = append(line, `] "`...)
	line = append(line, r.Method...)
	line = append(line, ' ')
	line = append(line, shownURL...)
	line = append(line, ` HTTP/`...)
	line = append(line, version...)
	line = append(line, `" `...)
	line = strconv.AppendInt(line, int64(res.status), 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, res.size, 10)
	for _, s := range []string{referrer, agent} {
		if s == "" {
			s = "-"
		}
		line = append(line, ` "`...)
		line = append(line, s...)
		line = append(line, '"')
	}

	message := string(line)

	attrs := append(make([]slog.Attr, 0, 9), slog.String("type", "incomingRequest"), slog.String("date", message[1:1+len(timeFormat)]),
		slog.String("method", r.Method), slog.String("url", shownURL), slog.Int("status", res.status), slog.String("httpVersion", version),
		slog.Int64("contentLength", res.size))
	if agent != "" {
		attrs = append(attrs, slog.String("userAgent", agent))
	}
	if referrer != "" {
		attrs = append(attrs, slog.String("referrer", referrer))
	}
	// Without the place in the code, which says nothing here and takes time to find.
	record := slog.NewRecord(now, slog.LevelInfo, message, 0)
	record.AddAttrs(attrs...)
	_ = handler.Handle(ctx, record) // as slog.Logger does: there is no other place to tell
}

// RequestInfo is what a record of a request tells of it.
type RequestInfo struct {
	// Method is the HTTP method.
	Method string
	// URL is the path and query as they were sent, without the secrets that protocols like OAuth put into queries.
	URL string
	// ClientIP is the address of the client, and Hostname the host that it asked; `backend.trustProxy` tells whether those are what
	// proxies say.
	ClientIP, Hostname string
	// UserAgent is what the client calls itself.
	UserAgent string
}

// RequestInfo tells what may be recorded of a request. It comes from the client, and may be anything.
func (s *Server) RequestInfo(r *http.Request) RequestInfo {
	sent, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		sent = r.URL // the request did not come over a socket
	}
	return RequestInfo{Method: r.Method, URL: loggedURL(sent), ClientIP: s.settings.clientIP(r), Hostname: s.settings.proxies.hostname(r),
		UserAgent: r.UserAgent()}
}

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
