package integration

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/portico-dev/portico/service"
)

const (
	installationsTTL = 10 * time.Minute
	// installationsPause is the least time between two looks for an installation that isn't there.
	installationsPause = time.Minute
	maxPages           = 100
)

type githubAppSettings struct {
	AppID                     int64    `config:"appId" schema:"required" doc:"The id of the app."`
	PrivateKey                string   `schema:"required,visibility=secret" doc:"The private key of the app, in PEM format."`
	WebhookSecret             string   `schema:"visibility=secret" doc:"The secret of the app's webhook."`
	ClientID                  string   `config:"clientId" doc:"The OAuth client of the app."`
	ClientSecret              string   `schema:"visibility=secret" doc:"The secret of the OAuth client."`
	AllowedInstallationOwners []string `doc:"The organizations and users whose installations are used. Default: all."`
	PublicAccess              bool     `doc:"Whether a token of any installation is used for what is public elsewhere."`
}

// githubApp gets tokens of the installations of a GitHub App. See https://docs.github.com/en/apps/creating-github-apps.
type githubApp struct {
	id            int64
	signer        jose.Signer
	owners        []string // in lower case; nil for all
	publicAccess  bool
	webhookSecret string
	api           *url.URL
	client        *tokenClient
	installations cached[[]installation]

	mu       sync.Mutex
	lastLook time.Time
	tokens   map[int64]*cached[installationToken]
}

type installation struct {
	ID          int64      `json:"id"`
	SuspendedAt *time.Time `json:"suspended_at"`
	TargetType  string     `json:"target_type"` // "Organization" or "User"
	Account     struct {
		Login string `json:"login"`
	} `json:"account"`
}

type installationToken struct {
	token string
	// repositories are the names of those that the token is for, in lower case; nil for all of the owner's.
	repositories []string
}

func newGitHubApp(s githubAppSettings, api *url.URL, client *tokenClient) (*githubApp, error) {
	key, err := parseKey(s.PrivateKey)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("can't sign with the key: %w", err)
	}
	app := &githubApp{
		id: s.AppID, signer: signer, publicAccess: s.PublicAccess, webhookSecret: s.WebhookSecret, api: api, client: client,
		tokens: map[int64]*cached[installationToken]{},
	}
	for _, owner := range s.AllowedInstallationOwners {
		app.owners = append(app.owners, strings.ToLower(owner))
	}
	return app, nil
}

// parseKey parses a private key. Line breaks may be written as \n, as happens in environment variables.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
	if block == nil {
		return nil, errors.New("is not in PEM format: it has to begin with -----BEGIN")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is not an RSA private key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("is a %T instead of an RSA private key", parsed)
	}
	return key, nil
}

// appToken is a token of the apps for a location, or empty if none of them is installed there.
func (g *GitHub) appToken(ctx context.Context, at Location) (string, error) {
	var failures []error
	for _, app := range g.apps {
		token, err := app.token(ctx, at)
		if err != nil {
			failures = append(failures, err)
		} else if token != "" {
			return token, nil
		}
	}
	for _, app := range g.apps {
		if !app.publicAccess {
			continue
		}
		token, err := app.publicToken(ctx)
		if err != nil {
			failures = append(failures, err)
		} else if token != "" {
			return token, nil
		}
	}
	return "", errors.Join(failures...)
}

// serves tells whether installations of the owner are used.
func (a *githubApp) serves(owner string) bool {
	return a.owners == nil || slices.Contains(a.owners, strings.ToLower(owner))
}

// token is a token for the location, or empty if the app isn't installed there.
func (a *githubApp) token(ctx context.Context, at Location) (string, error) {
	owner := strings.ToLower(at.Owner)
	if !a.serves(owner) {
		return "", nil
	}
	found, err := a.installation(ctx, owner)
	if err != nil || found == nil {
		return "", err
	}
	if found.SuspendedAt != nil {
		return "", fmt.Errorf("the GitHub App %d is suspended for %s", a.id, at.Owner)
	}
	token, err := a.installationToken(ctx, found.ID)
	if err != nil {
		return "", err
	}
	if token.repositories != nil && at.Repo != "" && !slices.Contains(token.repositories, strings.ToLower(at.Repo)) {
		return "", service.NotAllowedError.Errorf("the GitHub App %d has no access to the repository %s of %s: add it to the installation",
			a.id, at.Repo, at.Owner)
	}
	return token.token, nil
}

func (a *githubApp) publicToken(ctx context.Context) (string, error) {
	all, err := a.list(ctx)
	if err != nil || len(all) == 0 {
		return "", err
	}
	token, err := a.installationToken(ctx, all[0].ID)
	return token.token, err
}

// installation is that of an owner. If there is none, it looks again, though not too often.
func (a *githubApp) installation(ctx context.Context, owner string) (*installation, error) {
	for again := false; ; again = true {
		all, err := a.list(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			if strings.ToLower(one.Account.Login) == owner {
				return &one, nil
			}
		}
		if again || !a.mayLook() {
			return nil, nil
		}
		a.installations.forget()
	}
}

func (a *githubApp) mayLook() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.client.clock.Since(a.lastLook) >= installationsPause
}

func (a *githubApp) list(ctx context.Context) ([]installation, error) {
	return a.installations.get(ctx, a.client.clock, func(ctx context.Context) ([]installation, expiry, error) {
		jwt, err := a.jwt()
		if err != nil {
			return nil, expiry{}, err
		}
		now := a.client.clock.Now()
		a.mu.Lock()
		a.lastLook = now
		a.mu.Unlock()
		var all []installation
		err = a.pages(ctx, "app/installations", jwt, func(r *http.Request) (http.Header, error) {
			var page []installation
			header, err := a.client.do(r, fmt.Sprintf("listing the installations of the GitHub App %d", a.id), &page)
			all = append(all, page...)
			return header, err
		})
		return all, expiry{now.Add(installationsTTL + expiryMargin)}, err
	})
}

// jwt authenticates the app itself.
func (a *githubApp) jwt() (string, error) {
	now := a.client.clock.Now()
	// Both clocks may be off by a minute; ten minutes are the longest that GitHub accepts.
	token, err := jwt.Signed(a.signer).Claims(jwt.Claims{
		Issuer:   strconv.FormatInt(a.id, 10),
		IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)),
		Expiry:   jwt.NewNumericDate(now.Add(8 * time.Minute)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing as the GitHub App %d: %w", a.id, err)
	}
	return token, nil
}

func (a *githubApp) installationToken(ctx context.Context, id int64) (installationToken, error) {
	a.mu.Lock()
	cache := a.tokens[id]
	if cache == nil {
		cache = &cached[installationToken]{}
		a.tokens[id] = cache
	}
	a.mu.Unlock()
	return cache.get(ctx, a.client.clock, func(ctx context.Context) (installationToken, expiry, error) {
		token, end, err := a.createToken(ctx, id)
		var answer *statusError
		if errors.As(err, &answer) && (answer.status == http.StatusNotFound || answer.status == http.StatusGone) {
			a.installations.forget() // the app has been removed, or installed anew
		}
		return token, end, err
	})
}

func (a *githubApp) createToken(ctx context.Context, id int64) (installationToken, expiry, error) {
	jwt, err := a.jwt()
	if err != nil {
		return installationToken{}, expiry{}, err
	}
	r, err := a.request(ctx, http.MethodPost, a.api.JoinPath("app/installations", strconv.FormatInt(id, 10), "access_tokens").String(), jwt)
	if err != nil {
		return installationToken{}, expiry{}, err
	}
	var answer struct {
		Token               string    `json:"token"`
		ExpiresAt           time.Time `json:"expires_at"`
		RepositorySelection string    `json:"repository_selection"`
	}
	what := fmt.Sprintf("getting a token of the GitHub App %d for its installation %d", a.id, id)
	if _, err := a.client.do(r, what, &answer); err != nil {
		return installationToken{}, expiry{}, err
	}
	if answer.Token == "" {
		return installationToken{}, expiry{}, fmt.Errorf("%s: the answer has no token", what)
	}
	token := installationToken{token: answer.Token}
	if answer.RepositorySelection == "selected" {
		token.repositories = []string{}
		err = a.pages(ctx, "installation/repositories", answer.Token, func(r *http.Request) (http.Header, error) {
			var page struct {
				Repositories []struct {
					Name string `json:"name"`
				} `json:"repositories"`
			}
			header, err := a.client.do(r, fmt.Sprintf("listing the repositories of the GitHub App %d", a.id), &page)
			for _, one := range page.Repositories {
				token.repositories = append(token.repositories, strings.ToLower(one.Name))
			}
			return header, err
		})
	}
	return token, expiry{answer.ExpiresAt}, err
}

func (a *githubApp) request(ctx context.Context, method, target, token string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, fmt.Errorf("asking GitHub as the App %d: %w", a.id, err)
	}
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("Authorization", "Bearer "+token)
	return r, nil
}

// pages requests all pages of a list.
func (a *githubApp) pages(ctx context.Context, path, token string, do func(*http.Request) (http.Header, error)) error {
	target := a.api.JoinPath(path)
	for page := 1; page <= maxPages; page++ {
		target.RawQuery = url.Values{"per_page": {"100"}, "page": {strconv.Itoa(page)}}.Encode()
		r, err := a.request(ctx, http.MethodGet, target.String(), token)
		if err != nil {
			return err
		}
		header, err := do(r)
		if err != nil {
			return err
		}
		if !strings.Contains(header.Get("Link"), `rel="next"`) {
			return nil
		}
	}
	return nil
}
