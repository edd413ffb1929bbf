package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/internal/jws"
)

// access is one way for external programs to get in.
type access struct {
	recognize    recognizer
	restrictions map[string]service.AccessRestriction // nil without restrictions
}

// recognizer tells to which service a token belongs.
type recognizer interface {
	// recognize returns the subject of the token, errNotMine if it is for others to judge, or an error that ends the search.
	recognize(ctx context.Context, raw string, now time.Time) (subject string, err error)
}

var errNotMine = errors.New("the token is none of this kind")

// staticToken is a token that is the same for ever. Only its hash is kept, so that comparing tells nothing of its length.
type staticToken struct {
	hash    [sha256.Size]byte
	subject string
}

func newStaticToken(token, subject string) staticToken {
	return staticToken{sha256.Sum256([]byte(token)), subject}
}

func (t staticToken) recognize(_ context.Context, raw string, _ time.Time) (string, error) {
	hash := sha256.Sum256([]byte(raw))
	if subtle.ConstantTimeCompare(hash[:], t.hash[:]) != 1 {
		return "", errNotMine
	}
	return t.subject, nil
}

// legacyToken is signed with a shared secret.
type legacyToken struct {
	secret  []byte
	subject string
}

// legacyClaim is the subject that such tokens have to have.
const legacyClaim = "backstage-server"

func (t legacyToken) recognize(_ context.Context, raw string, now time.Time) (string, error) {
	token, err := jws.ParseSymmetric(raw)
	if err != nil || token.Claims.Subject != legacyClaim || len(token.Claims.Audience) > 0 || token.VerifySecret(t.secret) != nil {
		return "", errNotMine
	}
	if err := token.Claims.Valid(now); err != nil {
		return "", refuse("Failed external token verification", err)
	}
	return t.subject, nil
}

// remoteToken is signed by somebody whose public keys are on the web.
type remoteToken struct {
	remote     verifier
	url        string
	algorithms []string // empty: all
	issuers    []string // empty: all
	audiences  []string // empty: all
	prefix     string
}

func (t *remoteToken) recognize(ctx context.Context, raw string, now time.Time) (string, error) {
	token, err := t.remote.parse(raw)
	if err != nil || token.Claims.Subject == "" || token.Claims.Valid(now) != nil ||
		len(t.algorithms) > 0 && !slices.Contains(t.algorithms, token.Algorithm) ||
		len(t.issuers) > 0 && !slices.Contains(t.issuers, token.Claims.Issuer) ||
		len(t.audiences) > 0 && !slices.ContainsFunc(t.audiences, token.Claims.Audience.Contains) ||
		t.remote.verify(ctx, token, t.url, "", now) != nil {
		return "", errNotMine
	}
	return t.prefix + token.Claims.Subject, nil
}
