package flow

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// WriteMessage answers with a page that posts a message to the window that has opened it, if that is of the origin, and closes itself. The
// page runs no other script.
func WriteMessage(w http.ResponseWriter, origin string, message any) error {
	encoded, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("auth: encoding the end of a sign-in: %w", err)
	}
	// The frontend waits for the first message to tell where the second one went. It looks every 100 ms whether the window is still open.
	script := `
const receiver = window.opener || window.parent;
const appOrigin = decodeURIComponent('` + percent(origin) + `');
receiver.postMessage({ type: 'config_info', targetOrigin: appOrigin }, '*');
receiver.postMessage(JSON.parse(decodeURIComponent('` + percent(string(encoded)) + `')), appOrigin);
setTimeout(() => window.close(), 100);
`
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	return writePage(w, script, "frame-ancestors 'self'", "")
}

// sendAgain sends the only form of a page.
const sendAgain = `document.forms[0].submit();`

// SendAgain answers a form with a page that has the browser send it once more, now from here: with the cookies that browsers leave out of
// what other sites have them send (SameSite=Lax).
func SendAgain(w http.ResponseWriter, to string, form url.Values) error {
	var page strings.Builder
	page.WriteString(`<form method="post" action="` + html.EscapeString(to) + `">`)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			page.WriteString(`<input type="hidden" name="` + html.EscapeString(name) + `" value="` + html.EscapeString(value) + `">`)
		}
	}
	page.WriteString(`<noscript><button>Continue</button></noscript></form>`)
	return writePage(w, sendAgain, "frame-ancestors 'none'; form-action 'self'", page.String())
}

// writePage answers with a page that runs no other script, and does nothing else that the policy doesn't allow.
func writePage(w http.ResponseWriter, script, policy, content string) error {
	hash := sha256.Sum256([]byte(script))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; "+policy+"; script-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(w, "<!DOCTYPE html><html><head><title>Sign-in</title></head><body>"+content+"<script>"+script+"</script></body></html>")
	return err
}

// percent leaves nothing that could end a string or a script: letters, digits, and few other characters.
func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
