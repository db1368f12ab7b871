package bundle_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"bundle/bundle"
	"bundle/testdata/regtest"
)

// A chart and its image cross the gap: out of a public registry into one file,
// which is carried, checked, and pushed into a private registry.
func Example() {
	ctx := context.Background()
	public, private := start(), start()
	defer public.Close()
	defer private.Close()
	if _, err := public.PushImage(ctx, "acme/app:1.0", regtest.Image{Layers: []regtest.Layer{{Size: 1000}}}); err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	key, file := filepath.Join(dir, "release-key"), filepath.Join(dir, "app.bundle.tar")

	// Once: a key pair. The public half goes to the far side by a way of its own.
	if _, err := bundle.Keygen(key, "release@example.com", nil); err != nil {
		log.Fatal(err)
	}

	// On the connected side.
	signer, err := bundle.LoadSigner(ctx, key, bundle.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	exported, err := bundle.Export(ctx, bundle.ExportOptions{
		Charts: []bundle.ChartSpec{{Ref: writeChart(dir)}},
		Output: file,
		Signer: signer,
		Registry: bundle.RegistryOptions{ // here, a registry in this process stands for ghcr.io
			Mirrors:   map[string]string{"ghcr.io": public.Host()},
			PlainHTTP: []string{public.Host()},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, im := range exported.Images {
		fmt.Println("bundled:", im.Reference)
	}

	// On the far side.
	trust, err := bundle.LoadTrust(ctx, []string{key + ".pub"}, "")
	if err != nil {
		log.Fatal(err)
	}
	verified, err := bundle.Verify(ctx, file, trust, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed by:", verified.Signers[0].Name())

	imported, err := bundle.Import(ctx, file, bundle.ImportOptions{
		Registry:        bundle.Registry{Host: private.Host(), Prefix: "apps"},
		Trust:           trust,
		OutputDir:       filepath.Join(dir, "out"),
		RegistryOptions: bundle.RegistryOptions{PlainHTTP: []string{private.Host()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, im := range imported.Images {
		fmt.Println("pushed:", strings.Replace(im.Target, private.Host(), "PRIVATE", 1))
	}
	chart := imported.Charts[0]
	fmt.Println("values that move it:", chart.Keys, "in", chart.Files)

	// Output:
	// bundled: ghcr.io/acme/app:1.0
	// signed by: release@example.com
	// pushed: PRIVATE/apps/acme/app:1.0
	// pushed: PRIVATE/apps/charts/app:1.0.0
	// values that move it: [image.registry] in [app/values.yaml]
}

// start runs a registry that the example talks to.
func start() *regtest.Registry {
	r, err := regtest.Start(regtest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return r
}

func writeChart(dir string) string {
	path := filepath.Join(dir, "chart")
	for name, content := range map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"values.yaml": "image: {registry: ghcr.io, repository: acme/app, tag: \"1.0\"}\n",
		"templates/pod.yaml": `apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  containers:
    - name: app
      image: {{ with .Values.image }}{{ .registry }}/{{ .repository }}:{{ .tag }}{{ end }}
`,
	} {
		file := filepath.Join(path, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return path
}
