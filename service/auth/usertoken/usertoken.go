package usertoken

import (
	"crypto"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/internal/jws"
)

const (
	// Type is the type in the header of a user's token.
	Type = "vnd.backstage.user"
	// LimitedType is the type in the header of a limited token.
	LimitedType = "vnd.backstage.limited-user"
	// Audience is the audience of a user's token.
	Audience = "backstage"
)

// Key signs tokens. Its method Public returns the JSON Web Key by which they are verified. Safe for concurrent use.
type Key = jws.PrivateKey

// GenerateKey makes a new key for the algorithm ES256. The id names it in the headers of tokens, and among the issuer's public keys.
func GenerateKey(id string) (*Key, error) { return jws.Generate(id, "") }

// NewKey makes a key that signs with the given algorithm of JSON Web Signatures: ES256, ES384, ES512, EdDSA, RS256, PS256 and so on. It
// is an error if that is not for keys of this kind.
func NewKey(id, algorithm string, key crypto.Signer) (*Key, error) {
	return jws.NewPrivateKey(id, algorithm, key)
}

// Claims is what a user's token says.
type Claims struct {
	// Issuer is the URL of the auth plugin as browsers see it.
	Issuer string
	// Subject is the entity ref of the user.
	Subject string
	// IssuedAt and Expiry are when the token begins and ends, to the second.
	IssuedAt, Expiry time.Time
	// Custom are further claims. Those above take precedence.
	Custom map[string]any
}

// Issue makes a user's token. It is an error if that becomes longer than a token may be.
func Issue(key *Key, c Claims) (string, error) {
	limited, err := key.Sign(
		limitedHeader{LimitedType, key.Algorithm, key.ID}, limitedClaims{c.Subject, c.IssuedAt.Unix(), c.Expiry.Unix()})
	if err != nil {
		return "", err
	}
	all := maps.Clone(c.Custom)
	if all == nil {
		all = map[string]any{}
	}
	all["iss"], all["sub"], all["aud"] = c.Issuer, c.Subject, Audience
	all["iat"], all["exp"] = c.IssuedAt.Unix(), c.Expiry.Unix()
	all["uip"] = limited[strings.LastIndexByte(limited, '.')+1:]
	token, err := key.Sign(limitedHeader{Type, key.Algorithm, key.ID}, all)
	if err == nil && len(token) > jws.MaxLength {
		err = fmt.Errorf("the token of %s has %d bytes, %d are possible; give it fewer claims", c.Subject, len(token), jws.MaxLength)
	}
	return token, err
}

// Limit makes a limited token of a user's token, and tells when it ends. A limited token is returned as it is. It is a
// service.AuthenticationError if the token is none of a user, or lacks the proof of identity.
func Limit(token string) (limited string, expiry time.Time, err error) {
	t, err := jws.Parse(token)
	if err != nil {
		return "", time.Time{}, service.AuthenticationError.Errorf("Failed to create limited user token: %w", err)
	}
	if t.Claims.Expiry == nil || t.Claims.IssuedAt == nil {
		return "", time.Time{}, service.AuthenticationError.Errorf("Failed to create limited user token, missing expiration")
	}
	expiry = t.Claims.Expiry.Time()
	switch {
	case t.Type == "" || t.Type == LimitedType:
		return token, expiry, nil
	case t.Type != Type:
		return "", time.Time{}, service.AuthenticationError.Errorf("Failed to create limited user token, invalid token type")
	case t.Claims.IdentityProof == "":
		return "", time.Time{}, service.AuthenticationError.Errorf("Failed to create limited user token, missing user identity proof")
	}
	input, err := jws.Encode(limitedHeader{LimitedType, t.Algorithm, t.KeyID},
		limitedClaims{t.Claims.Subject, t.Claims.IssuedAt.Time().Unix(), expiry.Unix()})
	if err != nil {
		return "", time.Time{}, err
	}
	return input + "." + t.Claims.IdentityProof, expiry, nil
}

// limitedHeader is the header of a limited token, whose fields have a fixed order.
type limitedHeader struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid,omitempty"`
}

// limitedClaims are the claims of a limited token, in their fixed order.
type limitedClaims struct {
	Subject  string `json:"sub"`
	IssuedAt int64  `json:"iat"`
	Expiry   int64  `json:"exp"`
}
