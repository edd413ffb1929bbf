package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-dev/portico/service/auth/internal/jws"
)

// File is a key pair in files, as in the configuration.
type File struct {
	// KeyID names the key in the headers of tokens.
	KeyID string `config:"keyId"`
	// Algorithm is the one of its signatures; ES256 if it is empty.
	Algorithm string
	// PublicKeyFile is the path of the public key, in the PEM form of SPKI.
	PublicKeyFile string
	// PrivateKeyFile is the path of the private key, in the PEM form of PKCS #8. Only the key that signs needs it.
	PrivateKeyFile string
}

// Static has keys that were given in files: the first signs, and all are listed. It does not change.
type Static struct {
	signing *jws.PrivateKey
	public  []json.RawMessage
}

// NewStatic reads the files.
func NewStatic(files []File) (*Static, error) {
	if len(files) == 0 {
		return nil, errors.New("there must be at least one key pair")
	}
	s := &Static{}
	for i, f := range files {
		if err := s.add(f, i == 0); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return s, nil
}

func (s *Static) add(f File, signs bool) error {
	if f.KeyID == "" || f.PublicKeyFile == "" {
		return errors.New("keyId and publicKeyFile are required")
	}
	if f.Algorithm == "" {
		f.Algorithm = string(jose.ES256)
	}
	public, err := read(f.PublicKeyFile, x509.ParsePKIXPublicKey)
	if err != nil {
		return fmt.Errorf("publicKeyFile: %w", err)
	}
	encoded, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: f.KeyID, Algorithm: f.Algorithm})
	if err != nil {
		return fmt.Errorf("publicKeyFile: %w", err)
	}
	s.public = append(s.public, encoded)
	if !signs {
		return nil
	}
	if f.PrivateKeyFile == "" {
		return errors.New("privateKeyFile is required for the first key, which signs")
	}
	private, err := read(f.PrivateKeyFile, x509.ParsePKCS8PrivateKey)
	if err != nil {
		return fmt.Errorf("privateKeyFile: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return fmt.Errorf("privateKeyFile: %s has a key that can't sign", f.PrivateKeyFile)
	}
	if own, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(public) {
		return fmt.Errorf("%s and %s are not the two parts of one key", f.PublicKeyFile, f.PrivateKeyFile)
	}
	s.signing, err = jws.NewPrivateKey(f.KeyID, f.Algorithm, signer)
	if err != nil {
		return fmt.Errorf("algorithm: %w", err)
	}
	return nil
}

// read reads a PEM file. Errors don't quote it: it may hold a secret.
func read(path string, parse func([]byte) (any, error)) (any, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	key, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s has no key of the expected form (PEM type %q): %w", path, block.Type, err)
	}
	return key, nil
}

// SigningKey is the key to sign with.
func (s *Static) SigningKey(context.Context) (*jws.PrivateKey, error) { return s.signing, nil }

// PublicKeys are all keys.
func (s *Static) PublicKeys(context.Context) ([]json.RawMessage, error) { return s.public, nil }
