package bundle

import (
	"testing"

	"bundle/testdata/regtest"
)

// A registry that answers no question, and takes what is pushed, gets everything.
func TestImportQuestionsRefused(t *testing.T) {
	for name, status := range map[string]int{"not allowed": 405, "forbidden": 403, "bad request": 400, "not implemented": 501} {
		t.Run(name, func(t *testing.T) {
			pub, priv := startRegistry(t), startRegistry(t)
			desc := pushIndex(t, pub, "acme/one:1", platforms("linux/amd64", "linux/arm64"))
			signer, trust := newKey(t)
			out := t.TempDir() + "/b.tar"
			mustExport(t, ExportOptions{Images: []string{"docker.io/acme/one:1"}, Signer: signer, Output: out, Registry: through(pub)})
			for _, f := range []regtest.Fault{
				{Method: "HEAD", Do: regtest.Status(status)},
				{Method: "GET", Class: regtest.Manifest, Do: regtest.Status(status)},
				{Method: "GET", Class: regtest.Blob, Do: regtest.Status(status)},
			} {
				priv.Inject(f)
			}
			mustImport(t, out, onto(priv, trust))
			priv.ClearFaults()
			holds(t, priv, "apps/acme/one:1", desc.Digest)
		})
	}
}
