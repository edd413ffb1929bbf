package jws_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/service/auth/internal/jws"
)

func keySet(t testing.TB, keys ...*jws.PrivateKey) *jws.Keys {
	t.Helper()
	var list []any
	for _, k := range keys {
		list = append(list, k.Public())
	}
	data, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	set, err := jws.ParseKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func FuzzParse(f *testing.F) {
	key, err := jws.Generate("k", "")
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.Sign(map[string]any{"typ": "x", "alg": key.Algorithm, "kid": "k"}, map[string]any{"sub": "s", "exp": 1})
	if err != nil {
		f.Fatal(err)
	}
	set := keySet(f, key)
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, "", ".", "..", "...", "a.b.c", parts[0] + "." + parts[1] + ".", parts[0] + ".." + parts[2], "eyJhbGciOiJub25lIn0.e30.",
		"eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "eyJhbGciOiJFUzI1NiIsImNyaXQiOlsiYjY0Il0sImI2NCI6ZmFsc2V9.e30.AAAA", "\x00", strings.Repeat("A", 33<<10),
		parts[0] + ".eyJleHAiOjFlMzAwfQ." + parts[2], parts[0] + ".eyJleHAiOi0xfQ." + parts[2], parts[0] + ".bnVsbA." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := jws.Parse(raw)
		if err != nil {
			return
		}
		if token.Algorithm == "none" || strings.HasPrefix(token.Algorithm, "HS") {
			t.Fatalf("algorithm %s is let through", token.Algorithm)
		}
		_ = token.Claims.Valid(time.Unix(0, 0))
		if token.Verify(set) != nil {
			return
		}
		// Nobody can make a token for which there is no signature. Encodings of the same bytes may differ in the bits that don't count.
		got := strings.Split(raw, ".")
		if len(got) != 3 || got[0] != parts[0] || got[1] != parts[1] {
			t.Fatalf("a forged token is believed: %s", raw)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	key, err := jws.Generate("k", "")
	if err != nil {
		f.Fatal(err)
	}
	public, err := json.Marshal(map[string]any{"keys": []any{key.Public()}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(public), "", "{}", `{"keys":null}`, `{"keys":[]}`, `{"keys":[null,1,{}]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQ","e":"AQ"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":""}]}`} {
		f.Add([]byte(seed))
	}
	token, err := key.Sign(map[string]any{"alg": key.Algorithm}, map[string]any{})
	if err != nil {
		f.Fatal(err)
	}
	parsed, err := jws.Parse(token)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		if keys, err := jws.ParseKeys(data); err == nil {
			_ = parsed.Verify(keys) // whatever it says
		}
	})
}
