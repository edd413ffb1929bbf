package database

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strconv"
)

// tls reads the setting ssl as Backstage's drivers do: true verifies the server by the system's certificates; an object has ca, cert,
// key (PEM), servername, and rejectUnauthorized, which false turns the verification off. It is nil where ssl is absent or false.
func (c connection) tls(key string) (*tls.Config, error) {
	config := &tls.Config{ServerName: c.text("host"), MinVersion: tls.VersionTLS12}
	object, isObject := c["ssl"].(map[string]any)
	if !isObject {
		on := c.text("ssl")
		if on == "" {
			return nil, nil
		}
		enabled, err := strconv.ParseBool(on)
		if err != nil {
			return nil, fmt.Errorf("%s.ssl: must be true, false or an object with ca, cert, key and rejectUnauthorized", key)
		}
		if !enabled {
			return nil, nil
		}
		return config, nil
	}

	ssl := connection(object)
	if name := ssl.text("servername"); name != "" {
		config.ServerName = name
	}
	if ca := ssl.text("ca"); ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, fmt.Errorf("%s.ssl.ca: holds no PEM certificate (with a file, use $file)", key)
		}
	}
	if cert := ssl.text("cert"); cert != "" || ssl.text("key") != "" {
		pair, err := tls.X509KeyPair([]byte(cert), []byte(ssl.text("key")))
		if err != nil {
			return nil, fmt.Errorf("%s.ssl: cert and key: %w", key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if reject := ssl.text("rejectUnauthorized"); reject != "" {
		verify, err := strconv.ParseBool(reject)
		if err != nil {
			return nil, fmt.Errorf("%s.ssl.rejectUnauthorized: must be true or false", key)
		}
		config.InsecureSkipVerify = !verify
	}
	return config, nil
}
