package jws

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are the algorithms of tokens that may be verified.
var algorithms = []jose.SignatureAlgorithm{
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
}

// ErrNoKey is the error of verifying a token whose key is not in the set.
var ErrNoKey = errors.New("no key of the issuer fits the token")

// RSA keys outside of these sizes are not used: they are weak, or cost too much.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// Keys is a set of public keys. It does not change.
type Keys struct{ keys []jose.JSONWebKey }

// ParseKeys reads a JSON Web Key Set. Keys that can't verify tokens are left out: symmetric and private ones, those for other uses, and
// those of unknown kinds.
func ParseKeys(data []byte) (*Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("this is not a JSON Web Key Set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New(`this is not a JSON Web Key Set: it has no "keys"`)
	}
	keys := &Keys{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys.keys = append(keys.keys, key)
		}
	}
	return keys, nil
}

// find is the only key that fits what the header of a token says.
func (k *Keys) find(id, algorithm string) (any, error) {
	var found any
	for _, key := range k.keys {
		if id != "" && key.KeyID != id || key.Algorithm != "" && key.Algorithm != algorithm || !fits(key.Key, algorithm) {
			continue
		}
		if found != nil {
			return nil, errors.New("more than one key of the issuer fits the token")
		}
		found = key.Key
	}
	if found == nil {
		return nil, ErrNoKey
	}
	return found, nil
}

// fits tells whether signatures of the algorithm are made with keys of this kind.
func fits(publicKey any, algorithm string) bool {
	switch key := publicKey.(type) {
	case *ecdsa.PublicKey:
		return algorithm == curves[key.Curve.Params().Name]
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && (algorithm[:2] == "RS" || algorithm[:2] == "PS")
	}
	return false
}

var curves = map[string]string{"P-256": string(jose.ES256), "P-384": string(jose.ES384), "P-521": string(jose.ES512)}
