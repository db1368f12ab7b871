package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// seeds are lives that are lived again each time: some to begin with, and those that
// ever failed.
var seeds = []uint64{1, 2, 3}

// lifeSteps is how many things happen in a life.
const lifeSteps = 25

// lifeEnv says how many further lives there are, with seeds of their own, and lifeSeed
// with which the first of them begins: `make life`.
const lifeEnv, lifeSeed = "BUNDLE_LIVES", "BUNDLE_LIFE_SEED"

// What may happen to bundles and registries happens at random: export, in full or as a
// delta by some base, what is killed on the way, import here and there, in any order,
// older ones too, things that are deleted and collected at the target. After each
// import that succeeds, the target serves byte for byte what it was told to have, and
// every tag that changed was reported; one that does not succeed changed no tag, and
// what it says is missing is nowhere.
func TestLife(t *testing.T) {
	t.Parallel()
	lives := slices.Clone(seeds)
	if n, err := strconv.Atoi(os.Getenv(lifeEnv)); err == nil {
		first, err := strconv.ParseUint(os.Getenv(lifeSeed), 10, 64)
		if err != nil {
			first = rand.Uint64N(1 << 32)
		}
		for i := range n {
			lives = append(lives, first+uint64(i))
		}
	}
	for _, seed := range lives {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { liveLife(t, seed) })
	}
}

func liveLife(t *testing.T, seed uint64) {
	l := &life{t: t, rand: rand.New(rand.NewPCG(seed, 0)), pub: startRegistry(t), dir: t.TempDir(), chart: regtest.Folder(t, podChart), came: make(map[string]int)}
	l.signer, l.trust = newKey(t)
	for range 2 {
		reg := startRegistry(t)
		l.sites = append(l.sites, &site{reg: reg, trees: make(map[string]tree), broken: make(map[string]bool)})
	}
	for _, name := range lifeNames {
		l.publish(name)
	}
	l.export(nil)
	acts := []struct {
		weight int
		act    func()
	}{
		{3, func() { l.publish(pick(l, lifeNames)) }},
		{2, func() { l.export(nil) }},
		{5, l.exportDelta},
		{9, l.importSome},
		{2, l.lose},
		{2, l.collect},
		{1, l.merge},
	}
	for range lifeSteps {
		n := l.rand.IntN(24)
		for _, a := range acts {
			if n -= a.weight; n < 0 {
				a.act()
				break
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(l.log, "\n"))
		}
	}
	t.Logf("%d bundles; imports: %v", len(l.bundles), l.came)
}

// lifeNames are what is published, again and again with other content.
var lifeNames = []string{"acme/a:1", "acme/a:latest", "acme/b:1", "acme/c:1", "acme/c:2", "acme/d:latest"}

type life struct {
	t       *testing.T
	rand    *rand.Rand
	pub     *regtest.Registry
	sites   []*site
	dir     string
	chart   string
	signer  *trust.Signer
	trust   *trust.Trust
	bundles []*shipped
	log     []string
	came    map[string]int // what came of imports
}

// A shipped is one bundle, with those that it leaves something out by.
type shipped struct {
	path   string
	serial int64
	needs  map[digest.Digest]bool // layers that it leaves out
	ways   []string               // older bundles that together have those, where the bases are bundles
}

// A site is a target registry, and what it was told to have.
type site struct {
	reg      *regtest.Registry
	trees    map[string]tree // by repo:tag
	broken   map[string]bool // names of which something was taken away since
	receipts []string
}

// A tree is what stands under a name, and all that this needs.
type tree struct {
	root  digest.Digest
	blobs map[digest.Digest]bool // false: a manifest
}

func (l *life) note(format string, args ...any) { l.log = append(l.log, fmt.Sprintf(format, args...)) }

func pick[T any](l *life, all []T) T { return all[l.rand.IntN(len(all))] }

// publish gives a name other content at the source: layers that others share, and one
// of its own.
func (l *life) publish(name string) {
	image := func(platform string) regtest.Image {
		return regtest.Image{Platform: platform, Layers: []regtest.Layer{
			{Size: 900, Seed: int64(1 + l.rand.IntN(3))}, {Size: 700, Seed: int64(10 + l.rand.IntN(4))}, {Size: 400, Seed: int64(100 + l.rand.IntN(1000))},
		}}
	}
	l.note("publish %s", name)
	if l.rand.IntN(4) == 0 {
		pushIndex(l.t, l.pub, name, regtest.Index{Images: []regtest.Image{image("linux/amd64"), image("linux/arm64")}})
		return
	}
	pushImage(l.t, l.pub, name, image(""))
}

// export writes some of what is published, and is killed now and then.
func (l *life) export(bases []string) *shipped {
	s := &shipped{path: filepath.Join(l.dir, fmt.Sprintf("%d.tar", len(l.bundles))), serial: int64(len(l.bundles) + 1), needs: make(map[digest.Digest]bool)}
	o := ExportOptions{Output: s.path, Serial: s.serial, Registry: through(l.pub), Signer: l.signer, Bases: bases, Jobs: 2}
	for _, name := range lifeNames {
		if l.rand.IntN(2) == 0 {
			o.Images = append(o.Images, "ghcr.io/"+name)
		}
	}
	if len(o.Images) == 0 || l.rand.IntN(5) == 0 {
		o.Charts = []source.ChartSpec{{Ref: l.chart, Set: []string{"sidecar=acme/b:1,image=acme/a:1"}}}
	}
	l.note("export %s: %v, %d charts, bases %v", s.path, o.Images, len(o.Charts), bases)
	if l.rand.IntN(4) == 0 {
		l.killed(l.pub, func(r *http.Request) bool { return r.Method == http.MethodGet }, func(ctx context.Context) error {
			_, err := Export(ctx, o)
			return err
		})
	}
	r := mustExport(l.t, o)
	b := mustOpen(l.t, s.path, l.trust)
	for _, d := range b.Required() {
		s.needs[d.Digest] = true
	}
	out := 0
	for _, b := range r.Bases {
		out += b.Layers
	}
	if out != len(s.needs) {
		l.t.Errorf("%s: %d layers are said to be left out, and %d are", s.path, out, len(s.needs))
	}
	l.bundles = append(l.bundles, s)
	return s
}

// killed runs something and ends it at some request.
func (l *life) killed(reg *regtest.Registry, which func(*http.Request) bool, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	at := l.rand.IntN(12)
	reg.Inject(regtest.Fault{Match: which, Skip: at, Times: 1, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		next.ServeHTTP(w, r)
	}})
	err := run(ctx)
	reg.ClearFaults()
	l.note("  killed at request %d: %v", at, err)
}

// exportDelta chooses bases: bundles, a receipt, an inventory.
func (l *life) exportDelta() {
	s := pick(l, l.sites)
	switch n := l.rand.IntN(4); {
	case n == 0 && len(s.receipts) > 0:
		l.export([]string{pick(l, s.receipts)})
	case n == 1:
		o := InventoryOptions{
			Registry: onto(s.reg, l.trust).Registry, RegistryOptions: onto(s.reg, l.trust).RegistryOptions,
			Output: filepath.Join(l.dir, fmt.Sprintf("%d.inventory", len(l.bundles))), Unsigned: true, DigestsOnly: l.rand.IntN(2) == 0,
		}
		if _, err := Inventory(l.t.Context(), o); err != nil {
			l.note("no inventory: %v", err)
			l.export(nil)
			return
		}
		l.export([]string{o.Output})
	default:
		one, other := pick(l, l.bundles), pick(l, l.bundles)
		made := l.export([]string{one.path, other.path})
		made.ways = slices.Concat([]string{one.path, other.path}, one.ways, other.ways)
		slices.Sort(made.ways)
		made.ways = slices.Compact(made.ways)
	}
}

// importSome imports a bundle somewhere, and judges what came of it.
func (l *life) importSome() {
	b, s := pick(l, l.bundles), pick(l, l.sites)
	if l.rand.IntN(2) == 0 {
		b = l.bundles[len(l.bundles)-1]
	}
	o := onto(s.reg, l.trust)
	o.OutputDir, o.AllowOlder, o.Deep, o.Jobs = l.t.TempDir(), l.rand.IntN(2) == 0, l.rand.IntN(4) == 0, 3
	o.Receipt.Path = filepath.Join(o.OutputDir, "receipt.json")
	if len(b.needs) > 0 && len(b.ways) > 0 && l.rand.IntN(2) == 0 {
		o.More = b.ways
	}
	if l.rand.IntN(6) == 0 {
		withoutMounts(s.reg)
		defer s.reg.ClearFaults()
	}
	before := s.tags(l.t)
	if l.rand.IntN(3) == 0 {
		killed := o
		killed.OutputDir, killed.Receipt.Path = l.t.TempDir(), ""
		l.killed(s.reg, isWrite, func(ctx context.Context) error {
			_, err := Import(ctx, b.path, killed)
			return err
		})
		l.readTrees(s)
	}
	between := s.tags(l.t)
	s.reg.Log.Reset()
	r, err := Import(l.t.Context(), b.path, o)
	l.note("import %s into %s, more %v, allow older %v: %v", b.path, s.reg.Host(), o.More, o.AllowOlder, err)
	what := "whole"
	if len(b.needs) > 0 {
		what = "delta"
	}
	if err != nil {
		what += ", " + fault.KindOf(err).String()
	}
	l.came[what]++
	if err == nil {
		s.receipts = append(s.receipts, o.Receipt.Path)
		l.arrived(s, r, between)
		return
	}
	if now := s.tags(l.t); !maps.Equal(now, between) {
		l.t.Errorf("an import that failed changed tags: %v, before %v", now, between)
	}
	if w := writes(s.reg); w != nil {
		l.t.Errorf("an import that was refused wrote: %v", w)
	}
	switch kind := fault.KindOf(err); kind {
	case fault.Undoing:
		if o.AllowOlder || len(before) == 0 {
			l.t.Errorf("refused as older: %v", err)
		}
	case fault.NeedsMore:
		l.missing(b, s, o, err)
	default:
		l.t.Errorf("import: %v", err)
	}
}

func isWrite(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// missing requires that a layer which is said to be missing is nowhere.
func (l *life) missing(b *shipped, s *site, o ImportOptions, err error) {
	var lack *push.LackError
	if !errors.As(err, &lack) {
		l.t.Errorf("import: %v", err)
		return
	}
	if len(o.More) > 0 && !l.standsOnMore(b) {
		l.t.Errorf("all bundles were given, and something lacks: %v", err)
	}
	for _, layer := range lack.Layers {
		if !b.needs[layer.Digest] {
			l.t.Errorf("%s is said to be missing, and is not required", layer.Digest)
		}
		for _, repo := range s.repositories() {
			if has, err := s.reg.HasBlob(context.Background(), repo, layer.Digest); has || err != nil {
				l.t.Errorf("%s is said to be missing, and is in %s: %v", layer.Digest, repo, err)
			}
		}
	}
}

// arrived requires all that an import says, and that nothing else has changed.
func (l *life) arrived(s *site, r *reports.Import, before map[string]digest.Digest) {
	told := make(map[string]push.Image)
	for _, im := range r.Images {
		ref := strings.TrimPrefix(im.Target, s.reg.Host()+"/")
		told[ref] = im
		holds(l.t, s.reg, ref, digest.Digest(im.Digest))
		s.trees[ref] = l.read(s, ref)
		delete(s.broken, ref)
	}
	now := s.tags(l.t)
	for ref, d := range now {
		im, known := told[ref]
		was := before[ref]
		switch {
		case known && was != "" && was != d && im.Replaces != was:
			l.t.Errorf("%s was %s and is %s, and said to replace %q", ref, was, d, im.Replaces)
		case !known && was != d:
			l.t.Errorf("%s was %q and is %s, and nothing was said of it", ref, was, d)
		}
	}
	for ref, tree := range s.trees {
		if !s.broken[ref] {
			holds(l.t, s.reg, ref, tree.root)
		}
	}
}

// readTrees takes what stands there now for what has to: after an import that was
// killed, which may have changed some tags.
func (l *life) readTrees(s *site) {
	for ref := range s.tags(l.t) {
		if !s.broken[ref] {
			s.trees[ref] = l.read(s, ref)
		}
	}
}

// repositories are those that anything was brought to, or may have been.
func (s *site) repositories() []string {
	all := []string{"apps/charts/app"}
	for _, name := range lifeNames {
		all = append(all, "apps/"+name[:strings.IndexByte(name, ':')])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// tags are what stands under each name.
func (s *site) tags(t *testing.T) map[string]digest.Digest {
	t.Helper()
	all := make(map[string]digest.Digest)
	for _, name := range append([]string{"charts/app:1.0.0"}, lifeNames...) {
		if d, _, err := s.reg.Manifest(context.Background(), "apps/"+name); err == nil {
			all["apps/"+name] = d.Digest
		}
	}
	return all
}

// read lists what a name needs.
func (l *life) read(s *site, ref string) tree {
	d, _, err := s.reg.Manifest(context.Background(), ref)
	if err != nil {
		l.t.Errorf("%s: %v", ref, err)
		return tree{}
	}
	tr := tree{root: d.Digest, blobs: make(map[digest.Digest]bool)}
	repo := ref[:strings.LastIndexByte(ref, ':')]
	var walk func(d digest.Digest)
	walk = func(d digest.Digest) {
		tr.blobs[d] = false
		_, doc, err := s.reg.Manifest(context.Background(), repo+"@"+d.String())
		if err != nil {
			l.t.Errorf("%s: %v", ref, err)
			return
		}
		var m struct {
			Config            *ocispec.Descriptor
			Layers, Manifests []ocispec.Descriptor
		}
		if err := json.Unmarshal(doc, &m); err != nil {
			l.t.Error(err)
		}
		for _, child := range m.Manifests {
			walk(child.Digest)
		}
		if m.Config != nil {
			m.Layers = append(m.Layers, *m.Config)
		}
		for _, child := range m.Layers {
			tr.blobs[child.Digest] = true
		}
	}
	walk(d.Digest)
	return tr
}

// lose takes a manifest or a blob of some name out of its repository.
func (l *life) lose() {
	s := pick(l, l.sites)
	if len(s.trees) == 0 {
		return
	}
	ref := pick(l, slices.Sorted(maps.Keys(s.trees)))
	repo := ref[:strings.LastIndexByte(ref, ':')]
	d := pick(l, slices.Sorted(maps.Keys(s.trees[ref].blobs)))
	var err error
	if s.trees[ref].blobs[d] {
		err = s.reg.DeleteBlob(l.t.Context(), repo, d)
	} else {
		err = s.reg.DeleteManifest(l.t.Context(), repo+"@"+d.String())
	}
	l.note("lose %s of %s at %s: %v", d, ref, s.reg.Host(), err)
	l.breaks(s, d, repo)
}

// collect takes a blob out of all repositories, as a clean-up does.
func (l *life) collect() {
	s := pick(l, l.sites)
	if len(s.trees) == 0 {
		return
	}
	ref := pick(l, slices.Sorted(maps.Keys(s.trees)))
	tree := s.trees[ref]
	layers := slices.DeleteFunc(slices.Sorted(maps.Keys(tree.blobs)), func(d digest.Digest) bool { return !tree.blobs[d] })
	if len(layers) == 0 {
		return
	}
	d := pick(l, layers)
	for _, repo := range s.repositories() {
		_ = s.reg.DeleteBlob(l.t.Context(), repo, d) // most do not have it
		l.breaks(s, d, repo)
	}
	l.note("collect %s at %s", d, s.reg.Host())
}

// breaks notes which names need what was taken away.
func (l *life) breaks(s *site, d digest.Digest, repo string) {
	for ref, tree := range s.trees {
		if _, needs := tree.blobs[d]; needs && strings.HasPrefix(ref, repo+":") {
			s.broken[ref] = true
		}
	}
}

// merge makes a whole bundle of a delta and all that it stands on.
func (l *life) merge() {
	b := pick(l, l.bundles)
	if len(b.needs) == 0 || len(b.ways) == 0 {
		return
	}
	made := &shipped{path: filepath.Join(l.dir, fmt.Sprintf("%d.tar", len(l.bundles))), serial: b.serial}
	_, err := Merge(l.t.Context(), b.path, MergeOptions{Older: b.ways, Output: made.path, Signer: l.signer})
	var lack *push.LackError
	l.note("merge %s and %v: %v", b.path, b.ways, err)
	if errors.As(err, &lack) && l.standsOnMore(b) {
		return
	}
	if err != nil {
		l.t.Errorf("merge: %v", err)
		return
	}
	l.bundles = append(l.bundles, made)
}

// standsOnMore reports whether a bundle that another was made by was made by what is
// no bundle: then what has its layers may be a registry alone.
func (l *life) standsOnMore(b *shipped) bool {
	return slices.ContainsFunc(l.bundles, func(o *shipped) bool {
		return (o == b || slices.Contains(b.ways, o.path)) && len(o.needs) > 0 && len(o.ways) == 0
	})
}
