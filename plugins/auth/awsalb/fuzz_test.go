package awsalb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// FuzzVerify has tokens that nobody has signed, beside one that somebody has.
func FuzzVerify(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	k, err := newKeys("eu-central-1", &http.Client{Transport: nobody{}})
	if err != nil {
		f.Fatal(err)
	}
	k.known.Add("key", &key.PublicKey)
	input := base64.URLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"key"}`)) + "." + base64.URLEncoding.EncodeToString([]byte(`{"sub":"1"}`))
	hash := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		f.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	genuine := input + "." + base64.URLEncoding.EncodeToString(signature)
	if _, err := k.verify(f.Context(), genuine); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{genuine, "", "..", "a.b.c", input + ".", input + "." + base64.URLEncoding.EncodeToString(make([]byte, 64)),
		"e30." + genuine, strings.ReplaceAll(genuine, "=", ""), "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := k.verify(t.Context(), raw); err == nil && !strings.HasPrefix(raw, input+".") {
			t.Fatalf("a forged token is believed: %s", raw)
		}
	})
}

// nobody answers no requests.
type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrNotSupported }
