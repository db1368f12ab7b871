package main

import (
	"context"

	"bundle/testdata/regtest"
)

// fill puts into the public registry what the chart asks for: images with a
// shared base, one of them for two platforms, and two WebAssembly components.
func (d *demo) fill(ctx context.Context) error {
	d.digests = make(map[string]string)
	base := []regtest.Layer{
		{Size: 8 << 20, Seed: 1, Compressible: true},
		{Size: 2 << 20, Seed: 2},
	}
	with := func(platform string, seed, size int64) regtest.Image {
		own := regtest.Layer{Size: size, Seed: seed}
		return regtest.Image{
			Platform:   platform,
			Layers:     append(base[:len(base):len(base)], own),
			Entrypoint: []string{"/app"},
		}
	}
	images := []struct {
		ref   string // as the registry has it
		as    string // as the chart writes it
		image regtest.Image
	}{
		{"library/nats:2.12.8-alpine", "nats:2.12.8-alpine", with("linux/amd64", 10, 5<<20)},
		{"acme/operator:2.7.0", "", with("linux/amd64", 11, 6<<20)},
		{"acme/gateway:2.7.0", "", with("linux/amd64", 12, 3<<20)},
	}
	for _, im := range images {
		desc, err := d.public.PushImage(ctx, im.ref, im.image)
		if err != nil {
			return err
		}
		if im.as == "" {
			im.as = im.ref
		}
		d.digests[im.as] = desc.Digest.String()
	}
	host, err := d.public.PushIndex(ctx, "acme/host:2.7.0", regtest.Index{
		Images:      []regtest.Image{with("linux/amd64", 13, 9<<20), with("linux/arm64", 14, 9<<20)},
		Attestation: true,
	})
	if err != nil {
		return err
	}
	d.digests["acme/host:2.7.0"] = host.Digest.String()
	for _, ref := range []string{"acme/plugins/key-value:1.3.0", "acme/plugins/blob-store:0.9.2"} {
		desc, err := d.public.PushArtifact(ctx, ref, regtest.Wasm([]byte("\x00asm\x01\x00\x00\x00"+ref)))
		if err != nil {
			return err
		}
		d.digests[ref] = desc.Digest.String()
	}
	return nil
}
