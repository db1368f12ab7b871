package image

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// Indexes in indexes are reduced wherever the platform stands, and only what may
// hold it is read.
func TestNestedChoice(t *testing.T) {
	reg := regtest.Running(t, regtest.StartReferrers, regtest.Options{})
	leaf := func(platform string) ocispec.Descriptor {
		d, err := reg.PushOdd(t.Context(), "n", platform, regtest.OddLayer{Content: platform})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	list := func(ref string, children ...ocispec.Descriptor) ocispec.Descriptor {
		d, err := reg.PushList(t.Context(), ref, children...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	amd, arm, s390x := leaf("linux/amd64"), leaf("linux/arm64"), leaf("linux/s390x")
	of := func(d ocispec.Descriptor, platform string) ocispec.Descriptor {
		p := regtest.ParsePlatform(platform)
		d.Platform = &p
		return d
	}
	list("n:one", list("n", amd, arm))
	list("n:two", list("n", amd), list("n", arm, s390x))
	list("n:three", list("n", list("n", amd, s390x)), arm)
	list("n:shared", list("n", amd, arm), list("n", amd, s390x), list("n", amd, arm))
	list("n:said", of(list("n", amd), "linux/amd64"), of(list("n", arm), "linux/arm64"))
	list("n:deep", list("n", list("n", list("n", list("n", list("n", amd))))))
	for _, tc := range []struct {
		tag, platforms, want string
		gets                 int // of manifests; 0: not counted
	}{
		{"one", "", "linux/amd64 linux/arm64", 4},
		{"one", "linux/amd64", "linux/amd64", 3},
		{"two", "linux/arm64", "linux/arm64", 4},
		{"three", "linux/amd64", "linux/amd64", 4},
		{"three", "linux/arm64 linux/s390x", "linux/s390x linux/arm64", 5},
		{"shared", "linux/amd64", "linux/amd64", 0},
		{"said", "linux/arm64", "linux/arm64", 3},
		{"deep", "linux/amd64", "", 0},
	} {
		t.Run(tc.tag+" "+tc.platforms, func(t *testing.T) {
			client, err := remote.New(remote.Options{PlainHTTP: []string{reg.Host()}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			wanted, err := Collect([]record.Finding{{Raw: reg.Host() + "/n:" + tc.tag}})
			if err != nil {
				t.Fatal(err)
			}
			var c Choice
			for _, s := range strings.Fields(tc.platforms) {
				p, err := ParsePlatform(s)
				if err != nil {
					t.Fatal(err)
				}
				c.Platforms = append(c.Platforms, p)
			}
			reg.Log.Reset()
			images, err := NewResolver(client, 4).Images(t.Context(), wanted, c)
			if tc.want == "" {
				if err == nil || !strings.Contains(err.Error(), "nested more than 4 levels deep") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Fields(strings.Trim(fmt.Sprint(images[0].Content.Platforms(images[0].Root)), "[]"))
			if !slices.Equal(slices.Compact(got), strings.Fields(tc.want)) {
				t.Errorf("platforms %q, want %s", got, tc.want)
			}
			if _, err := layout.Reachable([]ocispec.Descriptor{images[0].Root}, images[0].Content.Fetch); err != nil {
				t.Error(err)
			}
			if n := reg.Log.Count("GET", regtest.Manifest); tc.gets > 0 && n != tc.gets {
				t.Errorf("%d manifests were read, want %d", n, tc.gets)
			}
		})
	}
}
