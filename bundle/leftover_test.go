package bundle

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/testdata/regtest"
)

// What an earlier run left decides the date of a bundle only where it is the same
// bundle, and the date is one that such a run can have.
func TestLeftoverDecidesNothing(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", small(1))
	pushImage(t, pub, "acme/b:1", small(2))
	now := time.Now().UTC().Truncate(time.Second)
	for _, tc := range []struct {
		name, image string
		created     time.Time
		kept        bool
	}{
		{"the same bundle, an hour ago", "acme/a:1", now.Add(-time.Hour), true},
		{"the same bundle, in 2020", "acme/a:1", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"the same bundle, in 2200", "acme/a:1", time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"another bundle, an hour ago", "acme/b:1", now.Add(-time.Hour), false},
		{"another bundle, in 2020", "acme/b:1", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"another bundle, in 2200", "acme/b:1", time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			signer, trust := newKey(t)
			out := filepath.Join(t.TempDir(), "a.tar")
			o := ExportOptions{Images: []string{"ghcr.io/" + tc.image}, Created: tc.created, Signer: signer, Output: out, Registry: through(pub)}
			mustExport(t, o)
			if err := os.Rename(out, out+".partial"); err != nil {
				t.Fatal(err)
			}
			o.Images, o.Created = []string{"ghcr.io/acme/a:1"}, time.Time{}
			r := mustExport(t, o)
			if got := r.Created.Equal(tc.created); got != tc.kept || !tc.kept && r.Created.Before(now) {
				t.Errorf("created %s, what was left says %s", r.Created, tc.created)
			}
			if len(r.Changed) > 0 || len(r.Images) != 1 {
				t.Errorf("changed %+v, images %+v", r.Changed, r.Images)
			}
			if _, err := Verify(t.Context(), out, trust, nil); err != nil {
				t.Error(err)
			}
			regtest.WantFiles(t, filepath.Dir(out), "a.tar")
		})
	}
}

// A file that is no bundle is not replaced by one, and nothing is asked before that
// is said.
func TestOutputIsSomebodys(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", small(1))
	signer, _ := newKey(t)
	for name, content := range map[string]string{
		"key": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "values.yaml": "replicas: 1\n", "chart.tgz": "\x1f\x8b\x08", "other.tar": "index.json\x00",
	} {
		t.Run(name, func(t *testing.T) {
			pub.Log.Reset()
			out := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(out, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Export(t.Context(), ExportOptions{Images: []string{"ghcr.io/acme/a:1"}, Signer: signer, Output: out, Registry: through(pub)})
			wantError(t, err, fault.Usage, out, "no bundle")
			if got := regtest.ReadFile(t, out); got != content {
				t.Errorf("it holds %q", got)
			}
			if n := pub.Log.Count("", ""); n > 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// An export into a pipe ends with its context, whether nobody reads or somebody
// does no longer; nothing of it runs on.
func TestPipeEndsWithContext(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/a:1", regtest.Image{Layers: []regtest.Layer{{Size: 1 << 20, Seed: 1}}})
	for _, tc := range []struct {
		name   string
		reader bool
	}{{"nobody reads", false}, {"somebody stopped reading", true}} {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "pipe")
			regtest.Fifo(t, out)
			pub.Log.Reset()
			if tc.reader {
				f, err := os.OpenFile(out, os.O_RDONLY|syscall.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := Export(ctx, ExportOptions{Images: []string{"ghcr.io/acme/a:1"}, Unsigned: true, Output: out, Registry: through(pub)})
				ended <- err
			}()
			for pub.Log.Count("GET", "") == 0 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
			cancel()
			select {
			case err := <-ended:
				wantError(t, err, fault.Interrupted)
			case <-time.After(20 * time.Second):
				t.Fatal("it goes on")
			}
		})
	}
}
