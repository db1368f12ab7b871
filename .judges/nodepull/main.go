// Nodepull pulls images as k3s and RKE2 do: through the mirrors and rewrites of a
// registries.yaml, read with their own library. It prints a digest a line.
//
//	nodepull registries.yaml REFERENCE...
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/rancher/wharfie/pkg/registries"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string, refs []string) error {
	mirrors, err := registries.GetPrivateRegistries(file)
	if err != nil {
		return err
	}
	for _, text := range refs {
		ref, err := name.ParseReference(text)
		if err != nil {
			return err
		}
		image, err := mirrors.Image(ref)
		if err != nil {
			return err
		}
		layers, err := image.Layers()
		if err != nil {
			return err
		}
		for _, layer := range layers {
			blob, err := layer.Compressed()
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, blob); err != nil { // checks the digest
				return err
			}
			if err := blob.Close(); err != nil {
				return err
			}
		}
		digest, err := image.Digest()
		if err != nil {
			return err
		}
		fmt.Println(digest)
	}
	return nil
}
