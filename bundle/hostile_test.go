package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/testdata/hostile"
	"bundle/testdata/regtest"
)

// What a hostile bundle may cost before it is refused, in bytes and in work: as
// much time of the processor, since other programs may be running, as reading
// hostileWork bytes of JSON takes on the same machine.
const (
	hostileMemory = 64 << 20 * slowdown
	hostileWork   = 768 << 20
)

// hostileTime measures an eighth of that work.
func hostileTime(t *testing.T) time.Duration {
	doc := []byte(`[` + strings.Repeat(`{"digest":"sha256:0123456789abcdef","size":12345},`, 20_000) + `0]`)
	start := processorTime(t)
	for n := 0; n < hostileWork/8; n += len(doc) {
		if !json.Valid(doc) {
			t.Fatal("not valid")
		}
	}
	return max(8*(processorTime(t)-start), time.Second)
}

// hostileEnv tells a child of this test that it is one.
const hostileEnv = "BUNDLE_TEST_HOSTILE"

// TestHostile gives every hostile bundle to Verify and Import, in a process of
// its own whose memory can be watched. Each has to be refused with its exit
// code and its message, in little time and memory, before a file is written or
// the registry hears anything.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("one process and much hashing: for the pass without the race detector")
	}
	if os.Getenv(hostileEnv) != "" {
		testHostile(t)
		return
	}
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestHostile$", "-test.v")
	cmd.Env = append(os.Environ(), hostileEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, failures(out))
	}
	if n := bytes.Count(out, []byte("    --- PASS: TestHostile/")); n != len(hostile.Cases()) || n < 60 {
		t.Errorf("%d bundles refused of %d, want all, and 60 or more", n, len(hostile.Cases()))
	}
	_, table, _ := strings.Cut(string(out), tableHead)
	table, _, _ = strings.Cut(table, tableFoot)
	t.Log(table)
}

const tableHead, tableFoot = "=== TABLE\n", "=== END\n"

// failures leaves out what passed.
func failures(out []byte) string {
	var b strings.Builder
	for l := range strings.Lines(string(out)) {
		if !strings.Contains(l, "=== RUN") && !strings.Contains(l, "--- PASS") {
			b.WriteString(l)
		}
	}
	return b.String()
}

func testHostile(t *testing.T) {
	trust, err := trust.LoadTrust(context.Background(), []string{writeKey(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	limit := hostileTime(t)
	priv := startRegistry(t)
	cost := make(map[string]*hostileCost)
	seen := make(map[string]bool)
	for _, c := range hostile.Cases() {
		if seen[c.Class+"/"+c.Name] {
			t.Errorf("%s/%s: twice", c.Class, c.Name)
		}
		seen[c.Class+"/"+c.Name] = true
		if cost[c.Class] == nil {
			cost[c.Class] = &hostileCost{exits: make(map[int]bool)}
		}
		t.Run(c.Class+"/"+c.Name, func(t *testing.T) {
			took, memory := testHostileCase(t, c, trust, priv)
			if took > limit || memory > hostileMemory { // the machine may have become slower since, and the collector with it
				limit, resting = max(limit, hostileTime(t)), 0
				took, memory = testHostileCase(t, c, trust, priv)
			}
			if memory > hostileMemory || took > limit {
				t.Errorf("took %s and %d MB; %s and %d MB are allowed", took, memory>>20, limit, hostileMemory>>20)
			}
			cost[c.Class].add(c.Exit, took, memory)
		})
	}
	fmt.Print(tableHead)
	fmt.Printf("limit: %s\n", limit)
	fmt.Printf("%-16s %5s %6s %8s %8s\n", "class", "count", "exit", "slowest", "memory")
	for _, class := range slices.Sorted(maps.Keys(cost)) {
		c := cost[class]
		exits := strings.Trim(fmt.Sprint(slices.Sorted(maps.Keys(c.exits))), "[]")
		fmt.Printf("%-16s %5d %6s %8s %5d MB\n", class, c.count, exits, c.time.Round(time.Millisecond), c.memory>>20)
	}
	fmt.Print(tableFoot)
}

// A hostileCost is the most that a case of a class took.
type hostileCost struct {
	count  int
	exits  map[int]bool
	time   time.Duration
	memory int64
}

func (c *hostileCost) add(exit int, d time.Duration, m int64) {
	c.count++
	c.exits[exit] = true
	c.time, c.memory = max(c.time, d), max(c.memory, m)
}

func writeKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(path, hostile.PublicKey(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func testHostileCase(t *testing.T, c hostile.Case, trust *trust.Trust, priv *regtest.Registry) (time.Duration, int64) {
	dir := t.TempDir()
	content := c.Make()
	path := filepath.Join(dir, "x.bundle.tar")
	onDisk, err := content.WriteFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := onto(priv, trust)
	o.OutputDir, o.RenderDir = filepath.Join(dir, "out"), filepath.Join(dir, "render")
	o.Receipt.Path = filepath.Join(dir, "receipt.json")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute*slowdown)
	defer cancel()
	refuse := func() error {
		if !onDisk {
			_, err := open.Reader(t.Context(), content, content.Size, trust)
			return err
		}
		_, err := Import(ctx, path, o)
		return err
	}
	took, memory := measure(t, ctx, func() { err = refuse() })
	wantHostile(t, c, err)
	if onDisk {
		_, verr := Verify(context.Background(), path, trust, nil)
		wantHostile(t, c, verr)
		regtest.WantFiles(t, dir, "x.bundle.tar")
	}
	for _, r := range priv.Log.Requests() {
		t.Errorf("the registry was asked: %s %s", r.Method, r.Path)
	}
	priv.Log.Reset()
	return took, memory
}

// The bundle that all hostile ones are made from is taken: what their names
// say is all that is wrong with them.
func TestHostileGood(t *testing.T) {
	trust, err := trust.LoadTrust(context.Background(), []string{writeKey(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.bundle.tar")
	if ok, err := hostile.Good(100).WriteFile(path); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := Verify(context.Background(), path, trust, nil); err != nil {
		t.Error(err)
	}
	priv := startRegistry(t)
	r := mustImport(t, path, onto(priv, trust))
	if len(r.Images) != 2 || len(r.Charts) != 1 {
		t.Errorf("pushed %+v", r.Images)
	}
}

func wantHostile(t *testing.T, c hostile.Case, err error) {
	t.Helper()
	exits := map[fault.Kind]int{fault.Untrusted: hostile.Untrusted, fault.Damaged: hostile.Damaged, fault.Usage: hostile.Usage}
	switch {
	case err == nil:
		t.Error("not refused")
	case exits[fault.KindOf(err)] != c.Exit || !strings.Contains(err.Error(), c.Message):
		t.Errorf("kind %d, want exit code %d and %q:\n%.500v", fault.KindOf(err), c.Exit, c.Message, err)
	case strings.ContainsFunc(err.Error(), func(r rune) bool { return r != '\n' && record.Printable(string(r)) != string(r) }):
		t.Errorf("message is not fit for a terminal: %.500q", err)
	case fault.Hint(err) == "":
		t.Errorf("no hint: %v", err)
	}
}

// resting is what the process holds when it was relieved of all that it does not need.
var resting int64

// slack is how much more it may hold before it is relieved again, which takes longer
// than most bundles.
const slack = 8 << 20

// measure runs f, which must end before ctx does, and returns the processor time
// it took and by how many bytes the memory of this process grew beyond resting, at
// most.
func measure(t *testing.T, ctx context.Context, f func()) (time.Duration, int64) {
	t.Helper()
	if before := residentPeak(t, true); resting == 0 || before > resting+slack {
		debug.FreeOSMemory()
		resting = residentPeak(t, true)
	}
	// As GOMEMLIMIT: garbage is no need for memory.
	var used runtime.MemStats
	runtime.ReadMemStats(&used)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(used.Sys-used.HeapReleased) + hostileMemory*3/4))
	done := make(chan struct{})
	start := processorTime(t)
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("not refused in time")
	}
	return processorTime(t) - start, residentPeak(t, false) - resting
}

// processorTime is what the process has used so far (proc(5): utime and stime).
// Where the system does not tell, it is zero.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatalf("processor time in %s", stat)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 wherever Go runs
}

// residentPeak is the most memory the process ever had (proc(5): VmHWM), since
// the last reset. Where the system does not tell, it is zero.
func residentPeak(t *testing.T, reset bool) int64 {
	t.Helper()
	if reset {
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); errors.Is(err, os.ErrNotExist) {
			return 0
		} else if err != nil {
			t.Fatal(err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if !ok || err != nil {
		t.Fatalf("VmHWM in\n%s", status)
	}
	return kb << 10
}
