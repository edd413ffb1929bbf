package jws

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// MaxLength is the length of the longest token that is looked at, in bytes. Backstage issues no longer ones.
const MaxLength = 32 << 10

// Token is a token that has been taken apart. Nothing in it is to be believed before [Token.Verify].
type Token struct {
	// Raw is the token in compact form.
	Raw string
	// Type, Algorithm and KeyID are what its header says, or empty.
	Type, Algorithm, KeyID string
	// Claims is what it claims.
	Claims Claims

	signed *jose.JSONWebSignature
}

// Claims are the claims that Portico knows.
type Claims struct {
	jwt.Claims
	// OnBehalfOf is the limited token of the user for whom a plugin makes a request.
	OnBehalfOf string `json:"obo,omitempty"`
	// IdentityProof is the signature of the limited token that can be made of a user's token.
	IdentityProof string `json:"uip,omitempty"`
	// Ownership are the entity refs by which a user owns things, if the token tells them.
	Ownership any `json:"ent,omitempty"`
}

// Parse takes a token apart whose algorithm is asymmetric.
func Parse(raw string) (*Token, error) { return parse(raw, algorithms) }

// ParseSymmetric takes a token apart that is signed with a shared secret, by HS256.
func ParseSymmetric(raw string) (*Token, error) {
	return parse(raw, []jose.SignatureAlgorithm{jose.HS256})
}

func parse(raw string, algorithms []jose.SignatureAlgorithm) (*Token, error) {
	if len(raw) > MaxLength {
		return nil, fmt.Errorf("the token is longer than %d bytes", MaxLength)
	}
	signed, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, err
	}
	header := signed.Signatures[0].Protected
	t := &Token{Raw: raw, Algorithm: header.Algorithm, KeyID: header.KeyID, signed: signed}
	if _, critical := header.ExtraHeaders["crit"]; critical {
		return nil, errors.New("the token has critical extensions")
	}
	t.Type, _ = header.ExtraHeaders[jose.HeaderType].(string)
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &t.Claims); err != nil {
		return nil, fmt.Errorf("reading the claims: %w", err)
	}
	return t, nil
}

// Verify checks the signature with the key of the set that is meant for it.
func (t *Token) Verify(keys *Keys) error {
	key, err := keys.find(t.KeyID, t.Algorithm)
	if err != nil {
		return err
	}
	_, err = t.signed.Verify(key)
	return err
}

// VerifySecret checks the signature of a token from [ParseSymmetric]. Secrets of existing portals are shorter than go-jose allows.
func (t *Token) VerifySecret(secret []byte) error {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t.Raw[:strings.LastIndexByte(t.Raw, '.')]))
	if !hmac.Equal(mac.Sum(nil), t.signed.Signatures[0].Signature) {
		return errors.New("the signature is wrong")
	}
	return nil
}

// Valid tells whether the token has begun and has not ended at the given time. A token may lack both.
func (c *Claims) Valid(now time.Time) error {
	switch {
	case c.Expiry != nil && !now.Before(c.Expiry.Time()):
		return fmt.Errorf("the token has expired at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
	case c.NotBefore != nil && now.Before(c.NotBefore.Time()):
		return fmt.Errorf("the token is not valid before %s", c.NotBefore.Time().UTC().Format(time.RFC3339))
	}
	return nil
}
