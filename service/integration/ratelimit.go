package integration

import (
	"net/http"
	"strconv"
	"time"
)

// RateLimit tells whether an answer means that there were too many requests, and when to come back, if the server says so. Besides the
// status 429 and Retry-After (RFC 9110), there are the headers of GitHub and GitLab.
func RateLimit(res *http.Response, now time.Time) (retryAfter time.Duration, limited bool) {
	header := res.Header
	exhausted := header.Get("X-RateLimit-Remaining") == "0" || header.Get("RateLimit-Remaining") == "0"
	after := header.Get("Retry-After")
	switch res.StatusCode {
	case http.StatusTooManyRequests:
		limited = true
	case http.StatusForbidden:
		limited = exhausted || after != ""
	case http.StatusServiceUnavailable:
		limited = after != ""
	}
	if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
		retryAfter = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		retryAfter = at.Sub(now)
	} else if exhausted {
		for _, name := range []string{"X-RateLimit-Reset", "RateLimit-Reset"} {
			if reset, err := strconv.ParseInt(header.Get(name), 10, 64); err == nil {
				retryAfter = time.Unix(reset, 0).Sub(now)
				break
			}
		}
	}
	return max(0, retryAfter), limited
}
