package bundle

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// Nothing keeps running after a use case has returned: no connection either.
func TestConnectionsEnd(t *testing.T) {
	pub, priv := startRegistry(t), startRegistry(t)
	pushImage(t, pub, "acme/one:1", small(1))
	signer, trust := newKey(t)
	before := clientConnections()
	out := t.TempDir() + "/b.tar"
	mustExport(t, ExportOptions{Images: []string{"docker.io/acme/one:1"}, Signer: signer, Output: out, Registry: through(pub)})
	wantConnections(t, "export", before)
	mustImport(t, out, onto(priv, trust))
	wantConnections(t, "import", before)
}

func clientConnections() int {
	buf := make([]byte, 1<<22)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "(*persistConn).readLoop(")
}

// wantConnections waits for what closes in the background.
func wantConnections(t *testing.T, after string, want int) {
	t.Helper()
	for range 100 {
		if clientConnections() <= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after %s, %d connections are open, %d more than before", after, clientConnections(), clientConnections()-want)
}
