package flow

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxChunk is how much of a value a cookie takes; browsers give up cookies of more than 4096 bytes.
	maxChunk = 4000
	// maxChunks bounds what is read.
	maxChunks = 8
	// attemptAge is how long a sign-in may take.
	attemptAge = 10 * time.Minute
	// defaultAge is how long a session lasts if the configuration doesn't say.
	defaultAge = 1000 * 24 * time.Hour

	framePath = "/handler/frame"
)

// Cookies are those of one provider.
type Cookies struct {
	// Provider is its id, with which the names begin.
	Provider string
	// Age is how long a session lasts; zero is for long.
	Age time.Duration
}

// Place is where cookies are for.
type Place struct {
	// Callback is where the provider sends browsers back.
	Callback *url.URL
	// AppOrigin is the origin of the frontend.
	AppOrigin string
}

// Attempt is what the cookie of the sign-in under way has, or empty.
func (c Cookies) Attempt(r *http.Request) string { return get(r, c.Provider+"-nonce") }

// RefreshToken is the refresh token that the provider has given, or empty.
func (c Cookies) RefreshToken(r *http.Request) string { return get(r, c.Provider+"-refresh-token") }

// GrantedScope are the scopes that the user has granted before, or empty.
func (c Cookies) GrantedScope(r *http.Request) string { return get(r, c.Provider+"-granted-scope") }

// SetAttempt sets or, if it is empty, removes what [Cookies.Attempt] reads.
func (c Cookies) SetAttempt(w http.ResponseWriter, r *http.Request, p Place, value string) {
	set(w, r, p.cookie(c, c.Provider+"-nonce", "/handler", attemptAge), value)
}

// SetRefreshToken sets or, if it is empty, removes what [Cookies.RefreshToken] reads.
func (c Cookies) SetRefreshToken(w http.ResponseWriter, r *http.Request, p Place, value string) {
	set(w, r, p.cookie(c, c.Provider+"-refresh-token", "", c.age()), value)
}

// SetGrantedScope sets or, if it is empty, removes what [Cookies.GrantedScope] reads.
func (c Cookies) SetGrantedScope(w http.ResponseWriter, r *http.Request, p Place, value string) {
	set(w, r, p.cookie(c, c.Provider+"-granted-scope", "", c.age()), value)
}

func (c Cookies) age() time.Duration {
	if c.Age == 0 {
		return defaultAge
	}
	return c.Age
}

// cookie is a cookie without a value, for the paths of the provider only. The frontend may come from another site, whose requests have
// cookies with SameSite=None only; browsers take those only over HTTPS.
func (p Place) cookie(c Cookies, name, suffix string, age time.Duration) http.Cookie {
	path, found := strings.CutSuffix(p.Callback.Path, framePath)
	if !found || !strings.HasSuffix(path, c.Provider) {
		path = p.Callback.Path + "/" + c.Provider
	}
	cookie := http.Cookie{Name: name, Path: path + suffix, MaxAge: int(age / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: p.Callback.Scheme == "https"}
	app, err := url.Parse(p.AppOrigin)
	if cookie.Secure && (err != nil || !strings.EqualFold(app.Hostname(), p.Callback.Hostname())) {
		cookie.SameSite = http.SameSiteNoneMode
	}
	return cookie
}

// get reads the value of a cookie, which may be in several.
func get(r *http.Request, name string) string {
	encoded := ""
	if chunks := chunks(r, name); chunks > 0 {
		for i := range chunks {
			encoded += single(r, chunk(name, i))
		}
	} else {
		encoded = single(r, name)
	}
	value, err := url.PathUnescape(encoded)
	if err != nil {
		return ""
	}
	return value
}

func single(r *http.Request, name string) string {
	if found := r.CookiesNamed(name); len(found) > 0 {
		return found[0].Value
	}
	return ""
}

func chunk(name string, i int) string { return name + "-" + strconv.Itoa(i) }

// chunks is in how many cookies the request has the value.
func chunks(r *http.Request, name string) int {
	for i := range maxChunks {
		if len(r.CookiesNamed(chunk(name, i))) == 0 {
			return i
		}
	}
	return maxChunks
}

// set sets the value of a cookie, in several if it is long, and removes those of the request that are no longer needed.
func set(w http.ResponseWriter, r *http.Request, cookie http.Cookie, value string) {
	name, encoded := cookie.Name, strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	needed := map[string]string{}
	if len(encoded) > maxChunk {
		for i := 0; len(encoded) > 0; i++ {
			end := min(len(encoded), maxChunk)
			needed[chunk(name, i)] = encoded[:end]
			encoded = encoded[end:]
		}
	} else if encoded != "" {
		needed[name] = encoded
	}
	names := []string{name}
	for i := range max(len(needed), chunks(r, name)) {
		names = append(names, chunk(name, i))
	}
	for _, n := range names {
		c := cookie
		c.Name = n
		if text, ok := needed[n]; ok {
			c.Value = text
		} else if len(r.CookiesNamed(n)) > 0 {
			c.MaxAge = -1
		} else {
			continue
		}
		http.SetCookie(w, &c)
	}
}
