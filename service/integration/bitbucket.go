package integration

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

func basic(username, password string) Credentials {
	if password == "" {
		return Credentials{}
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(username + ":" + password))
	return Credentials{scheme: "Basic", token: password, header: "Basic " + encoded}
}

// BitbucketCloud is bitbucket.org.
type BitbucketCloud struct {
	server
	// APIBase is the URL of the REST API.
	APIBase *url.URL
	// Base is the URL of the pages and archives.
	Base *url.URL

	username, password     string
	clientID, clientSecret string
	tokens                 *tokenClient
	oauth                  cached[string]
}

func newBitbucketCloud(tokens *tokenClient) *BitbucketCloud {
	c := &BitbucketCloud{tokens: tokens}
	c.host = "bitbucket.org"
	c.APIBase = &url.URL{Scheme: "https", Host: "api.bitbucket.org", Path: "/2.0"}
	c.Base = &url.URL{Scheme: "https", Host: "bitbucket.org"}
	c.bases = bases(c.APIBase, c.Base)
	return c
}

// Type implements Integration.
func (*BitbucketCloud) Type() string { return "bitbucketCloud" }

// Parse implements Integration.
func (c *BitbucketCloud) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	l, ok := locate(segments(u.EscapedPath()), 1, "src", "raw")
	if !ok {
		return Location{}, notRepository(u, "https://bitbucket.org/workspace/repository/src/main/path")
	}
	return l, nil
}

// ResolveURL implements Integration.
func (c *BitbucketCloud) ResolveURL(target, base string, line int) (string, error) {
	return resolveIn(c, target, base, anchor("lines-", line))
}

// EditURL implements Integration.
func (c *BitbucketCloud) EditURL(rawURL string) (string, error) {
	l, err := c.Parse(rawURL)
	if err != nil {
		return "", err
	}
	u, err := ParseURL(rawURL)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("mode", "edit")
	query.Set("at", l.Ref)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Credentials implements Integration: a token of the OAuth consumer, or else the user's.
func (c *BitbucketCloud) Credentials(ctx context.Context, _ Location) (Credentials, error) {
	if c.clientID == "" {
		if c.username == "" {
			return Credentials{}, nil
		}
		return basic(c.username, c.password), nil
	}
	token, err := c.oauth.get(ctx, c.tokens.clock, func(ctx context.Context) (string, expiry, error) {
		form := url.Values{"grant_type": {"client_credentials"}}
		return c.tokens.oauth(ctx, c.Base.JoinPath("site/oauth2/access_token"), form, basic(c.clientID, c.clientSecret))
	})
	return Bearer(token), err
}

// BitbucketServer is a Bitbucket Server or Data Center.
type BitbucketServer struct {
	server
	// APIBase is the URL of the REST API.
	APIBase *url.URL

	token, username, password string
}

// Type implements Integration.
func (*BitbucketServer) Type() string { return "bitbucketServer" }

// Parse implements Integration. The owner is the key of the project; that of a user begins with a tilde.
func (s *BitbucketServer) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	parts := segments(u.EscapedPath())
	repos := slices.Index(parts, "repos")
	if repos < 2 || repos+1 >= len(parts) || parts[repos-1] == "" || parts[repos+1] == "" ||
		parts[repos-2] != "projects" && parts[repos-2] != "users" {
		return Location{}, notRepository(u, "https://"+s.host+"/projects/KEY/repos/repository/browse/path?at=main")
	}
	l := Location{Owner: parts[repos-1], Repo: parts[repos+1], Ref: u.Query().Get("at")}
	if parts[repos-2] == "users" {
		l.Owner = "~" + l.Owner
	}
	if rest := parts[repos+2:]; len(rest) > 0 && slices.Contains([]string{"browse", "raw", "src"}, rest[0]) {
		l.View, l.Path, l.pathSegments = rest[0], join(rest[1:]), len(rest)-1
	}
	return l, nil
}

// ResolveURL implements Integration.
func (s *BitbucketServer) ResolveURL(target, base string, line int) (string, error) {
	return resolveIn(s, target, base, anchor("", line))
}

// EditURL implements Integration: the page itself has the editor.
func (s *BitbucketServer) EditURL(rawURL string) (string, error) {
	before, _, _ := strings.Cut(rawURL, "?")
	return before, nil
}

// Credentials implements Integration.
func (s *BitbucketServer) Credentials(context.Context, Location) (Credentials, error) {
	if s.token != "" {
		return Bearer(s.token), nil
	}
	if s.username == "" {
		return Credentials{}, nil
	}
	return basic(s.username, s.password), nil
}
