package integration

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// Services declares the *[Integrations] of a backend.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Integrations](New, service.ConfigSchema(config.SchemaOf[settings]("integrations")), service.ConfigSchema(elsewhere)),
	}
}

// settings is integrations, as far as this package knows it.
type settings struct {
	GitHub []struct {
		Host       string `schema:"visibility=frontend" doc:"The host of the server. Default: github.com."`
		Token      string `schema:"visibility=secret" doc:"The token of requests that no app has an installation for."`
		APIBaseURL string `config:"apiBaseUrl" schema:"visibility=frontend" doc:"The URL of the REST API, like https://ghe.example.com/api/v3."`
		RawBaseURL string `config:"rawBaseUrl" schema:"visibility=frontend" doc:"The URL of raw files, like https://ghe.example.com/raw."`
		Apps       []githubAppSettings
	} `config:"github"`
	GitLab []struct {
		Host             string `schema:"required,visibility=frontend" doc:"The host of the server, like gitlab.com."`
		APIBaseURL       string `config:"apiBaseUrl" schema:"visibility=frontend" doc:"The URL of the REST API, like https://gitlab.com/api/v4. Required for all hosts but gitlab.com."`
		BaseURL          string `config:"baseUrl" schema:"visibility=frontend" doc:"The URL of the pages. Default: https:// and the host."`
		Token            string `schema:"visibility=secret" doc:"The token of requests."`
		CommitSigningKey string `schema:"visibility=secret" doc:"The PGP key that commits are signed with."`
		Retry            Retry
	} `config:"gitlab"`
	BitbucketCloud []struct {
		Username         string `doc:"The user of token, or of appPassword."`
		Token            string `schema:"visibility=secret" doc:"The API token of the user."`
		AppPassword      string `schema:"visibility=secret" doc:"The app password of the user, which Bitbucket has replaced by tokens."`
		ClientID         string `config:"clientId" schema:"visibility=secret" doc:"The id of an OAuth consumer, instead of a user."`
		ClientSecret     string `schema:"visibility=secret" doc:"The secret of the OAuth consumer."`
		CommitSigningKey string `schema:"visibility=secret" doc:"The PGP key that commits are signed with."`
	}
	BitbucketServer []struct {
		Host             string `schema:"required,visibility=frontend" doc:"The host of the server."`
		Token            string `schema:"visibility=secret" doc:"The token of requests."`
		Username         string `schema:"visibility=secret" doc:"The user, instead of a token."`
		Password         string `schema:"visibility=secret" doc:"The password of the user."`
		APIBaseURL       string `config:"apiBaseUrl" schema:"visibility=frontend" doc:"The URL of the REST API. Default: https://<host>/rest/api/1.0."`
		CommitSigningKey string `schema:"visibility=secret" doc:"The PGP key that commits are signed with."`
	}
	Azure []struct {
		Host             string `schema:"visibility=frontend" doc:"The host of the server. Default: dev.azure.com."`
		Credentials      []azureSettings
		CommitSigningKey string `schema:"visibility=secret" doc:"The PGP key that commits are signed with."`
	}
	Gitea []struct {
		Host             string `schema:"required,visibility=frontend" doc:"The host of the server."`
		BaseURL          string `config:"baseUrl" schema:"visibility=frontend" doc:"The URL of the server. Default: https:// and the host."`
		Username         string `schema:"visibility=secret" doc:"The user. Without one, the password is a token."`
		Password         string `schema:"visibility=secret" doc:"The password of the user, or a token."`
		CommitSigningKey string `schema:"visibility=secret" doc:"The PGP key that commits are signed with."`
	}
	Gerrit []struct {
		Host             string `schema:"required,visibility=frontend" doc:"The host of the server."`
		BaseURL          string `config:"baseUrl" schema:"visibility=frontend" doc:"The URL of the server. Default: https:// and the host."`
		GitilesBaseURL   string `config:"gitilesBaseUrl" schema:"required,visibility=frontend" doc:"The URL of Gitiles, which shows the repositories."`
		CloneURL         string `config:"cloneUrl" schema:"visibility=frontend" doc:"The URL that repositories are cloned from. Default: that of the server."`
		DisableEditURL   bool   `config:"disableEditUrl" schema:"visibility=frontend" doc:"Whether the server has no page for editing files."`
		Username         string `schema:"visibility=secret" doc:"The user."`
		Password         string `schema:"visibility=secret" doc:"The password or token of the user."`
		CommitSigningKey string `schema:"visibility=secret" doc:"The PGP key that commits are signed with."`
	}
}

// elsewhere is the schema of integrations that other modules read: their secrets are to be kept out of logs wherever they are configured.
var elsewhere = []byte(`{
  "type": "object",
  "properties": { "integrations": { "type": "object", "properties": {
    "awsS3": { "type": "array", "items": { "type": "object", "properties": {
      "endpoint": { "type": "string", "visibility": "frontend" },
      "s3ForcePathStyle": { "type": "boolean", "visibility": "frontend" },
      "accessKeyId": { "type": "string" },
      "secretAccessKey": { "type": "string", "visibility": "secret" },
      "roleArn": { "type": "string" },
      "externalId": { "type": "string" } } } },
    "googleGcs": { "type": "object", "properties": {
      "clientEmail": { "type": "string" },
      "privateKey": { "type": "string", "visibility": "secret" } } },
    "azureBlobStorage": { "type": "array", "items": { "type": "object", "additionalProperties": true, "properties": {
      "accountKey": { "type": "string", "visibility": "secret" },
      "sasToken": { "type": "string", "visibility": "secret" },
      "connectionString": { "type": "string", "visibility": "secret" },
      "endpoint": { "type": "string", "visibility": "frontend" },
      "aadCredential": { "type": "object", "additionalProperties": true, "properties": {
        "clientSecret": { "type": "string", "visibility": "secret" } } } } } },
    "harness": { "type": "array", "items": { "type": "object", "properties": {
      "host": { "type": "string", "visibility": "frontend" },
      "apiKey": { "type": "string", "visibility": "secret" },
      "token": { "type": "string", "visibility": "secret" } } } }
  } } }
}`)

// New reads the configuration and checks it. Connections for getting tokens are closed when the lifecycle stops.
func New(cfg service.Config, log service.RootLogger, clock clockwork.Clock, lifecycle fx.Lifecycle) (*Integrations, error) {
	var s settings
	if err := cfg.Decode("integrations", &s); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	lifecycle.Append(fx.StopHook(transport.CloseIdleConnections))
	tokens := &tokenClient{clock: clock, http: &http.Client{
		Transport:     transport,
		Timeout:       tokenTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	b := &builder{settings: s, tokens: tokens}
	result := b.build()
	if err := errors.Join(b.problems...); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, one := range result.All() {
		if key := one.Type() + " " + one.Host(); seen[key] {
			log.Warn(fmt.Sprintf("integrations.%s: %s is configured more than once; the first entry is used", one.Type(), one.Host()))
		} else {
			seen[key] = true
		}
	}
	return result, nil
}

const tokenTimeout = 30 * time.Second

// builder makes integrations and collects what is wrong with their configuration.
type builder struct {
	settings settings
	tokens   *tokenClient
	problems []error
}

func (b *builder) fail(key, format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf("integrations.%s: %s", key, fmt.Sprintf(format, args...)))
}

// host checks a host.
func (b *builder) host(key, host, fallback string) string {
	if host == "" {
		host = fallback
	}
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || u.Host != strings.ToLower(host) {
		b.fail(key+".host", "%q is not a host: it has to be like git.example.com, in lower case, with a port if need be, and without https:// and a path", host)
	}
	return host
}

// base parses a base URL, which may be missing.
func (b *builder) base(key, raw, fallback string) *url.URL {
	if raw == "" {
		raw = fallback
	}
	if raw == "" {
		return nil
	}
	u, err := ParseURL(strings.TrimRight(raw, "/"))
	if err != nil {
		b.fail(key, "%s", err)
		return &url.URL{}
	}
	u.RawQuery, u.Fragment = "", ""
	return u
}

func bases(urls ...*url.URL) []*url.URL {
	var all []*url.URL
	for _, u := range urls {
		if u != nil {
			all = append(all, u)
		}
	}
	return all
}

func (b *builder) build() *Integrations {
	return &Integrations{
		GitHub:          b.github(),
		GitLab:          b.gitlab(),
		BitbucketCloud:  b.bitbucketCloud(),
		BitbucketServer: b.bitbucketServer(),
		Azure:           b.azure(),
		Gitea:           b.gitea(),
		Gerrit:          b.gerrit(),
	}
}

const (
	githubHost = "github.com"
	gitlabHost = "gitlab.com"
)

func (b *builder) github() []*GitHub {
	var all []*GitHub
	add := func(key, host, api, raw, token string, apps []githubAppSettings) {
		g := &GitHub{token: strings.TrimSpace(token)}
		g.host = b.host(key, host, githubHost)
		fallbackAPI, fallbackRaw := "", ""
		if g.host == githubHost {
			fallbackAPI, fallbackRaw = "https://api.github.com", "https://raw.githubusercontent.com"
		}
		g.APIBase = b.base(key+".apiBaseUrl", api, fallbackAPI)
		g.RawBase = b.base(key+".rawBaseUrl", raw, fallbackRaw)
		g.bases = bases(g.APIBase, g.RawBase)
		if g.APIBase == nil && (g.RawBase == nil || len(apps) > 0) {
			b.fail(key, "needs an apiBaseUrl, which is https://%s/api/v3 for GitHub Enterprise", g.host)
			return
		}
		for i, app := range apps {
			made, err := newGitHubApp(app, g.APIBase, b.tokens)
			if err != nil {
				b.fail(fmt.Sprintf("%s.apps[%d].privateKey", key, i), "%s", err)
				continue
			}
			g.apps = append(g.apps, made)
		}
		all = append(all, g)
	}
	known := false
	for i, s := range b.settings.GitHub {
		add(fmt.Sprintf("github[%d]", i), s.Host, s.APIBaseURL, s.RawBaseURL, s.Token, s.Apps)
		known = known || s.Host == "" || s.Host == githubHost
	}
	if !known {
		add("github", githubHost, "", "", "", nil)
	}
	return all
}

func (b *builder) gitlab() []*GitLab {
	var all []*GitLab
	add := func(key, host, api, base, token string, retry Retry) {
		g := &GitLab{token: strings.TrimSpace(token), Retry: retry}
		g.host = b.host(key, host, "")
		fallback := ""
		if g.host == gitlabHost {
			fallback = "https://gitlab.com/api/v4"
		}
		g.Base = b.base(key+".baseUrl", base, "https://"+g.host)
		if g.APIBase = b.base(key+".apiBaseUrl", api, fallback); g.APIBase == nil {
			b.fail(key, "needs an apiBaseUrl, which is usually https://%s/api/v4", g.host)
			return
		}
		g.bases = bases(g.APIBase, g.Base)
		all = append(all, g)
	}
	known := false
	for i, s := range b.settings.GitLab {
		add(fmt.Sprintf("gitlab[%d]", i), s.Host, s.APIBaseURL, s.BaseURL, s.Token, s.Retry)
		known = known || s.Host == gitlabHost
	}
	if !known {
		add("gitlab", gitlabHost, "", "", "", Retry{})
	}
	return all
}

func (b *builder) bitbucketCloud() []*BitbucketCloud {
	var all []*BitbucketCloud
	for i, s := range b.settings.BitbucketCloud {
		key := fmt.Sprintf("bitbucketCloud[%d]", i)
		c := newBitbucketCloud(b.tokens)
		c.clientID, c.clientSecret = strings.TrimSpace(s.ClientID), strings.TrimSpace(s.ClientSecret)
		c.username, c.password = s.Username, strings.TrimSpace(s.Token)
		if c.password == "" {
			c.password = strings.TrimSpace(s.AppPassword)
		}
		if c.username != "" && c.password == "" {
			b.fail(key, "has a username but no token")
		}
		if (c.clientID == "") != (c.clientSecret == "") {
			b.fail(key, "needs both clientId and clientSecret, or neither")
		}
		all = append(all, c)
	}
	if all == nil {
		all = append(all, newBitbucketCloud(b.tokens))
	}
	return all
}

func (b *builder) bitbucketServer() []*BitbucketServer {
	var all []*BitbucketServer
	for i, s := range b.settings.BitbucketServer {
		key := fmt.Sprintf("bitbucketServer[%d]", i)
		one := &BitbucketServer{token: strings.TrimSpace(s.Token), username: s.Username, password: s.Password}
		one.host = b.host(key, s.Host, "")
		one.APIBase = b.base(key+".apiBaseUrl", s.APIBaseURL, "https://"+one.host+"/rest/api/1.0")
		one.bases = bases(one.APIBase)
		all = append(all, one)
	}
	return all
}

func (b *builder) gitea() []*Gitea {
	var all []*Gitea
	for i, s := range b.settings.Gitea {
		key := fmt.Sprintf("gitea[%d]", i)
		one := &Gitea{username: s.Username, password: strings.TrimSpace(s.Password)}
		one.host = b.host(key, s.Host, "")
		one.Base = b.base(key+".baseUrl", s.BaseURL, "https://"+one.host)
		one.bases = bases(one.Base)
		all = append(all, one)
	}
	return all
}

func (b *builder) gerrit() []*Gerrit {
	var all []*Gerrit
	for i, s := range b.settings.Gerrit {
		key := fmt.Sprintf("gerrit[%d]", i)
		one := &Gerrit{username: s.Username, password: strings.TrimSpace(s.Password), noEditURL: s.DisableEditURL}
		one.host = b.host(key, s.Host, "")
		one.Base = b.base(key+".baseUrl", s.BaseURL, "https://"+one.host)
		one.GitilesBase = b.base(key+".gitilesBaseUrl", s.GitilesBaseURL, "")
		if one.GitilesBase == nil {
			b.fail(key+".gitilesBaseUrl", "is required")
			continue
		}
		one.bases = bases(one.Base, one.GitilesBase)
		if one.password != "" && !isBelow(one.GitilesBase, one.Base) {
			b.fail(key+".gitilesBaseUrl", "has to be below baseUrl (%s), where a password is configured: there is no authenticated URL for it otherwise", one.Base)
		}
		all = append(all, one)
	}
	return all
}

// isBelow tells whether a URL is below another one.
func isBelow(u, base *url.URL) bool {
	_, ok := below(u.EscapedPath(), base)
	return ok && u.Scheme == base.Scheme && u.Host == base.Host
}
