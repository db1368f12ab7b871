package bundle

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/layout/parity"
	"bundle/testdata/regtest"
)

// changeSet changes the description of a set, which nobody signed.
func changeSet(t *testing.T, dir string, change func(map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "app.bundle.tar.set.json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(regtest.ReadFile(t, path)), &doc); err != nil {
		t.Fatal(err)
	}
	change(doc)
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// blobs are the lines of a part.
func blobs(doc map[string]any, part int) []any {
	list, _ := doc["parts"].([]any)[part].(map[string]any)["blobs"].([]any)
	return list
}

// A description that lies is found out by the checksums inside: nothing that it
// says ends in the registry.
func TestSetLies(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"order": func(d map[string]any) { // the layers of part 1 change places
			list := blobs(d, 0)
			slices.Reverse(list)
		},
		"digests": func(d map[string]any) { // two digests change sizes
			list := blobs(d, 0)
			a, b := strings.Fields(list[0].(string)), strings.Fields(list[1].(string))
			list[0], list[1] = b[0]+" "+a[1], a[0]+" "+b[1]
		},
		"another digest": func(d map[string]any) {
			list := blobs(d, 0)
			list[0] = strings.Repeat("ab", 32) + list[0].(string)[64:]
		},
		"time":     func(d map[string]any) { d["created"] = 1600000000 },
		"id":       func(d map[string]any) { d["id"] = strings.Repeat("0", 64) },
		"head":     func(d map[string]any) { d["head"] = d["head"].(float64) - 512 },
		"versions": func(d map[string]any) { d["formatVersion"] = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, whole, _, _, tr := inParts(t, SetOptions{Folders: []string{dir}})
			changeSet(t, dir, change)
			priv := startRegistry(t)
			o := onto(priv, tr)
			o.OutputDir = t.TempDir()
			_, err := Import(context.Background(), dir, o)
			if err == nil { // it was seen to be useless, and the parts speak for themselves
				sameContent(t, priv, whole, tr)
				return
			}
			lacks(t, priv, "apps/acme/appa:1")
			if name != "id" && name != "versions" && fault.KindOf(err) != fault.Damaged {
				t.Errorf("kind %v: %v", fault.KindOf(err), err)
			}
		})
	}
}

// A list of blocks that lies costs time and nothing else, and parity that is wrong
// repairs nothing.
func TestBlocksLie(t *testing.T) {
	dir, whole, _, tr := protected(t, 2)
	path := filepath.Join(dir, "app.bundle.tar.blocks")
	sums, err := parity.ParseSums([]byte(regtest.ReadFile(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	for c := range sums.Data + sums.Parity {
		for b := range sums.Blocks {
			sums.Set(c, b, rand.Uint32())
		}
	}
	if err := os.WriteFile(path, sums.Format(), 0o644); err != nil {
		t.Fatal(err)
	}
	priv := startRegistry(t)
	o := onto(priv, tr)
	o.OutputDir = t.TempDir()
	if _, err := Import(context.Background(), dir, o); err != nil {
		t.Fatal(err)
	}
	sameContent(t, priv, whole, tr)

	dir, _, _, tr = protected(t, 2)
	if err := os.Remove(filepath.Join(dir, "app.bundle.tar.blocks")); err != nil {
		t.Fatal(err)
	}
	flipBit(t, filepath.Join(dir, "app.bundle.tar.p01"), 70_000)
	flipBit(t, filepath.Join(dir, "app.bundle.tar.p02"), 70_000)
	for _, name := range []string{"app.bundle.tar.001", "app.bundle.tar.002"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	fixed := t.TempDir()
	if r, err := Repair(context.Background(), dir, RepairOptions{Folder: fixed}, nil); err == nil {
		t.Errorf("repaired with wrong parity: %+v", r)
	}
	regtest.WantFiles(t, fixed)
	priv = startRegistry(t)
	o = onto(priv, tr)
	o.OutputDir = t.TempDir()
	if _, err := Import(context.Background(), dir, o); err == nil {
		t.Error("imported with wrong parity")
	}
	lacks(t, priv, "apps/acme/appa:1")
}
