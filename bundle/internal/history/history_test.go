package history

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/trust"
	"bundle/testdata/judge"
	"bundle/testdata/regtest"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// made is the import of a bundle made on a day, finished on a day.
func made(day, finished int, names ...Name) Import {
	id := fmt.Sprintf("%016x", day)
	return Import{
		Tool:     "bundle test",
		Finished: begin.AddDate(0, 0, finished),
		Bundle:   Bundle{ID: id, Created: begin.AddDate(0, 0, day), Sums: digest.FromString(id)},
		Vouched:  trust.Vouched{Signers: []trust.Voucher{{Fingerprint: "SHA256:x", KeyType: "ssh-ed25519", Signature: "SHA256SUMS.sig"}}},
		Names:    names,
		Repositories: []Content{
			{Repository: "acme/app", Manifests: []Blob{}, Blobs: []Blob{{digest.FromString("layer"), 5}}},
		},
	}
}

func named(name, content string) Name {
	return Name{Name: name, Source: "docker.io/" + name, Digest: digest.FromString(content)}
}

func newStore(t *testing.T, reg *regtest.Registry) Store {
	t.Helper()
	c, err := remote.New(remote.Options{PlainHTTP: []string{reg.Host()}, Retry: remote.Retry{Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Store{Client: c, Registry: place.Registry{Host: reg.Host(), Prefix: "apps"}}
}

// startStore is one in a registry that is empty.
func startStore(t *testing.T) (*regtest.Registry, Store) {
	t.Helper()
	reg := regtest.Running(t, regtest.Start, regtest.Options{})
	return reg, newStore(t, reg)
}

// registries are those that documents have to work on.
func registries(t *testing.T, test func(t *testing.T, reg *regtest.Registry)) {
	for name, start := range map[string]func(regtest.Options) (*regtest.Registry, error){
		"distribution 3": regtest.Start, "with the referrers API": regtest.StartReferrers, regtest.ProcessName: regtest.StartProcess,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == regtest.ProcessName {
				judge.Path(t, name)
			}
			test(t, regtest.Running(t, start, regtest.Options{}))
		})
	}
}

// What imports leave behind is read again, the newest first.
func TestAddAndRead(t *testing.T) {
	t.Parallel()
	registries(t, func(t *testing.T, reg *regtest.Registry) {
		ctx, s := t.Context(), newStore(t, reg)
		past, err := s.Read(ctx)
		if err != nil || len(past.Imports) != 0 {
			t.Fatalf("an empty registry gives %+v, %v", past, err)
		}
		first, second := made(1, 1, named("acme/app:1", "one")), made(2, 2, named("acme/app:1", "two"))
		second.Names[0].Replaced = first.Names[0].Digest
		for _, im := range []Import{first, second} {
			if err := s.Add(ctx, past, im); err != nil {
				t.Fatal(err)
			}
		}
		past, err = s.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		first.Version, second.Version = 1, 1
		if want := []Import{second, first}; !reflect.DeepEqual(past.Imports, want) || len(past.Unread) != 0 {
			t.Errorf("read\n%+v\nwant\n%+v", past, want)
		}
		// The same again says nothing new.
		second.Names[0].Replaced, second.Finished = "", second.Finished.AddDate(0, 0, 1)
		if err := s.Add(ctx, past, second); err != nil {
			t.Fatal(err)
		}
		if again, err := s.Read(ctx); err != nil || len(again.Imports) != 2 {
			t.Errorf("%d documents (%v), want 2", len(again.Imports), err)
		}
	})
}

// Something else in the repository, a document of the future and one that is
// broken do not keep the others from being read.
func TestReadLeavesOut(t *testing.T) {
	t.Parallel()
	reg, s := startStore(t)
	ctx := t.Context()
	if err := s.Add(ctx, Past{}, made(1, 1, named("acme/app:1", "one"))); err != nil {
		t.Fatal(err)
	}
	put := func(tag, doc string) {
		t.Helper()
		_, err := reg.PushArtifact(ctx, "apps/"+Repository+":"+tag, regtest.Artifact{ArtifactType: artifactType, Blobs: []regtest.ArtifactBlob{{MediaType: artifactType, Data: []byte(doc)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("latest", `{"importVersion":1}`)
	put("20260101T000000Z-aa", `{"importVersion":2,"names":"of another kind"}`)
	put("20260101T000001Z-aa", `{"importVersion":1,"importversion":1}`)
	put("20260101T000002Z-aa", `{"importVersion":1,"names":[{"name":"a:1","digest":"x"}]}`)
	put("20260101T000003Z-aa", `{"importVersion":1,"tool":"\u001b[31m","later":"added"}`)
	put("20260101T000005Z-aa", `{"importVersion":1,"names":[{"name":"../other/app:1","digest":"`+digest.FromString("x").String()+`"}]}`)
	put("20260101T000006Z-aa", `{"importVersion":1,"repositories":[{"repository":"Acme/app"}]}`)
	put("20260101T000007Z-aa", `{"importVersion":1,"finished":"9999-12-31T23:59:59Z"}`)
	if _, err := reg.PushImage(ctx, "apps/"+Repository+":20260101T000004Z-aa", regtest.Image{Layers: []regtest.Layer{{Size: 10}, {Size: 20}}}); err != nil {
		t.Fatal(err)
	}
	past, err := s.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var unread []string
	for _, u := range past.Unread {
		unread = append(unread, u.Tag)
	}
	if want := []string{"20260101T000007Z-aa", "20260101T000006Z-aa", "20260101T000005Z-aa", "20260101T000004Z-aa", "20260101T000002Z-aa", "20260101T000001Z-aa", "20260101T000000Z-aa"}; !slices.Equal(unread, want) {
		t.Errorf("unread: %v, want %v", unread, want)
	}
	if len(past.Imports) != 2 || past.Imports[1].Tool != "\uFFFD[31m" {
		t.Errorf("read: %+v", past.Imports)
	}
	reg.Inject(regtest.Fault{Class: regtest.Tags, Do: regtest.Status(403)})
	if _, err := s.Read(ctx); fault.KindOf(err) != fault.Refused {
		t.Errorf("refused: %v", err)
	}
}

// Documents that together are too large are read as far as there is room, the newest
// first.
func TestReadBounds(t *testing.T) {
	reg, s := startStore(t)
	push := func(n int, tool string, size int) {
		t.Helper()
		doc := `{"importVersion":1,"tool":"` + tool + `","later":"` + strings.Repeat("x", size) + `"}`
		_, err := reg.PushArtifact(t.Context(), fmt.Sprintf("apps/%s:20260101T00000%dZ-aa", Repository, n), regtest.Artifact{ArtifactType: artifactType, Blobs: []regtest.ArtifactBlob{{MediaType: artifactType, Data: []byte(doc)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	const size = 15 << 20
	push(0, "large", size)
	if past, err := s.Read(t.Context()); err != nil || past.More || len(past.Imports) != 1 {
		t.Errorf("%d documents read, more: %v, unread: %+v, %v", len(past.Imports), past.More, past.Unread, err)
	}

	defer func(old int64) { maxBytes = old }(maxBytes) // not beside other tests
	maxBytes /= 256
	for n := range 5 {
		push(n, "large", size/256)
	}
	push(5, "newest", 0)
	past, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(past.Imports); !past.More || n != 5 || past.Imports[0].Tool != "newest" || len(past.Unread) != 0 {
		t.Errorf("%d documents read, more: %v, unread: %+v", n, past.More, past.Unread)
	}
}

func TestUndone(t *testing.T) {
	one, two, other := digest.FromString("one"), digest.FromString("two"), digest.FromString("other")
	v1, v2 := made(1, 10, named("a:1", "one")), made(2, 11, named("a:1", "two"))
	back := made(1, 12, named("a:1", "one"))
	serial := func(im Import, n int64) Import { im.Bundle.Serial = n; return im }
	for _, c := range []struct {
		name     string
		imports  []Import // newest first
		bundle   Bundle
		old, new digest.Digest
		want     bool
	}{
		{"nothing is known", nil, v1.Bundle, two, one, false},
		{"newer over older", []Import{v1}, v2.Bundle, one, two, false},
		{"older over newer", []Import{v2, v1}, v1.Bundle, two, one, true},
		{"somebody else's is there", []Import{v2, v1}, v1.Bundle, other, one, false},
		{"after a way back, the newer again", []Import{back, v2, v1}, v2.Bundle, one, two, false},
		{"after a way back, one that is older still", []Import{back, v2, v1}, made(0, 0).Bundle, one, other, true},
		{"of the same time", []Import{v2}, v2.Bundle, two, other, false},
		{"the serial decides, not the time", []Import{serial(v1, 7)}, serial(v2, 6).Bundle, one, two, true},
		{"the serial decides for the older", []Import{serial(v2, 6)}, serial(v1, 7).Bundle, two, one, false},
		{"a serial on one side only says nothing", []Import{serial(v2, 6)}, v1.Bundle, two, one, true},
	} {
		got := Past{Imports: c.imports}.Undone(c.bundle, []Replacement{{"a:1", c.old, c.new}, {"b:1", c.old, c.new}})
		if (len(got) == 1) != c.want || len(got) > 1 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	err := &UndoError{v1.Bundle, "reg.local/apps", Past{Imports: []Import{v2}}.Undone(v1.Bundle, []Replacement{{"a:1", two, one}})}
	if fault.KindOf(err).Code() != 8 || !strings.Contains(err.Error(), "a:1: "+two.String()) || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
}

// Every text is made fit for a terminal.
func TestTexts(t *testing.T) {
	im := made(1, 1, named("a:1", "one"))
	b, err := json.Marshal(im)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	im.texts(func(s *string) { seen[*s] = true })
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, w := range v {
				walk(k, w)
			}
		case []any:
			for _, w := range v {
				walk(key, w)
			}
		case string:
			if checked := key == "digest" || key == "finished" || key == "created"; !checked && !seen[v] {
				t.Errorf("%s %q is not visited", key, v)
			}
		}
	}
	walk("", v)
}

// What is taken can be written, and reads the same again.
func FuzzParse(f *testing.F) {
	im := made(1, 1, named("acme/app:1", "one"))
	im.Version = version
	b, err := json.Marshal(im)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, s := range []string{`{"importVersion":1}`, `{"importVersion":1,"names":[{"name":"a","digest":"sha256:` + strings.Repeat("0", 64) + `"}],"more":[]}`, `{"importVersion":2}`, `[]`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		im, err := parse(doc)
		if err != nil {
			return
		}
		again, err := json.Marshal(im)
		if err != nil {
			t.Fatal(err)
		}
		im2, err := parse(again)
		if err != nil || !reflect.DeepEqual(im, im2) {
			t.Fatalf("%+v\nis read again as\n%+v (%v)", im, im2, err)
		}
	})
}

// A registry that is closed to this client is told from one that has nothing.
func TestAddRefused(t *testing.T) {
	t.Parallel()
	reg, s := startStore(t)
	reg.Inject(regtest.Fault{Method: "PUT", Class: regtest.Manifest, Do: regtest.Status(403)})
	if err := s.Add(context.Background(), Past{}, made(1, 1, named("a:1", "one"))); fault.KindOf(err) != fault.Refused {
		t.Errorf("%v", err)
	}
}
