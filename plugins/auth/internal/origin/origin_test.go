package origin_test

import (
	"testing"

	"github.com/portico-dev/portico/plugins/auth/internal/origin"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://localhost:3000/some/page?x#y": "http://localhost:3000",
		"HTTPS://Portal.Example.com:443":      "https://portal.example.com",
		"http://portal.example.com:80/":       "http://portal.example.com",
		"http://portal.example.com:443":       "http://portal.example.com:443",
		"http://[::1]:3000":                   "http://[::1]:3000",
		"":                                    "", "portal.example.com": "", "javascript:alert(1)": "", "file:///etc/passwd": "", "http:": "",
		"http://": "", "http:portal.example.com": "", "http://a b": "",
	} {
		got, err := origin.Of(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	allowed, err := origin.New("https://portal.example.com/sub", []string{"https://*.preview.example.com", "http://localhost:**"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://portal.example.com/catalog?x=y#z":        true,
		"https://pr-1.preview.example.com/":               true,
		"https://PR-1.preview.example.com":                true,
		"http://localhost:3000/":                          true,
		"http://portal.example.com/":                      false,
		"https://portal.example.com.evil.com/":            false,
		"https://evil.com/.preview.example.com":           false,
		"https://evil.com#.preview.example.com":           false,
		"https://evil.com?.preview.example.com":           false,
		"https://evil.com\\.preview.example.com":          false,
		"https://portal.example.com@evil.com/":            false,
		"https://someone@portal.example.com/":             false,
		"https://portal.example.com:8443/":                false,
		"//portal.example.com/":                           false,
		"/catalog":                                        false,
		"\thttps://portal.example.com":                    false,
		"https://portal.example.com/\r\nSet-Cookie: x=y":  false,
		"javascript://portal.example.com/%0aalert(1)":     false,
		"https:portal.example.com":                        false,
		"https://evil.com%2f.preview.example.com/":        false,
		"https://evil.com/https://portal.example.com":     false,
		"https://preview.example.com/":                    false,
		"https://x.preview.example.com.evil.com/a/b?c=d#": false,
	} {
		if got := allowed.HasURL(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	if allowed.App() != "https://portal.example.com" {
		t.Error(allowed.App())
	}
	for _, pattern := range []string{"https://[", "https://{a"} {
		if _, err := origin.New("https://portal.example.com", []string{pattern}); err == nil {
			t.Errorf("the pattern %q is taken", pattern)
		}
	}
	if _, err := origin.New("portal", nil); err == nil {
		t.Error("an app without an origin")
	}
}
