package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// No test may find the credentials of the user who runs it, and none may leave a
// connection behind.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		panic(err)
	}
	for _, env := range []string{"HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		os.Setenv(env, home)
	}
	for _, env := range []string{"REGISTRY_AUTH_FILE", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
		os.Unsetenv(env)
	}
	code := m.Run()
	os.RemoveAll(home)
	if leak := leaked(); code == 0 && leak != "" {
		fmt.Fprintln(os.Stderr, "connections or readers left behind:\n"+leak)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of connections that do not end.
func leaked() string {
	var stacks string
	for range 200 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "persistConn") && !strings.Contains(stacks, "http2clientConn") {
			return ""
		}
		time.Sleep(10 * time.Millisecond) // connections close in the background
	}
	return stacks
}

// fast retries without noticeable pauses and without patience.
var fast = remote.Retry{
	MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond, MaxRetryAfter: 2 * time.Second, Stall: 20 * time.Second,
}

// quiet is how long a connection of a test may be silent where silence is what is
// tested, by a clock of its own: see silence.
const quiet = 2 * time.Second

// client makes a client that knows the registries' CAs and which have no TLS.
func client(t *testing.T, o remote.Options, regs ...*regtest.Registry) *remote.Client {
	t.Helper()
	if o.Retry == (remote.Retry{}) {
		o.Retry = fast
	}
	var pem []byte
	for _, reg := range regs {
		if reg.CA == nil {
			o.PlainHTTP = append(o.PlainHTTP, reg.Host())
		}
		pem = append(pem, reg.CA...)
	}
	if pem != nil && o.CAFile == "" {
		o.CAFile = t.TempDir() + "/ca.pem"
		if err := os.WriteFile(o.CAFile, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func start(t *testing.T, o regtest.Options) *regtest.Registry {
	t.Helper()
	return started(t)(regtest.Start(o))
}

// started closes a registry at the end of the test. A machine without
// docker-registry skips the test, CI does not.
func started(t *testing.T) func(*regtest.Registry, error) *regtest.Registry {
	return func(reg *regtest.Registry, err error) *regtest.Registry {
		t.Helper()
		if errors.Is(err, regtest.ErrNoProcess) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		return reg
	}
}

// content is n random bytes with their descriptor.
func content(n int, seed uint64) ([]byte, ocispec.Descriptor) {
	data := make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = random.Read(data)
	return data, ocispec.Descriptor{
		MediaType: "application/octet-stream", Digest: digest.FromBytes(data), Size: int64(n),
	}
}

func source(data []byte) remote.BlobSource {
	return remote.BlobSource{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

func pull(ctx context.Context, c *remote.Client, repo string, d ocispec.Descriptor) ([]byte, error) {
	rc, err := c.Blob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

// wantError demands a *remote.Error of a kind, and no secrets in it.
func wantError(t *testing.T, err error, kind remote.Kind) *remote.Error {
	t.Helper()
	var e *remote.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *remote.Error", err)
	}
	if e.Kind != kind {
		t.Errorf("kind is %q, want %q: %v", e.Kind, kind, err)
	}
	for _, secret := range []string{"hunter2", "Basic ", "Bearer ", "?", "_state"} {
		if strings.Contains(e.Error(), secret) {
			t.Errorf("error contains %q: %v", secret, e)
		}
	}
	return e
}
