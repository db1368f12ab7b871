package regtest

import (
	"errors"
	"os"
	"testing"
)

// Running starts a registry, which the end of the test closes. A machine without
// docker-registry skips tests of it; CI does not.
func Running(t testing.TB, start func(Options) (*Registry, error), o Options) *Registry {
	t.Helper()
	reg, err := start(o)
	if errors.Is(err, ErrNoProcess) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return reg
}
