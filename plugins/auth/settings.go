package auth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/portico-dev/portico/plugins/auth/internal/origin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/keys"
	"github.com/portico-dev/portico/service/telemetry"
)

const (
	settingsKey  = "auth"
	providersKey = "auth.providers"

	// Tokens live for an hour, or as configured within these bounds.
	defaultLifetime = time.Hour
	minLifetime     = 10 * time.Minute
	maxLifetime     = 24 * time.Hour

	clientTimeout = 10 * time.Second
)

// settings are what the configuration says of the plugin itself.
type settings struct {
	TokenExpiration time.Duration `config:"backstageTokenExpiration"`
	Algorithm       string        `config:"identityTokenAlgorithm"`
	OmitOwnership   bool          `config:"omitIdentityTokenOwnershipClaim"`
	KeyStore        struct {
		Provider string
		Static   struct{ Keys []keys.File }
	}
	ExtraAllowedOrigins []string `config:"experimentalExtraAllowedOrigins"`

	ClientIDMetadataDocuments             clientSettings `config:"clientIdMetadataDocuments"`
	ExperimentalClientIDMetadataDocuments clientSettings `config:"experimentalClientIdMetadataDocuments"`
	DynamicClientRegistration             clientSettings `config:"experimentalDynamicClientRegistration"`

	RefreshToken refreshSettings `config:"experimentalRefreshToken"`
}

func readSettings(cfg service.Config) (settings, error) {
	s := settings{TokenExpiration: defaultLifetime, OmitOwnership: true, RefreshToken: defaultRefreshSettings()}
	s.KeyStore.Provider = "database"
	if err := cfg.Decode(settingsKey, &s); err != nil {
		return s, fmt.Errorf("auth: %w", err)
	}
	s.TokenExpiration = min(max(s.TokenExpiration.Round(time.Second), minLifetime), maxLifetime)
	return s, nil
}

// keySource is where the plugin has its keys from.
func (s settings) keySource(d deps) (keySource, error) {
	var store keys.Store
	switch s.KeyStore.Provider {
	case "database":
		store = &keyStore{db: d.DB, listed: keys.Listed * s.TokenExpiration, log: d.Log}
	case "memory":
		store = &keys.Memory{}
	case "static":
		source, err := keys.NewStatic(s.KeyStore.Static.Keys)
		if err != nil {
			return nil, fmt.Errorf("auth: configuration key auth.keyStore.static.keys: %w", err)
		}
		return source, nil
	default:
		return nil, fmt.Errorf("auth: configuration key auth.keyStore.provider is %q; it must be \"database\", \"memory\" or \"static\"", s.KeyStore.Provider)
	}
	source, err := keys.NewRotating(keys.RotatingSettings{Lifetime: s.TokenExpiration, Algorithm: s.Algorithm}, store, d.Clock, d.Log)
	if err != nil {
		return nil, fmt.Errorf("auth: configuration key auth.identityTokenAlgorithm: %w", err)
	}
	return source, nil
}

// origins are those of frontends, of the app and of others, with the URL of the app.
func (s settings) origins(cfg service.Config) (allowed origin.Allowed, appURL string, err error) {
	if err := cfg.Decode("app.baseUrl", &appURL); err != nil {
		return allowed, "", fmt.Errorf("auth: %w", err)
	}
	if appURL == "" {
		return allowed, "", errors.New("auth: configuration key app.baseUrl is required: the URL of the frontend, to which users return when they have signed in")
	}
	allowed, err = origin.New(appURL, s.ExtraAllowedOrigins)
	if err != nil {
		return allowed, "", fmt.Errorf("auth: configuration keys app.baseUrl and auth.experimentalExtraAllowedOrigins: %w", err)
	}
	return allowed, appURL, nil
}

// newClient makes the HTTP client of the providers.
func newClient(t telemetry.Providers) *http.Client {
	return &http.Client{Transport: t.Transport(http.DefaultTransport.(*http.Transport).Clone()), Timeout: clientTimeout}
}
