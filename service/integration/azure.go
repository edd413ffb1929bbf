package integration

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
)

const (
	azureHost = "dev.azure.com"
	// azureScope is Azure DevOps as a resource of Entra ID.
	azureScope = "499b84ac-1321-427f-aa17-267ca6975798"
)

// Azure is Azure DevOps, or an Azure DevOps Server.
type Azure struct {
	server
	// credentials are by organization in lower case; that of the empty one is for all others.
	credentials map[string]*azureCredential
}

type azureSettings struct {
	Organizations           []string `doc:"The organizations that these credentials are for. Default: all without credentials of their own."`
	PersonalAccessToken     string   `schema:"visibility=secret" doc:"The token of a user."`
	ClientID                string   `config:"clientId" doc:"The application (with clientSecret and tenantId), or the managed identity: its id or system-assigned."`
	ClientSecret            string   `schema:"visibility=secret" doc:"The secret of the application."`
	TenantID                string   `config:"tenantId" doc:"The tenant of the application."`
	ManagedIdentityClientID string   `config:"managedIdentityClientId" doc:"The managed identity that vouches for the application of clientId: its id or system-assigned."`
}

// Type implements Integration.
func (*Azure) Type() string { return "azure" }

// Parse implements Integration. The path is in the parameter path, the ref in the parameter version.
func (a *Azure) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	wrong := notRepository(u, "https://"+a.host+"/organization/project/_git/repository?path=/path&version=GBmain")
	parts := segments(u.EscapedPath())
	git := slices.Index(parts, "_git")
	if git < 0 || git+1 >= len(parts) || slices.Contains(parts[:git+2], "") {
		return Location{}, wrong
	}
	l := Location{Repo: parts[git+1]}
	switch {
	case a.visualStudio() && git == 1:
		l.Owner, _, _ = strings.Cut(a.host, ".")
		l.Project = parts[0]
	case git == 1:
		l.Owner, l.Project = parts[0], l.Repo
	case git == 2:
		l.Owner, l.Project = parts[0], parts[1]
	case git == 3:
		l.Owner, l.Project = parts[0]+"/"+parts[1], parts[2]
	default:
		return Location{}, wrong
	}
	query := u.Query()
	if l.Path = strings.Trim(query.Get("path"), "/"); escapes(l.Path) {
		return Location{}, service.InputError.Errorf("%s: the path leads out of the repository", Redact(u))
	}
	if version := query.Get("version"); version != "" {
		types := map[string]RefType{"GB": Branch, "GT": Tag, "GC": Commit}
		l.RefType = types[version[:min(2, len(version))]]
		if l.RefType == "" || len(version) == 2 {
			return Location{}, service.InputError.Errorf("%s: the version has to be GB and the name of a branch, GT and that of a tag, or GC and a commit", Redact(u))
		}
		l.Ref = version[2:]
	}
	return l, nil
}

func (a *Azure) visualStudio() bool { return strings.HasSuffix(a.host, ".visualstudio.com") }

// Repository is the URL of the repository in the REST API.
func (a *Azure) Repository(l Location) *url.URL {
	u := &url.URL{Scheme: a.bases[0].Scheme, Host: a.host}
	owner := EscapePath(l.Owner)
	if a.visualStudio() {
		owner = ""
	}
	return u.JoinPath(owner, url.PathEscape(l.Project), "_apis/git/repositories", url.PathEscape(l.Repo))
}

// ResolveURL implements Integration.
func (a *Azure) ResolveURL(target, base string, line int) (string, error) {
	if t, err := url.Parse(target); err == nil && t.IsAbs() {
		return target, nil
	}
	u, err := ParseURL(base)
	if err != nil {
		return "", err
	}
	l, err := a.Parse(base)
	if err != nil {
		return "", err
	}
	inner, err := (&url.URL{Path: "/" + l.Path}).Parse(target)
	if err != nil {
		return "", service.InputError.Errorf("%q can't be resolved: it is neither a URL nor a path with special characters encoded", target)
	}
	query := u.Query()
	query.Set("path", inner.Path)
	if line > 0 {
		query.Set("line", fmt.Sprint(line))
		query.Set("lineEnd", fmt.Sprint(line+1))
		query.Set("lineStartColumn", "1")
		query.Set("lineEndColumn", "1")
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// EditURL implements Integration: the page itself has the editor.
func (a *Azure) EditURL(rawURL string) (string, error) { return rawURL, nil }

// Credentials implements Integration: those of the organization, or else those for all.
func (a *Azure) Credentials(ctx context.Context, at Location) (Credentials, error) {
	organization := strings.ToLower(strings.TrimPrefix(at.Owner, "tfs/"))
	organization, _, _ = strings.Cut(organization, "/")
	c := a.credentials[organization]
	if c == nil {
		c = a.credentials[""]
	}
	if c == nil {
		return Credentials{}, nil
	}
	return c.get(ctx)
}

// azureCredential is a personal access token, or what an access token is got with.
type azureCredential struct {
	azureSettings
	tokens *tokenClient
	cache  cached[string]
}

func (c *azureCredential) get(ctx context.Context) (Credentials, error) {
	if c.PersonalAccessToken != "" {
		return basic("", c.PersonalAccessToken), nil
	}
	token, err := c.cache.get(ctx, c.tokens.clock, func(ctx context.Context) (string, expiry, error) {
		if c.TenantID == "" {
			return c.tokens.managedIdentity(ctx, c.ClientID, azureScope)
		}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "scope": {azureScope + "/.default"}}
		if c.ClientSecret != "" {
			form.Set("client_secret", c.ClientSecret)
		} else {
			assertion, _, err := c.tokens.managedIdentity(ctx, c.ManagedIdentityClientID, "api://AzureADTokenExchange")
			if err != nil {
				return "", expiry{}, err
			}
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", assertion)
		}
		login := (&url.URL{Scheme: "https", Host: "login.microsoftonline.com"}).JoinPath(url.PathEscape(c.TenantID), "oauth2/v2.0/token")
		return c.tokens.oauth(ctx, login, form, Credentials{})
	})
	return Bearer(token), err
}

func (b *builder) azure() []*Azure {
	var all []*Azure
	known := false
	for i, s := range b.settings.Azure {
		key := fmt.Sprintf("azure[%d]", i)
		a := &Azure{credentials: map[string]*azureCredential{}}
		a.host = b.host(key, s.Host, azureHost)
		a.bases = []*url.URL{{Scheme: "https", Host: a.host}}
		for n, c := range s.Credentials {
			b.azureCredential(fmt.Sprintf("%s.credentials[%d]", key, n), a, c)
		}
		known = known || a.host == azureHost
		all = append(all, a)
	}
	if !known {
		a := &Azure{}
		a.host, a.bases = azureHost, []*url.URL{{Scheme: "https", Host: azureHost}}
		all = append(all, a)
	}
	return all
}

func (b *builder) azureCredential(key string, a *Azure, s azureSettings) {
	for _, field := range []*string{&s.PersonalAccessToken, &s.ClientID, &s.ClientSecret, &s.TenantID, &s.ManagedIdentityClientID} {
		*field = strings.TrimSpace(*field)
	}
	has := func(field string) string {
		if field == "" {
			return "-"
		}
		return "+"
	}
	switch has(s.PersonalAccessToken) + has(s.ClientID) + has(s.ClientSecret) + has(s.TenantID) + has(s.ManagedIdentityClientID) {
	case "+----": // a user's token
	case "-+++-", "-+---", "-+-++": // an application, a managed identity, an application that one vouches for
		if a.host != azureHost {
			b.fail(key, "only a personalAccessToken can be used with %s", a.host)
		}
	default:
		b.fail(key, "has to have either personalAccessToken; or clientId, clientSecret and tenantId; or clientId alone; or clientId, tenantId and managedIdentityClientId")
		return
	}
	organizations := s.Organizations
	if len(organizations) == 0 {
		organizations = []string{""}
	}
	c := &azureCredential{azureSettings: s, tokens: b.tokens}
	for _, organization := range organizations {
		organization = strings.ToLower(organization)
		if a.credentials[organization] != nil {
			if organization == "" {
				b.fail(key, "is the second entry without organizations")
			} else {
				b.fail(key, "is the second entry for the organization %s", organization)
			}
		}
		a.credentials[organization] = c
	}
}
