package stock

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/history"
	"bundle/bundle/internal/inventory"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

func start(t *testing.T, o regtest.Options) (*regtest.Registry, Asker) {
	t.Helper()
	reg := regtest.Running(t, regtest.Start, o)
	c, err := remote.New(remote.Options{
		PlainHTTP:   []string{reg.Host()},
		Retry:       remote.Retry{Attempts: 1},
		Credentials: map[string]remote.Credential{reg.Host(): {Username: "wrong", Password: "password"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return reg, Asker{Client: c, Registry: place.Registry{Host: reg.Host(), Prefix: "apps"}, Jobs: 4}
}

func push(t *testing.T, reg *regtest.Registry, ref string, seeds ...int64) {
	t.Helper()
	var im regtest.Image
	for _, s := range seeds {
		im.Layers = append(im.Layers, regtest.Layer{Size: 1000 + s, Seed: s})
	}
	if _, err := reg.PushImage(t.Context(), ref, im); err != nil {
		t.Fatal(err)
	}
}

// past is a record of what tagged found, as if an import had brought it.
func past(found *Found) history.Past {
	im := history.Import{Finished: time.Now()}
	for _, b := range found.Blobs {
		for _, repo := range b.Repositories {
			im.Names = append(im.Names, history.Name{Name: repo + ":1", Digest: digest.FromString(repo)})
			im.Repositories = append(im.Repositories, history.Content{Repository: repo, Blobs: []history.Blob{{Digest: b.Digest, Size: b.Size}}})
		}
	}
	return history.Past{Imports: []history.Import{im}}
}

func digests(found *Found) (all []digest.Digest) {
	for _, b := range found.Blobs {
		all = append(all, b.Digest)
	}
	return all
}

// By records, each blob is asked for once, wherever it is needed, and nothing else.
func TestRecorded(t *testing.T) {
	t.Parallel()
	reg, a := start(t, regtest.Options{})
	for i := range int64(20) {
		push(t, reg, fmt.Sprintf("apps/acme/app-%d:1", i), 1, 2, 100+i)
	}
	push(t, reg, "other/app:1", 7)
	repos, err := a.All(t.Context())
	if err != nil || len(repos) != 20 || repos[0] != "acme/app-0" {
		t.Fatalf("below the prefix: %v, %v", repos, err)
	}
	tagged, err := a.Tagged(t.Context(), repos, false)
	if err != nil {
		t.Fatal(err)
	}
	// Two layers that all share, and a layer and a configuration of each.
	if len(tagged.Blobs) != 42 || tagged.Lost != 0 || tagged.Repositories != 20 {
		t.Fatalf("%d blobs, %+v", len(tagged.Blobs), tagged)
	}
	reg.Log.Reset()
	found, err := a.Recorded(t.Context(), past(tagged))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(digests(found), digests(tagged)) {
		t.Errorf("by records %v, by tags %v", digests(found), digests(tagged))
	}
	if heads, all := reg.Log.Count("HEAD", regtest.Blob), reg.Log.Count("", ""); heads != 42 || all != 42 {
		t.Errorf("%d HEAD of %d requests, want 42 of 42", heads, all)
	}
}

// What is not there, or of another size than a record says, is not listed; what
// another repository has is found there.
func TestRecordedLost(t *testing.T) {
	t.Parallel()
	reg, a := start(t, regtest.Options{})
	push(t, reg, "apps/a:1", 1, 2)
	push(t, reg, "apps/b:1", 1, 3)
	found, err := a.Tagged(t.Context(), []string{"a", "b"}, false)
	if err != nil || len(found.Blobs) != 5 {
		t.Fatalf("%+v, %v", found, err)
	}
	p := past(found)
	layer := func(seed int64) digest.Digest {
		d, err := digest.FromReader(regtest.Layer{Size: 1000 + seed, Seed: seed}.Open())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	shared := layer(1)
	im := &p.Imports[0]
	for i, c := range im.Repositories {
		switch c.Blobs[0].Digest {
		case shared: // in both
			other := history.Content{Repository: map[string]string{"a": "b", "b": "a"}[c.Repository], Blobs: c.Blobs}
			im.Repositories = append(im.Repositories, other)
		case layer(2): // a record that lies
			im.Repositories[i].Blobs = []history.Blob{{Digest: c.Blobs[0].Digest, Size: 1}}
		case layer(3):
			if err := reg.DeleteBlob(t.Context(), "apps/b", c.Blobs[0].Digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := reg.DeleteBlob(t.Context(), "apps/a", shared); err != nil {
		t.Fatal(err)
	}
	found, err = a.Recorded(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found.Blobs, func(b inventory.Blob) bool { return b.Digest == shared })
	if len(found.Blobs) != 3 || found.Lost != 2 || i < 0 || !slices.Equal(found.Blobs[i].Repositories, []string{"b"}) {
		t.Errorf("%+v", found)
	}
}

// An index may name platforms that are not there; a manifest of a kind that no
// bundle carries is left out, and told of. A record of manifests alone is followed.
func TestFollow(t *testing.T) {
	t.Parallel()
	reg, a := start(t, regtest.Options{})
	ix := regtest.Index{Images: []regtest.Image{
		{Platform: "linux/amd64", Layers: []regtest.Layer{{Size: 1001, Seed: 1}}},
		{Platform: "linux/arm64", Layers: []regtest.Layer{{Size: 1002, Seed: 2}}},
	}}
	root, err := reg.PushIndex(t.Context(), "apps/multi:1", ix)
	if err != nil {
		t.Fatal(err)
	}
	found, err := a.Tagged(t.Context(), []string{"multi"}, false)
	if err != nil || len(found.Blobs) != 4 || len(found.LeftOut) != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	p := history.Past{Imports: []history.Import{{
		Names:        []history.Name{{Name: "multi:1", Digest: root.Digest}},
		Repositories: []history.Content{{Repository: "multi", Manifests: []history.Blob{{Digest: root.Digest, Size: root.Size}}}},
	}}}
	again, err := a.Recorded(t.Context(), p)
	if err != nil || !slices.Equal(digests(again), digests(found)) {
		t.Errorf("%+v, %v", again, err)
	}
	old := `{"schemaVersion":1,"name":"x","tag":"1"}`
	reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Manifest, Path: "/manifests/1", Times: 1, Do: regtest.Answer(200, "application/vnd.docker.distribution.manifest.v1+json", old)})
	push(t, reg, "apps/multi:2", 3)
	found, err = a.Tagged(t.Context(), []string{"multi"}, false)
	if err != nil || len(found.Blobs) != 2 || len(found.LeftOut) != 1 || !strings.Contains(found.LeftOut[0], "schema 1") {
		t.Errorf("%+v, %v", found, err)
	}
}

// A repository that does not answer this client is left out; wrong credentials are
// not sent again and again; a name that nobody has is a mistake.
func TestRefused(t *testing.T) {
	t.Parallel()
	reg, a := start(t, regtest.Options{})
	push(t, reg, "apps/a:1", 1)
	push(t, reg, "apps/b:1", 2)
	reg.Inject(regtest.Fault{Path: "/apps/b/", Do: regtest.Status(403)})
	found, err := a.Tagged(t.Context(), []string{"a", "b"}, false)
	if err != nil || len(found.Blobs) != 2 || len(found.LeftOut) != 1 || !strings.HasPrefix(found.LeftOut[0], "b is left out") {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := a.Tagged(t.Context(), []string{"b"}, false); err == nil {
		t.Error("nothing may be seen, and the inventory is empty")
	}
	if _, err := a.Tagged(t.Context(), []string{"none"}, false); !missing(err) {
		t.Errorf("no such repository: %v", err)
	}
	if found, err := a.Tagged(t.Context(), []string{"none"}, true); err != nil || len(found.Blobs) != 0 {
		t.Errorf("gone since it was listed: %+v, %v", found, err)
	}
	locked, b := start(t, regtest.Options{Username: "alice", Password: "secret"})
	var all history.Past
	im := history.Import{}
	for i := range 50 {
		repo := fmt.Sprintf("app-%d", i)
		im.Names = append(im.Names, history.Name{Name: repo + ":1"})
		im.Repositories = append(im.Repositories, history.Content{Repository: repo, Blobs: []history.Blob{{Digest: digest.FromString(repo), Size: 1}}})
	}
	all.Imports = []history.Import{im}
	if _, err := b.Recorded(t.Context(), all); err == nil {
		t.Error("wrong credentials give an inventory")
	}
	if n := locked.Log.Count("", ""); n > 20 {
		t.Errorf("%d requests with wrong credentials", n)
	}
}

// A catalogue says what it likes: names that are none are left out, and one without an
// end is not read for ever.
func TestCatalogHostile(t *testing.T) {
	t.Parallel()
	reg, a := start(t, regtest.Options{})
	answer := func(body string, header ...string) {
		reg.ClearFaults()
		reg.Inject(regtest.Fault{Class: regtest.Other, Do: regtest.Answer(200, "application/json", body, header...)})
	}
	answer(`{"repositories":["apps/b","apps/../x","apps/a","apps/UP","apps/a:1","apps/","apps","appsx/y","other/x","apps/` + history.Repository + `","apps/a","apps/\u001b[2J"]}`)
	if repos, err := a.All(t.Context()); err != nil || !slices.Equal(repos, []string{"a", "b"}) {
		t.Errorf("%q, %v", repos, err)
	}
	answer(`{"repositories":[]}`, "Link", `</v2/_catalog?last=x>; rel="next"`)
	if _, err := a.All(t.Context()); err == nil || !strings.Contains(err.Error(), "pages of repositories") {
		t.Errorf("pages without end: %v", err)
	}
	// Nor does a tag that is none lead anywhere.
	push(t, reg, "apps/a:1", 1)
	reg.ClearFaults()
	reg.Inject(regtest.Fault{Class: regtest.Tags, Do: regtest.Answer(200, "application/json", `{"name":"apps/a","tags":["1","../../x","a b",""]}`)})
	if found, err := a.Tagged(t.Context(), []string{"a"}, false); err != nil || len(found.Blobs) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
}
