package awsalb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

// keys are the public keys of the load balancers of a region. They don't change; there is one endpoint for each.
type keys struct {
	endpoint string
	client   *http.Client
	known    *lru.Cache[string, *ecdsa.PublicKey]
}

const (
	maxKeys   = 100
	maxKey    = 64 << 10
	maxToken  = 64 << 10
	maxKeyID  = 200
	algorithm = "ES256"
)

func newKeys(region string, client *http.Client) (*keys, error) {
	endpoint := "https://public-keys.auth.elb." + region + ".amazonaws.com/"
	if strings.HasPrefix(region, "us-gov") {
		endpoint = "https://s3-" + region + ".amazonaws.com/aws-elb-public-keys-prod-" + region + "/"
	}
	known, err := lru.New[string, *ecdsa.PublicKey](maxKeys)
	return &keys{endpoint, client, known}, err
}

// token is a token whose signature is right.
type token struct {
	header header
	claims claims
	all    map[string]any
}

type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Signer    string `json:"signer"`
}

// verify checks the signature of a token. Load balancers pad the base64 of its parts, and sign it with the padding, which libraries for tokens
// don't take.
func (k *keys) verify(ctx context.Context, raw string) (*token, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || len(raw) > maxToken {
		return nil, errors.New("this is no token")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "=")); err != nil {
			return nil, fmt.Errorf("part %d of the token: %w", i+1, err)
		}
	}
	t := &token{}
	if err := json.Unmarshal(decoded[0], &t.header); err != nil {
		return nil, fmt.Errorf("the header of the token: %w", err)
	}
	if t.header.Algorithm != algorithm {
		return nil, fmt.Errorf("the token is signed with %q, not with %s", t.header.Algorithm, algorithm)
	}
	key, err := k.get(ctx, t.header.KeyID)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature := decoded[2]
	if len(signature) != 64 || !ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, errors.New("the signature of the token is wrong")
	}
	if err := errors.Join(json.Unmarshal(decoded[1], &t.claims), json.Unmarshal(decoded[1], &t.all)); err != nil {
		return nil, fmt.Errorf("the claims of the token: %w", err)
	}
	return t, nil
}

// get is the key with the id.
func (k *keys) get(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	if id == "" || len(id) > maxKeyID {
		return nil, errors.New("no key id was specified in header")
	}
	if key, ok := k.known.Get(id); ok {
		return key, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.endpoint+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for the key: %w", err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxKey))
	if err != nil {
		return nil, fmt.Errorf("asking for the key: %w", err)
	}
	block, _ := pem.Decode(content)
	if res.StatusCode != http.StatusOK || block == nil {
		return nil, fmt.Errorf("asking for the key: %s answers with status %s and no key", k.endpoint, res.Status)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not for " + algorithm)
	}
	k.known.Add(id, key)
	return key, nil
}
