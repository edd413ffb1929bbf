package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"go.uber.org/fx"
)

// newHTTPClient makes a client whose connections end with the backend: those of the exporters' own outlive it. What the environment says
// of certificates is then for us to read.
func newHTTPClient(kind string, lifecycle fx.Lifecycle) (*http.Client, error) {
	secure, err := tlsConfig(kind)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = secure
	lifecycle.Append(fx.Hook{OnStop: func(context.Context) error {
		transport.CloseIdleConnections()
		return nil
	}})
	return &http.Client{Transport: transport}, nil
}

// tlsConfig is by which certificates the environment has the receiver recognized, and this backend.
func tlsConfig(kind string) (*tls.Config, error) {
	secure := &tls.Config{}
	if variable, file := environment(kind, "CERTIFICATE"); file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("otlp: the environment variable %s: %w", variable, err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("otlp: the environment variable %s: %s has no certificates in PEM form", variable, file)
		}
	}
	variable, certificate := environment(kind, "CLIENT_CERTIFICATE")
	keyVariable, key := environment(kind, "CLIENT_KEY")
	if certificate == "" && key == "" {
		return secure, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("otlp: the environment variables %s and %s: %w", variable, keyVariable, err)
	}
	secure.Certificates = []tls.Certificate{pair}
	return secure, nil
}
