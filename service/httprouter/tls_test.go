package httprouter_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for a name, as PEM texts.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", secret)
}

// served is the name in the certificate that a new connection gets.
func (b *backend) served() string {
	b.t.Helper()
	conn, err := tls.Dial("tcp", b.server.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
}

func TestCertificateReload(t *testing.T) {
	t.Parallel()
	settings := func(cert, key string) object {
		return object{"listen": "127.0.0.1:0", "https": object{"certificate": object{"cert": cert, "key": key}}}
	}
	cert1, key1 := certificate(t, "one.example.com")
	cert2, key2 := certificate(t, "two.example.com")
	b := newBackend(t, settings(cert1, key1)).start()
	if got := b.served(); got != "one.example.com" {
		t.Error(got)
	}
	b.config.change(settings(cert2, key2))
	if got := b.served(); got != "two.example.com" {
		t.Error(got)
	}
	b.config.change(settings(cert1, key2))
	if got := b.served(); got != "two.example.com" {
		t.Errorf("a certificate that does not fit is served: %s", got)
	}
	entries := b.log.lines(t)
	if last := entries[len(entries)-1]; last["level"] != "ERROR" || !strings.Contains(last["error"].(string), "backend.https.certificate.key") ||
		strings.Contains(last["error"].(string), "PRIVATE") {
		t.Errorf("%v", last)
	}
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	b := newBackend(t, object{"baseUrl": "https://portal.example.com", "https": true})
	b.echo.GET("/", hello)
	b.start()
	conn, err := tls.Dial("tcp", b.server.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != "h2" || state.Version < tls.VersionTLS12 {
		t.Errorf("%+v", state)
	}
	cert := state.PeerCertificates[0]
	for _, host := range []string{"portal.example.com", "localhost", "127.0.0.1", "::1"} {
		if err := cert.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	b.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	req := b.request(http.MethodGet, "/", nil)
	req.URL.Host = b.server.Addr().String()
	if got := b.do(req); got.StatusCode != http.StatusOK || got.ProtoMajor != 2 {
		t.Errorf("%d %s", got.StatusCode, got.Proto)
	}
}

func TestBadCertificate(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "one.example.com")
	_, other := certificate(t, "one.example.com")
	for _, test := range []struct {
		https any
		want  string
	}{
		{true, "configuration key backend.https: a self-signed certificate is for the host of backend.baseUrl, which is missing"},
		{object{"certificate": object{"cert": "cert.pem", "key": key}}, "configuration key backend.https.certificate.cert is not PEM text; to have it read from a file"},
		{object{"certificate": object{"cert": cert}}, "configuration key backend.https.certificate.key is not PEM text"},
		{object{"certificate": object{"cert": cert, "key": other}}, "don't make a certificate: tls: private key does not match public key"},
	} {
		err := newBackend(t, object{"https": test.https}).root.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "PRIVATE KEY-") {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
}
