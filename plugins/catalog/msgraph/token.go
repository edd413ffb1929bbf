package msgraph

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// tokens gets access tokens for Graph. The context carries the client that asks for them.
func tokens(ctx context.Context, s settings) oauth2.TokenSource {
	target, _ := url.Parse(s.Target) // checked
	resource := target.Scheme + "://" + target.Hostname()
	app := clientcredentials.Config{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, AuthStyle: oauth2.AuthStyleInParams, Scopes: []string{resource + "/.default"},
		TokenURL: s.Authority + "/" + url.PathEscape(s.TenantID) + "/oauth2/v2.0/token",
	}
	if app.ClientID != "" {
		return app.TokenSource(ctx)
	}
	app.ClientID = os.Getenv("AZURE_CLIENT_ID")
	if file := os.Getenv("AZURE_FEDERATED_TOKEN_FILE"); file != "" {
		return oauth2.ReuseTokenSource(nil, workloadIdentity{ctx, app, file})
	}
	if app.ClientSecret = os.Getenv("AZURE_CLIENT_SECRET"); app.ClientSecret != "" {
		return app.TokenSource(ctx)
	}
	return oauth2.ReuseTokenSource(nil, managedIdentity{
		ctx: ctx, clientID: app.ClientID, resource: resource,
		host: strings.TrimRight(cmp.Or(os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST"), metadataService), "/"),
	})
}

// workloadIdentity exchanges the token of a Kubernetes service account, which is renewed in a file, for one of the application.
type workloadIdentity struct {
	ctx  context.Context
	app  clientcredentials.Config
	file string
}

// Token implements oauth2.TokenSource.
func (w workloadIdentity) Token() (*oauth2.Token, error) {
	assertion, err := os.ReadFile(w.file)
	if err != nil {
		return nil, fmt.Errorf("the token of AZURE_FEDERATED_TOKEN_FILE: %w", err)
	}
	app := w.app
	app.EndpointParams = url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {strings.TrimSpace(string(assertion))},
	}
	return app.Token(w.ctx)
}

// metadataService is where the Azure machine that the process runs on tells about itself, unless AZURE_POD_IDENTITY_AUTHORITY_HOST says
// otherwise: something that stands in for it, as in Microsoft's libraries.
const metadataService = "http://169.254.169.254"

// managedIdentity gets tokens from the metadata service.
type managedIdentity struct {
	ctx                context.Context
	clientID, resource string
	host               string
}

// Token implements oauth2.TokenSource.
func (m managedIdentity) Token() (*oauth2.Token, error) {
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {m.resource}}
	if m.clientID != "" {
		query.Set("client_id", m.clientID)
	}
	r, err := http.NewRequestWithContext(m.ctx, http.MethodGet, m.host+"/metadata/identity/oauth2/token?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Metadata", "true")
	client, _ := m.ctx.Value(oauth2.HTTPClient).(*http.Client)
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("there is no clientId, and no managed identity either: %w", err)
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   string `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer)
	switch {
	case res.StatusCode == http.StatusBadRequest: // the machine has no such identity, for instance; other errors pass
		return nil, &oauth2.RetrieveError{Response: res, ErrorCode: answer.Error, ErrorDescription: answer.Description}
	case err != nil || answer.AccessToken == "":
		return nil, errors.New("the metadata service of the machine answers " + res.Status + " without a token of a managed identity")
	}
	seconds, err := strconv.Atoi(answer.ExpiresIn)
	if err != nil {
		return nil, fmt.Errorf("the metadata service of the machine says when the token expires as %q", answer.ExpiresIn)
	}
	return &oauth2.Token{AccessToken: answer.AccessToken, Expiry: time.Now().Add(time.Duration(seconds) * time.Second)}, nil
}
