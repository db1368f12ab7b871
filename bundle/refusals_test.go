package bundle

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// mixed is a bundle of podChart with images of several kinds: an index, one of
// Docker's types, one with a layer of its own that is large, a WebAssembly
// component.
func mixed(t *testing.T) (path string, images map[string]digest.Digest) {
	t.Helper()
	pub := startRegistry(t)
	images = map[string]digest.Digest{
		"acme/app:1":  pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64")).Digest,
		"acme/side:1": pushImage(t, pub, "acme/side:1", regtest.Image{Docker: true, Layers: small(7).Layers}).Digest,
		"acme/big:1":  pushImage(t, pub, "acme/big:1", regtest.Image{Layers: []regtest.Layer{{Size: 200_000, Seed: 5}}}).Digest,
	}
	wasm, err := pub.PushArtifact(t.Context(), "acme/wasm:1", regtest.Wasm([]byte("\x00asm")))
	if err != nil {
		t.Fatal(err)
	}
	images["acme/wasm:1"] = wasm.Digest
	r := mustExport(t, ExportOptions{
		Charts:   []source.ChartSpec{{Ref: regtest.Folder(t, podChart), Set: []string{"sidecar=acme/side:1"}}},
		Images:   []string{"acme/big:1", "acme/wasm:1"},
		Unsigned: true, Registry: through(pub),
	})
	images["charts/app:1.0.0"] = r.Charts[0].Digest
	return r.Output, images
}

// A refusal costs what needs the thing that was refused, and no more: the rest
// arrives, values are written, and everything is said.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	path, images := mixed(t)
	docker := func(m ocispec.Manifest) bool { return strings.Contains(m.MediaType, "docker") }
	config := func(part string) func(ocispec.Manifest) bool {
		return func(m ocispec.Manifest) bool { return strings.Contains(m.Config.MediaType, part) }
	}
	upload := func(method, repo string, do regtest.Injector) regtest.Fault {
		return regtest.Fault{Method: method, Class: regtest.Upload, Path: "/" + repo + "/", Do: do}
	}
	large := func(r *http.Request) bool { return r.ContentLength > 100_000 }
	for _, tc := range []struct {
		name   string
		faults []regtest.Fault
		lost   []string
		parts  []string // of the error
		hint   string
	}{
		{"Docker's types", []regtest.Fault{regtest.RefuseManifests(415, docker)}, []string{"acme/side:1"}, []string{"status 415", "ghcr.io/acme/side:1"}, "OCI types"},
		{"Docker's types, said with 400", []regtest.Fault{regtest.RefuseManifests(400, docker)}, []string{"acme/side:1"}, []string{"status 400", "ghcr.io/acme/side:1"}, ""},
		{"artifacts", []regtest.Fault{regtest.RefuseManifests(400, config("wasm"))}, []string{"acme/wasm:1"}, []string{"status 400"}, "wasm"},
		{"charts", []regtest.Fault{regtest.RefuseManifests(404, config("helm"))}, []string{"charts/app:1.0.0"}, []string{"status 404"}, "--skip-charts"},
		{"artifacts and charts", []regtest.Fault{regtest.RefuseManifests(400, config("wasm")), regtest.RefuseManifests(400, config("helm"))},
			[]string{"acme/wasm:1", "charts/app:1.0.0"}, []string{"refused 2 of 5"}, "wasm"},
		{"a child of the index", []regtest.Fault{{Method: "PUT", Class: regtest.Manifest, Path: "acme/app/manifests/sha256", Times: 1, Do: regtest.Says(400, "MANIFEST_INVALID", "no")}},
			[]string{"acme/app:1"}, []string{"status 400"}, ""},
		{"a large body", []regtest.Fault{{Method: "PUT", Class: regtest.Upload, Match: large, Do: regtest.Answer(413, "text/html", "<html>nginx</html>")}},
			[]string{"acme/big:1"}, []string{"status 413"}, "--chunk-size"},
		{"a large body, without an answer", []regtest.Fault{{Method: "PUT", Class: regtest.Upload, Match: large, Do: regtest.Refuse()}},
			[]string{"acme/big:1"}, []string{"attempts"}, ""},
		{"a blob that the registry cannot store", []regtest.Fault{upload("PUT", "acme/wasm", regtest.Status(500))}, []string{"acme/wasm:1"}, []string{"status 500"}, ""},
		{"no right for a repository", []regtest.Fault{upload("POST", "acme/big", regtest.Says(403, "DENIED", "no"))},
			[]string{"acme/big:1"}, []string{"1 of the repositories cannot be pushed to", "/apps/acme/big: may not be pushed to: status 403"}, "ask for the right to push"},
		{"repositories that do not exist", []regtest.Fault{regtest.OnlyRepositories("apps/acme/app", "apps/acme/side")},
			[]string{"acme/big:1", "acme/wasm:1", "charts/app:1.0.0"},
			[]string{"3 of the repositories", "/apps/acme/big: does not exist", "/apps/acme/wasm: does not exist", "/apps/charts/app: does not exist"}, "aws ecr create-repository"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			priv := startRegistry(t)
			for _, f := range tc.faults {
				priv.Inject(f)
			}
			o := onto(priv, trust.TrustAnyone())
			o.OutputDir = t.TempDir()
			o.RegistryOptions.Retry = remote.Retry{Attempts: 2, MinWait: time.Millisecond}
			report, err := Import(t.Context(), path, o)
			wantError(t, err, fault.Incomplete, tc.parts...)
			if h := fault.Hint(err); !strings.Contains(h, tc.hint) {
				t.Errorf("hint %q lacks %q", h, tc.hint)
			}
			if report == nil {
				t.Fatal("no report")
			}
			priv.ClearFaults()
			wantArrived(t, priv, report, images, tc.lost)
			wantValues(t, o.OutputDir, "app/values.given.yaml", "app/values.yaml")
			beside := slices.Contains(regtest.Files(t, o.OutputDir), "app/app-1.0.0.tgz")
			if chartLost := slices.Contains(tc.lost, "charts/app:1.0.0"); beside != chartLost || strings.Contains(report.Charts[0].Helm, ".tgz ") != chartLost {
				t.Errorf("chart beside: %v, %s", beside, report.Charts[0].Helm)
			}
			list := regtest.ReadFile(t, o.OutputDir, "images.txt")
			for ref := range images {
				if has := strings.Contains(list, "/apps/"+ref+" "); has == slices.Contains(tc.lost, ref) {
					t.Errorf("images.txt lists %s: %v", ref, has)
				}
			}
			// Without the refusals, the same command completes it.
			mustImport(t, path, onto(priv, trust.TrustAnyone()))
			wantArrived(t, priv, nil, images, nil)
		})
	}
}

// wantArrived requires that everything but lost is in the registry, and that the
// report says so.
func wantArrived(t *testing.T, reg *regtest.Registry, r *reports.Import, images map[string]digest.Digest, lost []string) {
	t.Helper()
	for ref, d := range images {
		gone := slices.Contains(lost, ref)
		if gone {
			lacks(t, reg, "apps/"+ref)
		} else {
			holds(t, reg, "apps/"+ref, d)
		}
		if r == nil {
			continue
		}
		i := slices.IndexFunc(r.Images, func(im push.Image) bool { return strings.HasSuffix(im.Target, "/apps/"+ref) })
		if i < 0 || (r.Images[i].Refused != "") != gone || r.Images[i].Pushed == gone {
			t.Errorf("%s: %+v", ref, r.Images)
		}
	}
}

// With FailFast the first refusal is the end, as is one that leaves nothing.
func TestImportEnds(t *testing.T) {
	path, images := mixed(t)
	manifests := func(status int) regtest.Fault {
		return regtest.RefuseManifests(status, func(ocispec.Manifest) bool { return true })
	}
	for _, tc := range []struct {
		name     string
		failFast bool
		fault    regtest.Fault
		kind     fault.Kind
		parts    []string
		puts     bool // something may have been sent
	}{
		{"fail fast, an artifact", true, regtest.RefuseManifests(400, func(m ocispec.Manifest) bool { return strings.Contains(m.Config.MediaType, "wasm") }), fault.Failed, []string{"status 400"}, true},
		{"fail fast, a repository", true, regtest.OnlyRepositories("apps/acme/app"), fault.Refused, []string{"acme/side: does not exist", "acme/big: does not exist", "charts/app: does not exist"}, false},
		{"no manifest is taken", false, manifests(400), fault.Refused, []string{"refused 5 of 5"}, true},
		{"no repository exists", false, regtest.OnlyRepositories(), fault.Refused, []string{"5 of the repositories", "acme/app: does not exist", "acme/wasm: does not exist"}, false},
		{"nobody may push", false, regtest.Fault{Method: "POST", Class: regtest.Upload, Do: regtest.Status(403)}, fault.Refused, []string{"5 of the repositories"}, false},
		{"too deep", false, regtest.MaxDepth(2, 401), fault.Refused, []string{"5 of the repositories", "acme/app: may not be pushed to: "}, false},
		{"it is read-only", false, regtest.Fault{Method: "POST", Class: regtest.Upload, Do: regtest.Says(405, "UNSUPPORTED", "read-only")}, fault.Refused, []string{"status 405"}, false},
		{"it stores no manifest", false, regtest.Forget(regtest.Manifest), fault.Refused, []string{"said that it took this, and does not have it"}, true},
		{"it stores no blob", false, regtest.Forget(regtest.Upload), fault.Failed, []string{"said that it took this, and does not have it"}, true},
	} {
		for _, dry := range []bool{false, true} {
			if dry && tc.puts {
				continue
			}
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				priv := startRegistry(t)
				priv.Inject(tc.fault)
				o := onto(priv, trust.TrustAnyone())
				o.OutputDir, o.FailFast, o.DryRun = filepath.Join(t.TempDir(), "out"), tc.failFast, dry
				o.RegistryOptions.Retry = remote.Retry{Attempts: 2, MinWait: time.Millisecond}
				_, err := Import(context.Background(), path, o)
				wantError(t, err, tc.kind, tc.parts...)
				if _, err := os.Stat(o.OutputDir); !os.IsNotExist(err) {
					t.Errorf("output folder: %v", err)
				}
				if n := priv.Log.Count("PUT", ""); n != 0 && !tc.puts {
					t.Errorf("%d were sent", n)
				}
				priv.ClearFaults()
				if tc.failFast {
					return
				}
				for ref := range images {
					lacks(t, priv, "apps/"+ref)
				}
			})
		}
	}
}

// A registry that falls ill in the middle ends the run soon.
func TestImportGivesUp(t *testing.T) {
	pub := startRegistry(t)
	o := ExportOptions{Unsigned: true, Registry: through(pub)}
	for i := range int64(40) {
		ref := "acme/app-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ":1"
		pushImage(t, pub, ref, small(i))
		o.Images = append(o.Images, ref)
	}
	path := mustExport(t, o).Output
	for name, do := range map[string]regtest.Injector{"no connection": regtest.Refuse(), "unavailable": regtest.Status(503), "too many requests": regtest.Status(429)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			priv := startRegistry(t)
			sends := func(r *http.Request) bool { return r.Method == "PUT" || r.URL.Query().Get("mount") != "" }
			priv.Inject(regtest.Fault{Match: sends, Skip: 3, Do: do})
			o := onto(priv, trust.TrustAnyone())
			o.RegistryOptions.Retry = remote.Retry{Attempts: 2, MinWait: time.Millisecond}
			_, err := Import(t.Context(), path, o)
			wantError(t, err, fault.Failed)
			if n := priv.Log.Count("PUT", ""); n > 60 {
				t.Errorf("%d requests to a registry that is ill", n)
			}
		})
	}
}

// Tags that may not be changed cost what they name, and the hint says what they
// stand for.
func TestImportImmutableTags(t *testing.T) {
	t.Parallel()
	path, images := mixed(t)
	for _, status := range []int{400, 409, 412} {
		priv := startRegistry(t)
		old := pushImage(t, priv, "apps/acme/side:1", small(99))
		priv.Inject(regtest.ImmutableTags(status))
		o := onto(priv, trust.TrustAnyone())
		o.OutputDir = t.TempDir()
		r, err := Import(t.Context(), path, o)
		wantError(t, err, fault.Incomplete, "ghcr.io/acme/side:1", "immutable")
		if h := fault.Hint(err); !strings.Contains(h, old.Digest.String()) {
			t.Errorf("%d: hint %q", status, h)
		}
		holds(t, priv, "apps/acme/app:1", images["acme/app:1"])
		holds(t, priv, "apps/acme/side:1", old.Digest)
		if r == nil || !slices.ContainsFunc(r.Images, func(im push.Image) bool { return im.Refused != "" }) {
			t.Errorf("report %+v", r)
		}
		// Nor is it a matter of what is there and the same.
		o.Exclude = []string{"ghcr.io/acme/side:1"}
		if r, err := Import(t.Context(), path, o); err == nil || strings.Contains(err.Error(), "immutable") || r.Charts[0].Excluded[0].Raw != "ghcr.io/acme/side:1" {
			t.Errorf("%v, %+v", err, r)
		}
	}
}

// Charts that are left out of the registry hold up no image, even when they do not
// render on the far side.
func TestImportSkipBrokenChart(t *testing.T) {
	t.Parallel()
	path, images := mixed(t)
	for _, image := range []string{`"\n  - {"`, `"a: b: c"`, `"{{ fail }}\n\t- }"`} {
		priv := startRegistry(t)
		o := onto(priv, trust.TrustAnyone())
		o.OutputDir = t.TempDir()
		o.ValueFiles = []string{filepath.Join(t.TempDir(), "v.yaml")}
		if err := os.WriteFile(o.ValueFiles[0], []byte("image: "+image+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Import(t.Context(), path, o)
		if err == nil {
			t.Fatal("the chart renders")
		}
		o.SkipCharts = true
		r, err := Import(t.Context(), path, o)
		wantError(t, err, fault.Incomplete, "no values", "app")
		if r == nil {
			t.Fatal("no report")
		}
		wantArrived(t, priv, nil, images, []string{"charts/app:1.0.0"})
		wantValues(t, o.OutputDir)
	}
}

// What is named by digest alone gets a tag on request, referrers too, and nothing
// else changes.
func TestImportTagDigests(t *testing.T) {
	_, path, index, sbom := signed(t)
	priv := startRegistry(t)
	o := onto(priv, trust.TrustAnyone())
	o.TagDigests = true
	for _, again := range []bool{false, true} {
		r := mustImport(t, path, o)
		for _, im := range r.Images {
			if im.Pushed == again {
				t.Errorf("again %v: %+v", again, im)
			}
		}
		holds(t, priv, "apps/acme/app:1", index.Digest)
		holds(t, priv, "apps/acme/app:digest-"+sbom.Digest.Encoded(), sbom.Digest)
		lacks(t, priv, "apps/acme/app:digest-"+index.Digest.Encoded()) // it has a tag
		wantReferrer(t, priv, "apps/acme/app", index, sbom)
	}
}

// Whether there is a registry, and who the user is, need not be answered for a push
// to be taken; and a token server that does not take the name of one repository may
// take others.
func TestImportUnanswered(t *testing.T) {
	path, images := mixed(t)
	deep := func(r *http.Request) bool { return strings.Contains(r.URL.Query().Get("scope"), "/acme/") }
	for _, tc := range []struct {
		name  string
		fault regtest.Fault
		lost  []string
	}{
		{"who is there", regtest.Fault{Class: regtest.Base, Match: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }, Do: regtest.Status(403)}, nil},
		{"names that are too deep", regtest.Fault{Class: regtest.Token, Match: deep, Do: regtest.Answer(400, "application/json", `{"error":"invalid scope"}`)},
			[]string{"acme/app:1", "acme/side:1", "acme/big:1", "acme/wasm:1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			priv, err := regtest.Start(regtest.Options{Token: true, Username: "u", Password: "p"})
			if err != nil {
				t.Fatal(err)
			}
			defer priv.Close()
			priv.Inject(tc.fault)
			o := onto(priv, trust.TrustAnyone())
			o.OutputDir = t.TempDir()
			o.RegistryOptions.Credentials = map[string]remote.Credential{priv.Host(): {Username: "u", Password: "p"}}
			r, err := Import(t.Context(), path, o)
			if len(tc.lost) > 0 {
				wantError(t, err, fault.Incomplete, "4 of the repositories", "/apps/acme/app: token server", "status 400")
				if h := fault.Hint(err); !strings.Contains(h, "--names flat") {
					t.Errorf("hint %q", h)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			wantArrived(t, priv, r, images, tc.lost)
		})
	}
}
