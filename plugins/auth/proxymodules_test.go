package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/authtest"
	"github.com/portico-dev/portico/plugins/auth/awsalb"
	"github.com/portico-dev/portico/plugins/auth/cloudflareaccess"
	"github.com/portico-dev/portico/plugins/auth/gcpiap"
	"github.com/portico-dev/portico/plugins/auth/oauth2proxy"
	"github.com/portico-dev/portico/service"
)

// signers are the keys of a proxy, and others.
type signers struct {
	ec, otherEC   *ecdsa.PrivateKey
	rsa, otherRSA *rsa.PrivateKey
}

func newSigners(t *testing.T) signers {
	t.Helper()
	var s signers
	for _, key := range []**ecdsa.PrivateKey{&s.ec, &s.otherEC} {
		var err error
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []**rsa.PrivateKey{&s.rsa, &s.otherRSA} {
		var err error
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims object) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "key"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func unsigned(claims object) string {
	payload, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

// keySet serves a key set at any of the addresses.
func keySet(key crypto.PublicKey, algorithm jose.SignatureAlgorithm, more map[string]any, at ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, address := range at {
			if "https://"+r.Host+r.URL.Path == address {
				_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "key", Algorithm: string(algorithm), Use: "sig"}}})
				return
			}
		}
		if answer, ok := more["https://"+r.Host+r.URL.Path]; ok {
			_ = json.NewEncoder(w).Encode(answer)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
}

func proxy(t *testing.T, m plugin.Module, settings object, provider http.Handler) auth.ProxyAuthenticator {
	t.Helper()
	a, err := authtest.Run(t, m, nil).Proxies[0].New(authtest.Environment(settings, provider))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/refresh", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func with(claims object, name string, value any) object {
	changed := object{}
	for k, v := range claims {
		changed[k] = v
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

// refuses checks that none of the tokens is taken.
func refuses(t *testing.T, a auth.ProxyAuthenticator, tokens map[string]string, ask func(token string) *http.Request) {
	t.Helper()
	for name, token := range tokens {
		if login, err := a.Authenticate(ask(token)); !errors.Is(err, service.AuthenticationError) {
			t.Errorf("%s: %+v, %v", name, login, err)
		}
	}
}

func TestGoogleIAP(t *testing.T) {
	t.Parallel()
	s := newSigners(t)
	a := proxy(t, gcpiap.Module(), object{"audience": "/projects/1"}, keySet(s.ec.Public(), jose.ES256, nil, "https://www.gstatic.com/iap/verify/public_key-jwk"))
	ask := func(token string) *http.Request { return request("X-Goog-Iap-Jwt-Assertion", token) }
	claims := object{"iss": "https://cloud.google.com/iap", "aud": "/projects/1", "sub": "accounts.google.com:4711", "email": "jane@example.com",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	login, err := a.Authenticate(ask(sign(t, jose.ES256, s.ec, claims)))
	if err != nil || login.UserID != "4711" || login.Profile != (auth.Profile{Email: "jane@example.com"}) || login.ProviderInfo == nil {
		t.Errorf("%+v, %v", login, err)
	}
	refuses(t, a, map[string]string{
		"no token": "", "garbage": "garbage", "unsigned": unsigned(claims), "by another key": sign(t, jose.ES256, s.otherEC, claims),
		"by another algorithm": sign(t, jose.RS256, s.rsa, claims),
		"for another backend":  sign(t, jose.ES256, s.ec, with(claims, "aud", "/projects/2")),
		"of another issuer":    sign(t, jose.ES256, s.ec, with(claims, "iss", "https://accounts.google.com")),
		"expired":              sign(t, jose.ES256, s.ec, with(claims, "exp", time.Now().Add(-time.Minute).Unix())),
		"without an email":     sign(t, jose.ES256, s.ec, with(claims, "email", nil)),
		"without a subject":    sign(t, jose.ES256, s.ec, with(claims, "sub", nil)),
	}, ask)
}

func TestCloudflareAccess(t *testing.T) {
	t.Parallel()
	s := newSigners(t)
	const team = "https://acme.cloudflareaccess.com"
	provider := keySet(s.rsa.Public(), jose.RS256, object{team + "/cdn-cgi/access/get-identity": object{"email": "jane@example.com", "name": "Jane"}},
		team+"/cdn-cgi/access/certs")
	settings := object{"teamName": "acme", "audience": "tag", "serviceTokens": []any{object{"token": "ci.access", "subject": "ci@example.com"}}}
	a := proxy(t, cloudflareaccess.Module(), settings, provider)
	ask := func(token string) *http.Request { return request("Cf-Access-Jwt-Assertion", token) }
	claims := object{"iss": team, "aud": []any{"tag"}, "sub": "4711", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	token := sign(t, jose.RS256, s.rsa, claims)
	for name, r := range map[string]*http.Request{"in the header": ask(token), "in the cookie": request("Cookie", "CF_Authorization="+token)} {
		login, err := a.Authenticate(r)
		if err != nil || login.UserID != "4711" || login.Profile != (auth.Profile{Email: "jane@example.com", DisplayName: "Jane"}) {
			t.Errorf("%s: %+v, %v", name, login, err)
		}
	}
	program := with(with(claims, "sub", ""), "common_name", "ci.access")
	if login, err := a.Authenticate(ask(sign(t, jose.RS256, s.rsa, program))); err != nil || login.Profile.Email != "ci@example.com" {
		t.Errorf("a program: %+v, %v", login, err)
	}
	refuses(t, a, map[string]string{
		"no token": "", "garbage": "garbage", "unsigned": unsigned(claims), "by another key": sign(t, jose.RS256, s.otherRSA, claims),
		"of another application": sign(t, jose.RS256, s.rsa, with(claims, "aud", []any{"another"})),
		"of another team":        sign(t, jose.RS256, s.rsa, with(claims, "iss", "https://evil.cloudflareaccess.com")),
		"expired":                sign(t, jose.RS256, s.rsa, with(claims, "exp", time.Now().Add(-time.Minute).Unix())),
		"of another program":     sign(t, jose.RS256, s.rsa, with(program, "common_name", "evil.access")),
		"of nobody":              sign(t, jose.RS256, s.rsa, with(claims, "sub", "")),
	}, ask)
	for name, settings := range map[string]object{
		"no audience": {"teamName": "acme"}, "no team": {"audience": "tag"}, "another host": {"teamName": "evil.com/", "audience": "tag"},
	} {
		if _, err := authtest.Run(t, cloudflareaccess.Module(), nil).Proxies[0].New(authtest.Environment(settings, nil)); err == nil {
			t.Errorf("%s: it starts", name)
		}
	}
}

// albToken makes a token as a load balancer does: with padding, which is signed too.
func albToken(t *testing.T, key *ecdsa.PrivateKey, header, claims object) string {
	t.Helper()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.URLEncoding.EncodeToString(text)
	}
	input := encode(header) + "." + encode(claims)
	hash := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.URLEncoding.EncodeToString(signature)
}

func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	s := newSigners(t)
	public, err := x509.MarshalPKIXPublicKey(s.ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	provider := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if at := r.Host + r.URL.Path; at != "public-keys.auth.elb.eu-central-1.amazonaws.com/key" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = pem.Encode(w, &pem.Block{Type: "PUBLIC KEY", Bytes: public})
	})
	a := proxy(t, awsalb.Module(), object{"issuer": "https://idp.example.com", "region": "eu-central-1", "signer": "arn:portal"}, provider)
	ask := func(token string) *http.Request {
		return request("X-Amzn-Oidc-Data", token, "X-Amzn-Oidc-Accesstoken", "access")
	}
	header := object{"alg": "ES256", "kid": "key", "signer": "arn:portal"}
	claims := object{"iss": "https://idp.example.com", "sub": "4711", "email": "jane@example.com", "name": "Jane", "exp": time.Now().Add(time.Minute).Unix()}
	for range 2 {
		login, err := a.Authenticate(ask(albToken(t, s.ec, header, claims)))
		if err != nil || login.UserID != "4711" || login.Username != "jane" || login.Profile != (auth.Profile{Email: "jane@example.com", DisplayName: "Jane"}) {
			t.Errorf("%+v, %v", login, err)
		}
	}
	if asked != 1 {
		t.Errorf("the key was asked for %d times", asked)
	}
	good := strings.Split(albToken(t, s.ec, header, claims), ".")
	refuses(t, a, map[string]string{
		"no token": "", "garbage": "garbage", "unsigned": unsigned(claims), "by another key": albToken(t, s.otherEC, header, claims),
		"by an unknown key":          albToken(t, s.ec, with(header, "kid", "other"), claims),
		"by a key elsewhere":         albToken(t, s.ec, with(header, "kid", "../key"), claims),
		"of another algorithm":       albToken(t, s.ec, with(header, "alg", "HS256"), claims),
		"of another load balancer":   albToken(t, s.ec, with(header, "signer", "arn:evil"), claims),
		"of another issuer":          albToken(t, s.ec, header, with(claims, "iss", "https://evil.com")),
		"expired":                    albToken(t, s.ec, header, with(claims, "exp", time.Now().Add(-time.Minute).Unix())),
		"without an end":             albToken(t, s.ec, header, with(claims, "exp", nil)),
		"without an email":           albToken(t, s.ec, header, with(claims, "email", nil)),
		"with an unverified email":   albToken(t, s.ec, header, with(claims, "email_verified", "false")),
		"with other claims":          good[0] + "." + base64.URLEncoding.EncodeToString([]byte(`{"email":"ceo@example.com"}`)) + "." + good[2],
		"with a signature of zeroes": good[0] + "." + good[1] + "." + base64.URLEncoding.EncodeToString(make([]byte, 64)),
		"without a signature":        good[0] + "." + good[1] + ".",
	}, ask)
	if _, err := a.Authenticate(request("X-Amzn-Oidc-Data", albToken(t, s.ec, header, claims))); !errors.Is(err, service.AuthenticationError) {
		t.Errorf("without an access token: %v", err)
	}
}

func TestOAuth2Proxy(t *testing.T) {
	t.Parallel()
	trusting := proxy(t, oauth2proxy.Module(), object{}, nil)
	login, err := trusting.Authenticate(request("X-Forwarded-User", "4711", "X-Forwarded-Preferred-Username", "jane", "X-Forwarded-Email", "jane@example.com"))
	if err != nil || login.UserID != "4711" || login.Username != "jane" || login.Profile != (auth.Profile{Email: "jane@example.com", DisplayName: "jane"}) {
		t.Errorf("%+v, %v", login, err)
	}
	for name, r := range map[string]*http.Request{
		"no headers": request(), "a header of somebody else": request("X-Forwarded-Email", "ceo@example.com", "X-Forwarded-Email", "jane@example.com"),
	} {
		if login, err := trusting.Authenticate(r); !errors.Is(err, service.AuthenticationError) {
			t.Errorf("%s: %+v, %v", name, login, err)
		}
	}

	s := newSigners(t)
	const issuer = "https://idp.example.com"
	verifying := proxy(t, oauth2proxy.Module(), object{"issuer": issuer, "audience": "portal"}, keySet(s.rsa.Public(), jose.RS256, object{
		issuer + "/.well-known/openid-configuration": object{"issuer": issuer, "jwks_uri": issuer + "/keys", "id_token_signing_alg_values_supported": []any{"RS256", "HS256", "none"}},
	}, issuer+"/keys"))
	ask := func(token string) *http.Request {
		return request("X-Forwarded-User", "ceo", "X-Forwarded-Preferred-Username", "ceo", "X-Forwarded-Email", "ceo@example.com", "X-OAUTH2-PROXY-ID-TOKEN", "Bearer "+token)
	}
	claims := object{"iss": issuer, "aud": "portal", "sub": "4711", "preferred_username": "jane", "email": "jane@example.com", "exp": time.Now().Add(time.Minute).Unix()}
	login, err = verifying.Authenticate(ask(sign(t, jose.RS256, s.rsa, claims)))
	if err != nil || login.UserID != "4711" || login.Username != "jane" || login.Profile.Email != "jane@example.com" {
		t.Errorf("%+v, %v", login, err)
	}
	public, err := x509.MarshalPKIXPublicKey(s.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, verifying, map[string]string{
		"no token": "", "garbage": "garbage", "unsigned": unsigned(claims), "by another key": sign(t, jose.RS256, s.otherRSA, claims),
		"by the public key as a secret": sign(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), claims),
		"for another client":            sign(t, jose.RS256, s.rsa, with(claims, "aud", "another")),
		"of another issuer":             sign(t, jose.RS256, s.rsa, with(claims, "iss", "https://evil.com")),
		"expired":                       sign(t, jose.RS256, s.rsa, with(claims, "exp", time.Now().Add(-time.Minute).Unix())),
	}, ask)
	if _, err := authtest.Run(t, oauth2proxy.Module(), nil).Proxies[0].New(authtest.Environment(object{"issuer": issuer}, nil)); err == nil {
		t.Error("an issuer without an audience is taken")
	}
}
