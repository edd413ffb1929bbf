package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// PrivateKey signs tokens.
type PrivateKey struct {
	// ID names the key in the headers of tokens.
	ID string
	// Algorithm is the one that all its signatures are of.
	Algorithm string

	key  crypto.Signer
	hash crypto.Hash
}

// Generate makes a new key for the algorithm; for ES256 if that is empty.
func Generate(id, algorithm string) (*PrivateKey, error) {
	if algorithm == "" {
		algorithm = string(jose.ES256)
	}
	var key crypto.Signer
	var err error
	switch jose.SignatureAlgorithm(algorithm) {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
		key, err = rsa.GenerateKey(rand.Reader, minRSABits)
	default:
		err = CheckAlgorithm(algorithm)
	}
	if err != nil {
		return nil, err
	}
	return NewPrivateKey(id, algorithm, key)
}

// CheckAlgorithm tells whether tokens can be signed with the algorithm.
func CheckAlgorithm(name string) error {
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(name)) {
		return fmt.Errorf("tokens can't be signed with algorithm %q; they can with one of %s", name, algorithms)
	}
	return nil
}

// NewPrivateKey makes a key that signs with the algorithm. It is an error if the algorithm is not for keys of that kind.
func NewPrivateKey(id, algorithm string, key crypto.Signer) (*PrivateKey, error) {
	k := &PrivateKey{ID: id, Algorithm: algorithm, key: key}
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(algorithm)) || !fits(key.Public(), algorithm) {
		return nil, fmt.Errorf("a key of type %T can't sign with algorithm %q", key, algorithm)
	}
	switch algorithm[2:] {
	case "256":
		k.hash = crypto.SHA256
	case "384":
		k.hash = crypto.SHA384
	case "512":
		k.hash = crypto.SHA512
	}
	return k, nil
}

// Public is the key by which its tokens are verified.
func (k *PrivateKey) Public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.key.Public(), KeyID: k.ID, Algorithm: k.Algorithm}
}

// Sign makes a token. Header and claims are encoded in the order of their fields: a limited user token is put together in two places, and
// has to be the same in both.
func (k *PrivateKey) Sign(header, claims any) (string, error) {
	input, err := Encode(header, claims)
	if err != nil {
		return "", err
	}
	signature, err := k.sign([]byte(input))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (k *PrivateKey) sign(input []byte) ([]byte, error) {
	if key, ok := k.key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, input), nil
	}
	hash := k.hash.New()
	hash.Write(input)
	digest := hash.Sum(nil)
	switch key := k.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
		return signature, nil
	case *rsa.PrivateKey:
		if k.Algorithm[:2] == "PS" {
			return rsa.SignPSS(rand.Reader, key, k.hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, key, k.hash, digest)
	}
	return nil, fmt.Errorf("a key of type %T can't sign", k.key)
}

// Encode is the part of a token that is signed: everything before the second dot.
func Encode(header, claims any) (string, error) {
	encodedHeader, err := encodePart(header)
	if err != nil {
		return "", fmt.Errorf("encoding the header of a token: %w", err)
	}
	encodedClaims, err := encodePart(claims)
	if err != nil {
		return "", fmt.Errorf("encoding the claims of a token: %w", err)
	}
	return encodedHeader + "." + encodedClaims, nil
}

func encodePart(part any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // as in JavaScript
	if err := encoder.Encode(part); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(bytes.TrimRight(out.Bytes(), "\n")), nil
}
