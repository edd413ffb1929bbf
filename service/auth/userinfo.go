package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/internal/jws"
	"github.com/portico-dev/portico/service/httpclient"
)

const (
	userInfoPath      = "/v1/userinfo"
	userInfoTimeout   = 5 * time.Second
	userInfoFreshFor  = 5 * time.Second
	maxUserInfos      = 4096
	maxUserInfoLength = 1 << 20
)

// UserInfo implements service.UserInfo: it asks the auth plugin, and remembers the answer for some seconds.
type UserInfo struct {
	discovery service.Discovery
	client    *http.Client
	clock     clockwork.Clock
	known     *lru.Cache[string, knownUser] // by token
}

type knownUser struct {
	service.User
	until time.Time
}

func newUserInfo(discovery service.Discovery, transport *httpclient.Transport, clock clockwork.Clock) (service.UserInfo, error) {
	known, err := lru.New[string, knownUser](maxUserInfos)
	if err != nil {
		return nil, err
	}
	return &UserInfo{discovery, &http.Client{Transport: transport, Timeout: userInfoTimeout}, clock, known}, nil
}

// UserInfo implements service.UserInfo.
func (u *UserInfo) UserInfo(ctx context.Context, user service.Credentials) (service.User, error) {
	token := user.Token.Reveal()
	if user.Kind != service.AllowUser || token == "" {
		return service.User{}, service.InputError.Errorf("User info not available for principal type '%s'", user.Kind)
	}
	now := u.clock.Now()
	if known, ok := u.known.Get(token); ok && now.Before(known.until) {
		return known.User, nil
	}
	refs, err := u.ownership(ctx, user.Token)
	if err != nil {
		return service.User{}, err
	}
	found := service.User{EntityRef: user.Subject, OwnershipEntityRefs: refs}
	u.known.Add(token, knownUser{found, now.Add(userInfoFreshFor)})
	return found, nil
}

// ownership is what the token says, which has been verified where the credentials come from, or else what the auth plugin says.
func (u *UserInfo) ownership(ctx context.Context, token service.Token) ([]string, error) {
	if t, err := jws.Parse(token.Reveal()); err == nil && t.Claims.Ownership != nil {
		return entityRefs(t.Claims.Ownership)
	}
	base, err := u.discovery.BaseURL(ctx, authPlugin)
	if err != nil {
		return nil, fmt.Errorf("auth: finding plugin auth for user info: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+userInfoPath, nil)
	if err != nil {
		return nil, fmt.Errorf("auth: asking for user info: %w", err)
	}
	req.Header.Set("Authorization", token.Bearer())
	res, err := u.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("auth: asking for user info: %w", err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, service.NotFoundError.Errorf("User info not found")
	case http.StatusUnauthorized:
		return nil, refuse("User info is refused for the token of the user", nil)
	default:
		return nil, fmt.Errorf("auth: asking for user info: %s answers with status %s", base+userInfoPath, res.Status)
	}
	var answer struct {
		Claims struct {
			Ownership any `json:"ent"`
		} `json:"claims"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxUserInfoLength)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("auth: reading user info: %w", err)
	}
	return entityRefs(answer.Claims.Ownership)
}

func entityRefs(claim any) ([]string, error) {
	list, ok := claim.([]any)
	refs := make([]string, len(list))
	for i := range list {
		if !ok {
			break
		}
		refs[i], ok = list[i].(string)
	}
	if !ok {
		return nil, errors.New("auth: the ownership of the user is not a list of entity refs")
	}
	return refs, nil
}
