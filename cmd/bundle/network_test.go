package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"bundle/testdata/regtest"
)

type networkKey struct{}

// network is the one of a script: every program in it goes through it.
func network(ts *testscript.TestScript) *regtest.Network {
	kept := ts.Value(networkKey{}).(**regtest.Network)
	if *kept == nil {
		n, err := regtest.StartNetwork()
		ts.Check(err)
		*kept = n
		ts.Setenv("HTTPS_PROXY", n.URL())
		ts.Setenv("https_proxy", n.URL())
	}
	return *kept
}

func authority(ts *testscript.TestScript, name, file string) *regtest.Authority {
	ca, err := regtest.NewAuthority(name)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(file), ca.PEM, 0o644))
	return ca
}

// cmdPublic serves stand-ins for the images and charts that guides fetch, under the
// names of ghcr.io and Docker Hub.
func cmdPublic(ts *testscript.TestScript, neg bool, args []string) {
	cmdRegistry(ts, false, []string{"PUB"})
	pub := registry(ts, "PUB")
	ca := authority(ts, "public CA", "public.pem")
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("public.pem"))
	for _, host := range []string{"ghcr.io:443", "registry-1.docker.io:443"} {
		ts.Check(network(ts).Add(host, pub, ca))
	}
	seed := int64(1)
	push := func(ref string, size int64) {
		seed++
		ix := regtest.Index{}
		for i, p := range []string{"linux/amd64", "linux/arm64"} {
			ix.Images = append(ix.Images, regtest.Image{Platform: p, Layers: []regtest.Layer{
				{Size: 300_000, Seed: int64(1 + i)}, {Size: size, Seed: 100*seed + int64(i)},
			}})
		}
		_, err := pub.PushIndex(context.Background(), ref, ix)
		ts.Check(err)
	}
	push("library/nats:2.12.8-alpine", 500_000)
	push("library/busybox:1.37", 100_000)
	for _, version := range []string{"2.7.0", "2.8.0"} {
		files, err := readChart("../../testdata/public/runtime-operator", version)
		ts.Check(err)
		archive, err := regtest.ChartArchive("runtime-operator", files)
		ts.Check(err)
		_, err = pub.PushChart(context.Background(), "wasmcloud/charts/runtime-operator:"+version, archive, nil)
		ts.Check(err)
		for _, image := range []string{"runtime-operator", "runtime-gateway", "wash"} {
			push("wasmcloud/"+image+":"+version, 1_000_000)
		}
	}
}

// readChart reads the stand-in for a chart, as of a version.
func readChart(dir, version string) (map[string]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = strings.ReplaceAll(string(b), "2.7.0", version)
		return err
	})
	return files, err
}

// cmdPrivate serves a registry of a plant, with a certificate by an authority of its own.
func cmdPrivate(ts *testscript.TestScript, neg bool, args []string) {
	cmdRegistry(ts, false, append([]string{"PRIV"}, args...))
	ca := authority(ts, "plant CA", "ca.pem")
	ts.Check(network(ts).Add("registry.plant.local:5000", registry(ts, "PRIV"), ca))
	ts.Check(os.WriteFile(ts.MkAbs("password"), []byte(testPassword), 0o600))
}
