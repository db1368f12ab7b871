package chart

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chartutil"
)

// What templates see is a tree of maps: .Values, .Release, .Subcharts and so on.
// A lenient render measures it once: every map is known by its address, with the
// paths that lead to it, and every value has a hash. A template that read some
// values gives the same text again when all of those have the same hashes.
//
// A map below a list has no path: who reaches it has read the whole list.

// A look is one thing that a template read: the value at a path, with all that is
// below it, or its shape alone: whether it is there, whether it is a map, and
// whether that is empty.
type look struct {
	path  string // steps, a zero byte before each
	shape bool
}

// A ledger numbers looks, for all renders of a chart together.
type ledger struct {
	mu    sync.RWMutex
	ids   map[look]int
	looks []look
}

func (l *ledger) id(at look) int {
	l.mu.RLock()
	id, ok := l.ids[at]
	l.mu.RUnlock()
	if ok {
		return id
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok = l.ids[at]; ok {
		return id
	}
	if l.ids == nil {
		l.ids = map[look]int{}
	}
	id = len(l.looks)
	l.ids[at], l.looks = id, append(l.looks, at)
	return id
}

func (l *ledger) look(id int) look {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.looks[id]
}

// tracked is a map that belongs to what templates see.
type tracked struct {
	paths []string
	hash  uint64
	under bool // being measured: it contains itself
}

// maxAliases limits the paths of one map; see view.lost.
const maxAliases = 1000

// A view is what the templates of one render see, measured.
type view struct {
	ledger *ledger
	root   map[string]any
	extra  map[string]any // what is read otherwise than as a field
	maps   map[uintptr]*tracked
	// lost is set when templates changed the tree so that paths say no longer what
	// they should: nothing that is read from then on counts as known.
	lost  bool
	sums  []uint64 // by the number of the look
	known []bool
}

var seed = maphash.MakeSeed()

// measure walks the tree below root.
func measure(l *ledger, root, extra map[string]any) *view {
	v := &view{ledger: l, root: root, extra: extra, maps: map[uintptr]*tracked{}}
	v.walk(root, "", true)
	return v
}

// walk measures a value, returns its hash and notes the path of every map.
func (v *view) walk(value any, path string, named bool) uint64 {
	m, ok := asTree(value)
	if !ok {
		return v.leaf(value)
	}
	if m == nil {
		return sum("no map", 0)
	}
	at := reflect.ValueOf(m).Pointer()
	t := v.maps[at]
	switch {
	case t == nil:
		t = &tracked{}
		v.maps[at] = t
	case t.under:
		v.lost = true
		return sum("itself", 0)
	case !named:
		return t.hash
	}
	if home, ok := linked(path); ok {
		v.lost = v.lost || len(m) > 0 && !slices.Contains(t.paths, home)
		if len(t.paths) > 0 {
			return t.hash
		}
	}
	if named {
		t.paths = append(t.paths, path)
		v.lost = v.lost || len(t.paths) > maxAliases
	}
	t.under = true
	// Values come first: the same map is seen again from the subchart.
	total := v.entry(m, chartutil.GlobalKey, path, named) + v.entry(m, "Values", path, named)
	for k := range m {
		if k != "Values" && k != chartutil.GlobalKey {
			total += v.entry(m, k, path, named)
		}
	}
	t.under, t.hash = false, sum("map", total)
	return t.hash
}

// entry is the part of one key in the hash of its map.
func (v *view) entry(m map[string]any, key, path string, named bool) uint64 {
	value, ok := m[key]
	if !ok {
		return 0
	}
	if named {
		path += "\x00" + key
	}
	return sum(key, v.walk(value, path, named))
}

// linked tells whether a path is that of a subchart's values, and where those stand
// among the values of the whole chart.
func linked(path string) (home string, ok bool) {
	if !strings.HasPrefix(path, "\x00Subcharts\x00") || !strings.HasSuffix(path, "\x00Values") {
		return "", false
	}
	steps := strings.Split(path, "\x00") // "", Subcharts, a, Subcharts, b, Values
	home = "\x00Values"
	for i := 2; i < len(steps)-1; i += 2 {
		if steps[i-1] != "Subcharts" {
			return "", false
		}
		home += "\x00" + steps[i]
	}
	return home, true
}

// leaf is the hash of what is no map.
func (v *view) leaf(value any) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	switch x := value.(type) {
	case nil:
		h.WriteByte(0)
	case string:
		h.WriteByte(1)
		h.WriteString(x)
	case bool:
		h.WriteByte(2)
		if x {
			h.WriteByte(1)
		}
	case []any:
		h.WriteByte(3)
		for _, e := range x {
			write(&h, v.walk(e, "", false))
		}
	case int64:
		h.WriteByte(4)
		write(&h, uint64(x))
	case float64:
		h.WriteByte(5)
		write(&h, math.Float64bits(x))
	case hasher:
		h.WriteByte(6)
		write(&h, x.hash())
	default:
		if reflect.ValueOf(value).Comparable() {
			maphash.WriteComparable(&h, value)
			h.WriteString(fmt.Sprintf("%T", value))
			break
		}
		return maphash.Bytes(maphash.MakeSeed(), nil) // equal to nothing
	}
	return h.Sum64()
}

// A hasher is something else that templates see, and that knows its hash.
type hasher interface{ hash() uint64 }

func sum(text string, with uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(text)
	h.WriteByte(0xff)
	write(&h, with)
	return h.Sum64()
}

func write(h *maphash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

// asTree returns the value as a map with keys of text.
func asTree(value any) (map[string]any, bool) {
	switch m := value.(type) {
	case map[string]any:
		return m, true
	case chartutil.Values:
		return m, true
	}
	return nil, false
}

// node returns the map if it is one of the tree.
func (v *view) node(m map[string]any) *tracked {
	if m == nil {
		return nil
	}
	return v.maps[reflect.ValueOf(m).Pointer()]
}

// sum is the hash of what a look would see in this render.
func (v *view) sum(id int) uint64 {
	for id >= len(v.sums) {
		v.sums, v.known = append(v.sums, 0), append(v.known, false)
	}
	if !v.known[id] {
		v.sums[id], v.known[id] = v.at(v.ledger.look(id)), true
	}
	return v.sums[id]
}

func (v *view) at(l look) uint64 {
	if x, ok := v.extra[l.path]; ok {
		return v.hash(x)
	}
	var now any = v.root
	steps := strings.Split(l.path, "\x00")[1:]
	for i, step := range steps {
		m, isMap := asTree(now)
		parts, isSheet := now.(sheet)
		next, ok := m[step]
		if isSheet {
			next, ok = parts.part(step), true
		}
		switch {
		case ok:
			now = next
		case isMap:
			return sum("nothing", uint64(i))
		default:
			return sum("no map", uint64(i)+v.hash(now))
		}
	}
	if m, ok := asTree(now); ok && l.shape {
		return sum("shape", uint64(min(1, len(m))))
	}
	return v.hash(now)
}

// A sheet is a thing with parts that are read one by one.
type sheet interface{ part(name string) any }

// hash is that of any value of the tree.
func (v *view) hash(value any) uint64 {
	if m, ok := asTree(value); ok {
		if t := v.node(m); t != nil {
			return t.hash
		}
	}
	return v.walk(value, "", false)
}
