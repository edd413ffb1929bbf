package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
)

// newSecret is a text that nobody can guess.
func newSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

// hashed is how secrets are stored that nobody can guess.
func hashed(secret string) string {
	hash := sha256.Sum256([]byte(secret))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(hash[:])
}

// sameSecret compares a secret with what is stored of one: its hash, or, in what Backstage has stored, itself.
func sameSecret(stored, secret string) bool {
	if strings.HasPrefix(stored, "sha256:") {
		secret = hashed(secret)
	}
	return stored != "" && subtle.ConstantTimeCompare([]byte(stored), []byte(secret)) == 1
}

// tokenRequest is what a client sends to the token endpoint, as a form or as JSON.
type tokenRequest struct {
	GrantType    string `json:"grant_type"`
	Code         string `json:"code"`
	RedirectURI  string `json:"redirect_uri"`
	CodeVerifier string `json:"code_verifier"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	Token        string `json:"token"` // to revoke
}

func readTokenRequest(r *http.Request) (tokenRequest, error) {
	var t tokenRequest
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	content, err := io.ReadAll(io.LimitReader(r.Body, maxTokenRequest+1))
	if err != nil || len(content) > maxTokenRequest {
		return t, invalidRequest("The request can't be read, or is too long")
	}
	if kind == "application/json" {
		if json.Unmarshal(content, &t) != nil {
			return t, invalidRequest("The request is not JSON")
		}
	} else {
		form, err := url.ParseQuery(string(content))
		if err != nil {
			return t, invalidRequest("The request is not a form")
		}
		t = tokenRequest{
			GrantType: form.Get("grant_type"), Code: form.Get("code"), RedirectURI: form.Get("redirect_uri"), CodeVerifier: form.Get("code_verifier"),
			ClientID: form.Get("client_id"), ClientSecret: form.Get("client_secret"), RefreshToken: form.Get("refresh_token"), Token: form.Get("token"),
		}
	}
	if id, secret, ok := r.BasicAuth(); ok {
		decodedID, errID := url.QueryUnescape(id)
		decodedSecret, errSecret := url.QueryUnescape(secret)
		if errID != nil || errSecret != nil || t.ClientID != "" && t.ClientID != decodedID {
			return t, &oauthError{http.StatusUnauthorized, "invalid_client", "Invalid client credentials"}
		}
		t.ClientID, t.ClientSecret = decodedID, decodedSecret
	}
	return t, nil
}

// The grants of the token endpoint.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

// offlineScope asks for a refresh token.
const offlineScope = "offline_access"

// token exchanges a code or a refresh token for a token.
func (a *authServer) token(c echo.Context) error {
	t, err := readTokenRequest(c.Request())
	switch {
	case err != nil:
		return err
	case t.GrantType == "":
		return invalidRequest("The grant_type is missing")
	case t.GrantType == grantCode:
		return a.exchange(c, t)
	case t.GrantType == grantRefresh && a.offline != nil:
		return a.refresh(c, t)
	}
	return &oauthError{http.StatusBadRequest, "unsupported_grant_type", "Grant type " + t.GrantType + " is not supported"}
}

// exchange exchanges a code for a token.
func (a *authServer) exchange(c echo.Context, t tokenRequest) error {
	ctx := c.Request().Context()
	if t.Code == "" || t.RedirectURI == "" {
		return invalidRequest("Missing code or redirect_uri parameters for authorization_code grant")
	}
	// The code is used up, whatever comes of the rest: who has stolen it can't try again.
	s, err := a.store.redeem(ctx, hashed(t.Code))
	if err != nil {
		return err
	}
	if err := a.check(ctx, t, s); err != nil {
		return err
	}
	identity, err := a.identity(ctx, s.UserEntityRef)
	if err != nil {
		return err
	}
	issued, err := a.issuer.issue(ctx, identity)
	if err != nil {
		return err
	}
	scope := s.Scope
	if scope == "" {
		scope = defaultScope
	}
	answer := tokens{AccessToken: issued.Token, TokenType: "Bearer", ExpiresIn: issued.ExpiresInSeconds, IDToken: issued.Token, Scope: scope}
	if a.offline != nil && slices.Contains(strings.Fields(scope), offlineScope) {
		if answer.RefreshToken, err = a.offline.issue(ctx, s.UserEntityRef, s.ClientID); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, answer)
}

// tokens is the answer of the token endpoint.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// refresh exchanges a refresh token for a token and another refresh token. The user must still be in the catalog.
func (a *authServer) refresh(c echo.Context, t tokenRequest) error {
	ctx := c.Request().Context()
	if t.RefreshToken == "" {
		return invalidRequest("Missing refresh_token parameter for refresh_token grant")
	}
	s, err := a.offline.find(ctx, t.RefreshToken)
	if err != nil {
		return err
	}
	if err := a.checkClient(ctx, t, s.ClientID); err != nil {
		return err
	}
	ref, err := catalogmodel.ParseRef(s.UserEntityRef, catalogmodel.RefDefaults{})
	if err != nil {
		return fmt.Errorf("auth: the user of a session: %w", err)
	}
	if !a.offline.DangerouslyDisableCatalogPresenceCheck {
		_, err := a.users.Find(ctx, UserQuery{Ref: ref})
		if isNotFound(err) {
			a.log.InfoContext(ctx, "Ending the session of a user who is not in the catalog any more", "user", s.UserEntityRef, "client", s.ClientID)
			return errors.Join(invalidGrant("User entity no longer exists in the catalog"), a.offline.end(ctx, s.ID))
		}
		if err != nil {
			a.log.WarnContext(ctx, "Failed to look for the user of a session in the catalog", "user", s.UserEntityRef, "error", err)
			return invalidGrant("Unable to validate user existence")
		}
	}
	identity, err := a.identity(ctx, s.UserEntityRef)
	if err != nil {
		return err
	}
	next, err := a.offline.rotate(ctx, s)
	if err != nil {
		return err
	}
	issued, err := a.issuer.issue(ctx, identity)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, tokens{AccessToken: issued.Token, TokenType: "Bearer", ExpiresIn: issued.ExpiresInSeconds, RefreshToken: next})
}

// checkClient makes sure that a client that names itself is the one, and that its secret, if it shows one, is right.
func (a *authServer) checkClient(ctx context.Context, t tokenRequest, id string) error {
	if t.ClientID != "" && t.ClientID != id {
		return invalidGrant("Refresh token was not issued to this client")
	}
	if t.ClientSecret == "" {
		return nil
	}
	registered, err := a.store.client(ctx, id)
	if err != nil && !isNotFound(err) {
		return err
	}
	if !sameSecret(registered.secret, t.ClientSecret) {
		return &oauthError{http.StatusUnauthorized, "invalid_client", "Invalid client credentials"}
	}
	return nil
}

// revoke ends the session of a refresh token (RFC 7009). A token that is not good is no error.
func (a *authServer) revoke(c echo.Context) error {
	ctx := c.Request().Context()
	t, err := readTokenRequest(c.Request())
	if err != nil {
		return err
	}
	unknown := &oauthError{http.StatusUnauthorized, "invalid_client", "Client authentication required"}
	switch {
	case t.Token == "":
		return invalidRequest("The token is missing")
	case t.ClientID == "":
		return unknown
	case a.documents != nil && (t.ClientID == a.issuer.url()+cliPath || a.documents.Allowed(t.ClientID)):
	default:
		registered, err := a.store.client(ctx, t.ClientID)
		if err != nil && !isNotFound(err) {
			return err
		}
		if !sameSecret(registered.secret, t.ClientSecret) {
			return unknown
		}
	}
	if a.offline == nil {
		return c.NoContent(http.StatusOK)
	}
	s, err := a.offline.find(ctx, t.Token)
	if refused := (*oauthError)(nil); errors.As(err, &refused) || err == nil && s.ClientID != t.ClientID {
		return c.NoContent(http.StatusOK)
	}
	if err == nil {
		err = a.offline.end(ctx, s.ID)
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// check makes sure that who has the code is who asked for it: by PKCE, or by the secret of the client.
func (a *authServer) check(ctx context.Context, t tokenRequest, s authSession) error {
	switch {
	case s.Status != statusApproved || s.UserEntityRef == "":
		return invalidGrant("Authorization not approved")
	case s.RedirectURI != t.RedirectURI:
		return invalidGrant("Redirect URI mismatch")
	case t.ClientID != "" && t.ClientID != s.ClientID:
		return invalidGrant("The code was issued to another client")
	}
	proven := false
	if s.Challenge != "" {
		hash := sha256.Sum256([]byte(t.CodeVerifier))
		if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(hash[:])), []byte(s.Challenge)) != 1 {
			return invalidGrant("Invalid code verifier")
		}
		proven = true
	}
	if t.ClientSecret != "" || !proven {
		registered, err := a.store.client(ctx, s.ClientID)
		if err != nil && !isNotFound(err) {
			return err
		}
		if !sameSecret(registered.secret, t.ClientSecret) {
			return &oauthError{http.StatusUnauthorized, "invalid_client", "Invalid client credentials"}
		}
	}
	return nil
}

// identity is the user as the catalog has it now, or as the last sign-in left it if the catalog doesn't have the user.
func (a *authServer) identity(ctx context.Context, user string) (Identity, error) {
	ref, err := catalogmodel.ParseRef(user, catalogmodel.RefDefaults{})
	if err != nil {
		return Identity{}, fmt.Errorf("auth: the user of a session: %w", err)
	}
	identity, err := a.users.SignIn(ctx, UserQuery{Ref: ref})
	if !isNotFound(err) {
		return identity, err
	}
	stored, err := a.issuer.info(ctx, user)
	if isNotFound(err) {
		return Identity{UserEntityRef: user}, nil
	}
	var info struct {
		Claims struct {
			Ownership []string `json:"ent"`
		} `json:"claims"`
	}
	if err == nil {
		err = json.Unmarshal(stored, &info)
	}
	return Identity{UserEntityRef: user, OwnershipEntityRefs: info.Claims.Ownership}, err
}
