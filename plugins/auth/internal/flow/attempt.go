// Package flow is what a browser carries through a sign-in at a provider: the state, cookies, and the page at its end.
package flow

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
)

// Attempt is one attempt of a browser to sign in. All that belongs to it is derived from a secret that only the browser has, in a cookie:
// nothing of it is stored, and any replica can go on where another one has begun.
type Attempt struct{ secret []byte }

const secretBytes = 32

// NewAttempt begins one.
func NewAttempt() Attempt {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return Attempt{secret}
}

// ResumeAttempt goes on with the attempt of the cookie. It is an error if the cookie has none.
func ResumeAttempt(cookie string) (Attempt, error) {
	secret, err := base64.StdEncoding.DecodeString(cookie)
	if err != nil || len(secret) != secretBytes {
		return Attempt{}, errors.New("the cookie of the sign-in is not one that was set at its start")
	}
	return Attempt{secret}, nil
}

// Cookie is what the cookie holds.
func (a Attempt) Cookie() string { return base64.StdEncoding.EncodeToString(a.secret) }

// Nonce ties the ID token of the provider to the attempt.
func (a Attempt) Nonce() string { return a.derive("nonce", "") }

// Verifier ties the code of the provider to the attempt: the code verifier of PKCE (RFC 7636).
func (a Attempt) Verifier() string { return a.derive("verifier", "") }

func (a Attempt) derive(purpose, content string) string {
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte(purpose + "\x00" + content))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// State is what the provider gets at the start of a sign-in and gives back at its end.
type State struct {
	// Env is the environment of the configuration.
	Env string
	// Origin is that of the frontend, or empty.
	Origin string
	// RedirectURL is where the browser goes at the end of the redirect flow.
	RedirectURL string
	// Flow is "popup", "redirect" or empty.
	Flow string
	// Scope are the scopes that are asked for, if they are to be remembered.
	Scope string

	nonce string
}

// The parameters of a state.
const (
	envParam      = "env"
	originParam   = "origin"
	redirectParam = "redirectUrl"
	flowParam     = "flow"
	scopeParam    = "scope"
	nonceParam    = "nonce"
)

// Encode is the state in the form of Backstage: a query, in hexadecimal digits. Its nonce is a signature by the secret of the attempt, so
// that nobody else can make or change it.
func (s State) Encode(a Attempt) string {
	values := s.values()
	values.Set(nonceParam, a.derive("state", values.Encode()))
	return hex.EncodeToString([]byte(values.Encode()))
}

func (s State) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		envParam: s.Env, originParam: s.Origin, redirectParam: s.RedirectURL, flowParam: s.Flow, scopeParam: s.Scope,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// Why a state can't be read.
var (
	ErrNoEnv   = errors.New("OAuth state is invalid, missing env")
	ErrNoNonce = errors.New("OAuth state is invalid, missing nonce")
)

// ParseState reads a state. Nothing in it is to be believed before [State.Belongs].
func ParseState(encoded string) (State, error) {
	decoded, err := hex.DecodeString(encoded)
	if err != nil {
		return State{}, ErrNoEnv
	}
	values, err := url.ParseQuery(string(decoded))
	if err != nil || values.Get(envParam) == "" {
		return State{}, ErrNoEnv
	}
	s := State{
		Env: values.Get(envParam), Origin: values.Get(originParam), RedirectURL: values.Get(redirectParam), Flow: values.Get(flowParam),
		Scope: values.Get(scopeParam), nonce: values.Get(nonceParam),
	}
	if s.nonce == "" {
		return s, ErrNoNonce
	}
	return s, nil
}

// Belongs tells whether the state was made by the attempt.
func (s State) Belongs(a Attempt) bool {
	return hmac.Equal([]byte(s.nonce), []byte(a.derive("state", s.values().Encode())))
}
