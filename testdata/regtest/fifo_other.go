//go:build !unix

package regtest

import "testing"

// Fifo skips the test: no folder has named pipes here.
func Fifo(t testing.TB, path string) {
	t.Helper()
	t.Skip("there are no named pipes in folders here")
}
