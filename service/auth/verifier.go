package auth

import (
	"context"

	lru "github.com/hashicorp/golang-lru/v2"

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
	remembered *lru.Cache[string, *verified]
}

// verified is a token whose signature is right by the given keys of an endpoint.
type verified struct {
	token *jws.Token
	url   string
	keys  *jws.Keys
}

func newVerifier(keys *remote.Keys) (verifier, error) {
	remembered, err := lru.New[string, *verified](maxRemembered)
	return verifier{keys, remembered}, err
}

// parse takes a token apart, unless that was done before.
func (v verifier) parse(raw string) (*jws.Token, error) {
	if known, ok := v.remembered.Get(raw); ok {
		return known.token, nil
	}
	return jws.Parse(raw)
}

// verify checks the signature with the keys at the URL.
func (v verifier) verify(ctx context.Context, token *jws.Token, url string) error {
	if known, ok := v.remembered.Peek(token.Raw); ok && known.url == url && known.keys == v.keys.Fresh(url) {
		return nil
	}
	keys, err := v.keys.Verify(ctx, url, token)
	if err == nil && len(token.Raw) <= maxRememberedLength {
		v.remembered.Add(token.Raw, &verified{token, url, keys})
	}
	return err
}
