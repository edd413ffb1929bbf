package auth

import (
	"context"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/internal/jws"
	"github.com/portico-dev/portico/service/auth/internal/remote"
)

const (
	// maxRemembered is how many tokens are remembered, and maxRememberedLength how long they may be, so that all of them together need
	// some megabytes.
	maxRemembered       = 4096
	maxRememberedLength = 4 << 10
)

// verifier checks signatures, and remembers those that were right: the same token comes with many requests, and a signature costs more
// than all the rest of a check. What it remembers holds as long as the keys of the issuer are the same.
type verifier struct {
	keys       *remote.Keys
	remembered *lru.Cache[string, *candidate]
}

// candidate is a token that has been taken apart. If its signature is known to be right, it has the endpoint and the keys by which it is.
type candidate struct {
	*jws.Token
	secret service.Token // the same, to be passed on
	url    string
	keys   *jws.Keys
}

func newVerifier(keys *remote.Keys) (verifier, error) {
	remembered, err := lru.New[string, *candidate](maxRemembered)
	return verifier{keys, remembered}, err
}

// parse takes a token apart, unless that was done before.
func (v verifier) parse(raw string) (*candidate, error) {
	if known, ok := v.remembered.Get(raw); ok {
		return known, nil
	}
	secret := service.NewToken(raw)
	token, err := jws.Parse(secret.Reveal())
	return &candidate{Token: token, secret: secret}, err
}

// verify checks the signature with the keys at the path below the base URL.
func (v verifier) verify(ctx context.Context, token *candidate, base, path string, now time.Time) error {
	if token.keys != nil && token.isFrom(base, path) && token.keys == v.keys.Fresh(token.url, now) {
		return nil
	}
	url := base + path
	keys, err := v.keys.Verify(ctx, url, token.Token)
	if err == nil && len(token.Raw) <= maxRememberedLength {
		v.remembered.Add(token.Raw, &candidate{token.Token, token.secret, url, keys})
	}
	return err
}

// isFrom tells whether the keys come from the path below the base URL. It is asked for each request, and needs no memory.
func (c *candidate) isFrom(base, path string) bool {
	return len(c.url) == len(base)+len(path) && strings.HasPrefix(c.url, base) && strings.HasSuffix(c.url, path)
}
