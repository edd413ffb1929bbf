package httprouter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portico-dev/portico/service"
)

const (
	certKey    = "backend.https.certificate.cert"
	privateKey = "backend.https.certificate.key"
)

// newTLS makes the TLS configuration with the configured certificate, which follows changes of the configuration, or with a self-signed
// one. The returned function ends that.
func newTLS(config service.Config, s settings, log *slog.Logger) (*tls.Config, func(), error) {
	var current atomic.Pointer[tls.Certificate]
	result := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}
	var raw any
	if err := config.Decode("backend.https", &raw); err != nil {
		return nil, nil, fmt.Errorf("httprouter: %w", err)
	}
	if raw == true {
		if s.baseURL == "" {
			return nil, nil, errors.New("httprouter: configuration key backend.https: a self-signed certificate is for the host of backend.baseUrl, which is missing")
		}
		cert, err := selfSigned(s.baseURL, time.Now())
		if err != nil {
			return nil, nil, fmt.Errorf("httprouter: generating a self-signed certificate: %w", err)
		}
		current.Store(cert)
		sum := sha256.Sum256(cert.Certificate[0])
		log.Warn("Serving HTTPS with a certificate that was generated for this run; browsers will warn", "sha256", hex.EncodeToString(sum[:]))
		return result, func() {}, nil
	}
	cert, err := readCertificate(config)
	if err != nil {
		return nil, nil, fmt.Errorf("httprouter: %w", err)
	}
	current.Store(cert)
	cancel := config.Subscribe(func() {
		cert, err := readCertificate(config)
		if err != nil {
			log.Error("The changed certificate can't be used, the former one stays", "error", err)
			return
		}
		if string(cert.Certificate[0]) != string(current.Swap(cert).Certificate[0]) {
			log.Info("Serving with the changed certificate", "notAfter", cert.Leaf.NotAfter)
		}
	})
	return result, cancel, nil
}

// readCertificate reads the configured certificate. Errors don't show the key.
func readCertificate(config service.Config) (*tls.Certificate, error) {
	var cert, key string
	for name, dst := range map[string]*string{certKey: &cert, privateKey: &key} {
		if err := config.Decode(name, dst); err != nil {
			return nil, err
		}
		if !strings.Contains(*dst, "-----BEGIN ") {
			return nil, fmt.Errorf("configuration key %s is not PEM text; to have it read from a file, write an object with the path: {$file: <path>}", name)
		}
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("configuration keys %s and %s don't make a certificate: %w", certKey, privateKey, err)
	}
	return &pair, nil
}

// selfSigned makes a certificate for the host of a URL and for this machine.
func selfSigned(baseURL string, now time.Time) (*tls.Certificate, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "self-signed"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(0, 0, 30),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if u.Hostname() != "localhost" {
		template.DNSNames = append(template.DNSNames, u.Hostname())
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
