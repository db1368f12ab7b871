package bundle

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/source"
	"bundle/testdata/regtest"
)

// A mirror counts as a way only where a node that asks it is served: not where the
// user chose another name, and not by a digest that a choice of platforms changed.
// What it is said to serve, it serves.
func TestMirrorServes(t *testing.T) {
	t.Parallel()
	pub := startRegistry(t)
	pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	pushImage(t, pub, "acme/chosen:1", small(5))
	pushImage(t, pub, "acme/retagged:1", small(4))
	pushImage(t, pub, "acme/fixed:1", small(6))
	pushImage(t, pub, "library/web:1", small(9))
	reduced := pushIndex(t, pub, "acme/reduced:1", platforms("linux/amd64", "linux/arm64"))
	whole := pushImage(t, pub, "acme/whole:1", small(7))
	chart := podChart + "-- templates/hard.yaml --\nkind: Pod\napiVersion: v1\nmetadata: {name: hard}\nspec:\n  containers:\n"
	wants := map[string]string{ // reference → the way by which it is served
		"ghcr.io/acme/chosen:1": emit.WayMirrorOther, "ghcr.io/acme/fixed:1": emit.WayMirror, "web:1": emit.WayMirror,
		"ghcr.io/acme/retagged:1":                         "",
		"ghcr.io/acme/reduced@" + reduced.Digest.String(): "", "ghcr.io/acme/whole@" + whole.Digest.String(): emit.WayMirror,
		"ghcr.io/acme/left-out:1": "",
	}
	for ref := range wants {
		chart += "  - {name: x, image: \"" + ref + "\"}\n"
	}
	pushImage(t, pub, "acme/left-out:1", small(8))
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{{Ref: regtest.Folder(t, chart)}}, Signer: signer, Registry: through(pub),
		Platforms: []image.Platform{{OS: "linux", Architecture: "amd64"}}, Exclude: []string{"ghcr.io/acme/left-out:1"},
		Destinations: map[string]string{"ghcr.io/acme/chosen:1": "reg.plant.local/web/chosen:1", "ghcr.io/acme/retagged:1": "reg.plant.local/acme/retagged:2"},
		Images:       []string{"ghcr.io/acme/chosen:1", "ghcr.io/acme/retagged:1"},
	})
	for _, naming := range []place.Naming{place.Full, place.Host, place.Flat} {
		priv := startRegistry(t)
		o := onto(priv, trust)
		o.OutputDir, o.Names = t.TempDir(), naming
		report, err := Import(context.Background(), r.Output, o)
		wantError(t, err, fault.Incomplete)
		if n := len(report.Charts[0].Left); naming != place.Flat && n != len(wants) {
			t.Errorf("%s: left %+v", naming, report.Charts[0].Left)
		}
		for _, l := range report.Charts[0].Left {
			if _, ok := wants[l.Raw]; !ok {
				continue // registry and path stand apart in the values, and a flat name has them in one
			}
			want := wants[l.Raw]
			if naming == place.Flat && want != "" {
				want = emit.WayMirrorOther
			}
			got := slices.DeleteFunc(slices.Clone(l.Needs), func(w string) bool { return !strings.HasPrefix(w, "mirror") })
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %s: mirrors %q, want %q", naming, l.Raw, got, want)
			}
			serves := want == emit.WayMirror
			host, rest, _ := strings.Cut(l.Raw, "/")
			if host == "web:1" {
				host, rest = "docker.io", "library/web:1"
			}
			below := "apps/"
			if naming == place.Host {
				below += host + "/"
			}
			if _, _, err := priv.Manifest(context.Background(), below+rest); (err == nil) != serves {
				t.Errorf("a node asks for %s: %v", below+rest, err)
			}
		}
	}
}

// What is given at import counts more than what was given at export, numbers too,
// in the values and in the command.
func TestImportValuesWin(t *testing.T) {
	t.Parallel()
	chart := regtest.Folder(t, podChart)
	r, trust := shipment(t, ExportOptions{Charts: []source.ChartSpec{{
		Ref: chart, Set: []string{"replicas=20240101", "other=20240102", "list[0].k=20240103", "list[1].k=20240104"},
	}}})
	file := filepath.Join(t.TempDir(), "late.yaml")
	if err := os.WriteFile(file, []byte("replicas: 7\nlist: [{k: 8}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		o     ImportOptions
		given string
		sets  []string // of the command
	}{
		{"nothing", ImportOptions{}, "list:\n- k: 20240103\n- k: 20240104\nother: 20240102\nreplicas: 20240101\n",
			[]string{"list[0].k=20240103", "list[1].k=20240104", "other=20240102", "replicas=20240101"}},
		{"a file", ImportOptions{ValueFiles: []string{file}}, "list:\n- k: 8\nother: 20240102\nreplicas: 7\n", []string{"other=20240102"}},
		{"set", ImportOptions{Set: []string{"replicas=20250101"}}, "list:\n- k: 20240103\n- k: 20240104\nother: 20240102\nreplicas: 20250101\n",
			[]string{"list[0].k=20240103", "list[1].k=20240104", "other=20240102", "replicas=20250101"}},
		{"set-string", ImportOptions{SetString: []string{"replicas=2"}}, "list:\n- k: 20240103\n- k: 20240104\nother: 20240102\nreplicas: \"2\"\n",
			[]string{"list[0].k=20240103", "list[1].k=20240104", "other=20240102"}},
	} {
		o := onto(startRegistry(t), trust)
		o.OutputDir = t.TempDir()
		o.ValueFiles, o.Set, o.SetString = tc.o.ValueFiles, tc.o.Set, tc.o.SetString
		c := mustImport(t, r.Output, o).Charts[0]
		_, given, _ := strings.Cut(regtest.ReadFile(t, o.OutputDir, "app", "values.given.yaml"), "\n")
		if given != tc.given {
			t.Errorf("%s: given\n%s\nwant\n%s", tc.name, given, tc.given)
		}
		var sets []string
		words := strings.Fields(c.Helm)
		for i, w := range words {
			if w == "--set" {
				sets = append(sets, strings.Trim(words[i+1], "'"))
			}
		}
		if !slices.Equal(sets, tc.sets) {
			t.Errorf("%s: the command sets %q, want %q", tc.name, sets, tc.sets)
		}
	}
}
