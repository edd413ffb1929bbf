package clients

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/egress"
)

const (
	fetchTimeout = 10 * time.Second
	maxDocument  = 64 << 10
)

// Metadata is what a client says of itself, in the document that its id is the URL of (Client ID Metadata Documents).
type Metadata struct {
	ClientID     string   `json:"client_id"`
	ClientName   string   `json:"client_name"`
	RedirectURIs []string `json:"redirect_uris"`
}

// Documents fetches such documents. Safe for concurrent use.
type Documents struct {
	patterns []Pattern
	client   *http.Client
}

// NewDocuments makes a Documents for clients whose id matches one of the patterns. Hosts must have public addresses, unless a pattern without
// stars names them.
func NewDocuments(patterns []string, transport func(egress.Policy) http.RoundTripper) (*Documents, error) {
	d := &Documents{}
	named := map[string]bool{}
	for _, text := range patterns {
		p, err := ParsePattern(text)
		if err != nil {
			return nil, err
		}
		if u, err := url.Parse(text); err == nil && p.Exact() {
			named[u.Hostname()] = true
		}
		d.patterns = append(d.patterns, p)
	}
	d.client = &http.Client{
		Transport:     transport(egress.Policy{Named: named, Fix: "name the client_id at auth.clientIdMetadataDocuments.allowedClientIdPatterns, without stars"}),
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d, nil
}

// Close closes connections that are kept for later.
func (d *Documents) Close() { d.client.CloseIdleConnections() }

// IsDocument tells whether a client id is the URL of a document.
func IsDocument(clientID string) bool {
	_, err := parseID(clientID)
	return err == nil
}

func parseID(clientID string) (*url.URL, error) {
	u, err := ParseRedirect(clientID)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "https":
		return nil, errors.New("it must use HTTPS")
	case path(u) == "/":
		return nil, errors.New("it must have a path")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("it must not have a query")
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, errors.New("it must not have dot segments")
		}
	}
	return u, nil
}

// Allowed tells whether the id of a client matches one of the patterns.
func (d *Documents) Allowed(clientID string) bool {
	u, err := parseID(clientID)
	return err == nil && slices.ContainsFunc(d.patterns, func(p Pattern) bool { return p.Matches(u) && (p.exact || !isAddress(u)) })
}

// isAddress tells whether the host is an address, which nobody can resolve to something else.
func isAddress(u *url.URL) bool {
	_, err := netip.ParseAddr(u.Hostname())
	return err == nil
}

// Fetch gets the document of a client. Errors are InputErrors.
func (d *Documents) Fetch(ctx context.Context, clientID string) (Metadata, error) {
	var m Metadata
	if !d.Allowed(clientID) {
		return m, service.InputError.Errorf("Invalid client_id")
	}
	failed := service.InputError.Errorf("Failed to fetch client metadata")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, clientID, nil)
	if err != nil {
		return m, failed
	}
	req.Header.Set("Accept", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return m, failed // why is not for those who ask: they could look at the network
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return m, failed
	}
	content, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	switch {
	case err != nil:
		return m, failed
	case len(content) > maxDocument:
		return m, service.InputError.Errorf("Client metadata document too large")
	}
	return parseMetadata(content, clientID)
}

// parseMetadata reads the document of a client.
func parseMetadata(content []byte, clientID string) (Metadata, error) {
	var m struct {
		Metadata

		Secret       json.RawMessage `json:"client_secret"`
		SecretExpiry json.RawMessage `json:"client_secret_expires_at"`
		AuthMethod   string          `json:"token_endpoint_auth_method"`
	}
	if json.Unmarshal(content, &m) != nil {
		return m.Metadata, service.InputError.Errorf("Invalid client metadata document")
	}
	switch {
	case m.ClientID != clientID:
		return m.Metadata, service.InputError.Errorf("Client ID mismatch in metadata document")
	case len(m.RedirectURIs) == 0:
		return m.Metadata, service.InputError.Errorf("Metadata must include at least one redirect_uri")
	case m.Secret != nil || m.SecretExpiry != nil:
		return m.Metadata, service.InputError.Errorf("Client metadata must not contain client_secret")
	case strings.HasPrefix(m.AuthMethod, "client_secret_"):
		return m.Metadata, service.InputError.Errorf("Client metadata uses forbidden auth method")
	}
	for _, uri := range m.RedirectURIs {
		if _, err := ParseRedirect(uri); err != nil {
			return m.Metadata, service.InputError.Errorf("Invalid redirect_uri in metadata: %w", err)
		}
	}
	if m.ClientName == "" {
		m.ClientName = clientID
	}
	return m.Metadata, nil
}
