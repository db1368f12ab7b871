package regtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"bundle/testdata/regtest"
)

// transport trusts the registry's CA.
func transport(t *testing.T, reg *regtest.Registry) http.RoundTripper {
	t.Helper()
	pool := x509.NewCertPool()
	if reg.CA != nil && !pool.AppendCertsFromPEM(reg.CA) {
		t.Fatal("the registry's CA is no certificate")
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}
