package siptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// initTLS completes the server's TLS configuration with a certificate of its
// own where the options have none. It is made for the clock of the moment, which
// in a synctest bubble is the year 2000.
func (s *Server) initTLS() error {
	s.tls = s.options.TLS.Clone()
	if len(s.tls.Certificates) == 0 && s.tls.GetCertificate == nil {
		c, err := selfSigned(s.options.Host)
		if err != nil {
			return fmt.Errorf("siptest: making a certificate: %w", err)
		}
		s.tls.Certificates = []tls.Certificate{c}
	}
	if len(s.tls.Certificates) > 0 {
		leaf, err := x509.ParseCertificate(s.tls.Certificates[0].Certificate[0])
		if err != nil {
			return fmt.Errorf("siptest: Options.TLS: %w", err)
		}
		s.cert = leaf
	}
	return nil
}

func selfSigned(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: host},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{host, "localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Certificate is the server's certificate, nil without Options.TLS.
func (s *Server) Certificate() *x509.Certificate { return s.cert }

// ClientTLS is a configuration for clients that trusts the server's certificate
// and nothing else. Nil without Options.TLS.
func (s *Server) ClientTLS() *tls.Config {
	if s.cert == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.cert)
	return &tls.Config{RootCAs: roots}
}
