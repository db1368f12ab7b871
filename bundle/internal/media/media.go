// Package media writes a bundle that is cut into parts onto media: several that
// are there at once, beside each other, or one after the other through one drive.
//
// The contract: whether there is room on each medium is found out before the first
// byte; a part has its name when it was read back from its medium and is what was
// planned; a run that was stopped is gone on with by the same command; a medium
// that fails ends its own part and no other.
//
//	m := &media.Media{Set: set, Folders: []string{"/media/a", "/media/b"}}
//	err := m.Prepare(ctx, func(path string) error { … })            // the head
//	written, err := m.Write(ctx, func(ctx context.Context, k int, path string) (commit func() error, err error) { … })
package media

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/progress"
	"bundle/layout/parts"
)

// Media are where a set goes.
type Media struct {
	Set        *parts.Set
	Folders    []string // one for each medium that is there
	Only       []int    // numbers of the parts to write; nil: all
	NoReadBack bool     // trust the page cache
	Verified   bool     // blobs that are whole in a part are verified by who fills it
	Progress   progress.Reporter
	Filling    string            // what people are told while parts are filled; empty: nothing
	Payload    int64             // bytes that are then told, of all parts that are wanted
	Sums       map[string]string // SHA-256 of parts that are written already, by name
	Beside     Beside            // further files for each medium that gets a part; nil: none

	// Force replaces another bundle under the name. IDOf reads what the begin of a bundle
	// in a file brings, empty where it is none; where that is ID, it is the same export,
	// and replaced without Force.
	Force bool
	ID    string
	IDOf  func(path string) string
	// Sources are files that are read meanwhile, and never removed.
	Sources []string

	// State is a folder that stays where it is when media change: it has the head,
	// the lists and what a run has to know of parts that are gone. Empty: the first
	// of Folders.
	State string
	// Swap asks for another medium; see [Swap]. Nil: all parts go into Folders.
	Swap func(context.Context, Swap) error
	// Outline is called before the first byte goes onto media that are changed; nil: not.
	Outline func(Outline)

	head    *os.File
	headSum string
	proof   *parts.Proof
	removed []string
	filling atomic.Int32 // folders that still get parts
	told    bool         // a phase of Progress is open
	mu      sync.Mutex
	state   state
}

// A Swap is a change of media. Nothing is open on the one in the drive.
type Swap struct {
	Done   string // name of the part that is on the medium in the drive; empty: none is yet
	Cached bool   // that part was not read back from the medium
	Next   string // name of the part that the next one is for
	Number int    // of that part
	Of     int    // parts in all
	Size   int64  // bytes that it takes
	Failed error  // what went wrong with the medium in the drive; nil: nothing
	Folder string // where it is mounted
}

// A Written is a part that is on its medium.
type Written struct {
	Part   int    `json:"part"`
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Kept   bool   `json:"kept,omitempty"`   // an earlier run wrote it
	Parity int    `json:"parity,omitempty"` // number of a part of parity, which has no Part

	// FromCache says that SHA256 is of what the system has in memory: nothing proves
	// that the medium has it.
	FromCache bool `json:"fromCache,omitempty"`
}

// state is what goes on from one run to the next.
type state struct {
	ID     string            `json:"id"`
	Sums   map[string]string `json:"sums"`             // SHA-256 of parts that were read back, by name
	States map[int][]byte    `json:"states,omitempty"` // see parts.Proof
	Added  []int             `json:"added,omitempty"`  // parts that are in the parity
	Round  int               `json:"round,omitempty"`  // which files have that parity, see addParity

	// Suspect are the SHA-256 of parts that have a piece of a cut blob of which the whole
	// was found wrong: such a part is written again, as it cannot be proved alone.
	Suspect []string `json:"suspect,omitempty"`
}

// A Fill writes part number k. It has its name, and is on the disk, after commit,
// which is called once, whatever happens, while the next part is being filled.
type Fill func(ctx context.Context, k int, path string) (commit func() error, err error)

func (m *Media) stateFolder() string {
	if m.State != "" {
		return m.State
	}
	return m.Folders[0]
}

func (m *Media) path(folder, suffix string) string {
	return filepath.Join(folder, m.Set.Name+suffix)
}

// HeadPath is where the head stays.
func (m *Media) HeadPath() string { return m.path(m.stateFolder(), parts.HeadSuffix) }

// Prepare checks that no other set of the name is in the way and that there is
// room, and has the head written.
func (m *Media) Prepare(ctx context.Context, head func(path string) error) error {
	if m.State == "" {
		m.step(m.Filling, m.Payload)
	} else {
		m.step(m.Filling, 0)
	}
	ways := make(map[string]*clearing)
	for _, folder := range m.folders() {
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		c, err := m.makesWay(folder)
		if err = errors.Join(err, m.sweep(folder)); err != nil {
			return err
		}
		ways[folder] = &c
	}
	if err := m.checkRoom(ways); err != nil {
		return err
	}
	for _, folder := range m.folders() {
		if err := m.clear(folder, *ways[folder]); err != nil {
			return m.tellReplaced(err)
		}
	}
	if err := head(m.HeadPath()); err != nil {
		for _, folder := range m.folders() {
			m.bringBack(folder, *ways[folder])
		}
		return m.tellReplaced(err)
	}
	f, err := os.Open(m.HeadPath())
	if err != nil {
		return err
	}
	m.head = f
	if m.headSum, err = parts.HashFile(ctx, m.HeadPath()); err != nil {
		return err
	}
	m.state = state{ID: m.Set.ID, Sums: make(map[string]string)}
	maps.Copy(m.state.Sums, m.Sums)
	m.readState()
	m.proof = &parts.Proof{Set: m.Set, Head: f, States: m.state.States}
	return m.tellReplaced(errors.Join(m.sweepRounds(), m.checkScratch()))
}

// Close ends the work.
func (m *Media) Close() error {
	m.endStep()
	if m.head == nil {
		return nil
	}
	return m.head.Close()
}

// readState takes over what an earlier run of the same set left.
func (m *Media) readState() {
	b, err := parts.ReadFile(m.path(m.stateFolder(), stateSuffix), parts.MaxSetSize)
	var old state
	if err == nil && json.Unmarshal(b, &old) == nil && old.ID == m.Set.ID && old.Sums != nil {
		m.state = old
	}
}

// small is about what the files beside a part take.
func (m *Media) small() int64 { return m.Set.Head + 2<<20 }

// wanted lists the parts that are to be written.
func (m *Media) wanted() []int {
	if m.Only != nil {
		return m.Only
	}
	all := make([]int, len(m.Set.Parts))
	if m.State != "" && m.Set.Parity != nil {
		all = make([]int, len(m.Set.Parts)+m.Set.Parity.Parity)
	}
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// share gives each folder its parts: those that it has begun, and else in turn.
func (m *Media) share() [][]int {
	shares := make([][]int, len(m.Folders))
	for n, k := range m.wanted() {
		at := n % len(m.Folders)
		for i, folder := range m.Folders {
			path := filepath.Join(folder, m.name(k))
			if Allocated(path) > 0 || Allocated(path+".partial") > 0 {
				at = i
				break
			}
		}
		shares[at] = append(shares[at], k)
	}
	return shares
}

// Write writes the parts that are wanted. All that went wrong is in the error; what
// is beside it was written.
func (m *Media) Write(ctx context.Context, fill Fill) (all []Written, err error) {
	defer func() { err = m.complete(err, m.folders()...) }()
	shares := m.share()
	var (
		g       errgroup.Group
		failed  = make([]error, len(shares))
		written = make([][]Written, len(shares))
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.filling.Store(int32(len(shares)))
	for i, list := range shares {
		g.Go(func() error {
			written[i], failed[i] = m.folder(ctx, m.Folders[i], list, fill)
			if failed[i] != nil && !ofMedia(failed[i]) {
				cancel() // no other medium will do better
			}
			return nil
		})
	}
	_ = g.Wait() // what each said is in failed
	all = slices.DeleteFunc(slices.Concat(written...), func(w Written) bool { return m.state.Sums[filepath.Base(w.Path)] == "" })
	slices.SortFunc(all, func(a, b Written) int { return cmp.Or(a.Parity-b.Parity, a.Part-b.Part) })
	err = joined(failed)
	if err == nil {
		err = m.proveLate(ctx, all)
	}
	if err == nil {
		err = m.finish(ctx, all)
	}
	if err == nil && m.Set.Parity != nil && m.State == "" {
		var more []Written
		more, err = m.protectWritten(ctx)
		all = append(all, more...)
	}
	return all, err
}

// folder writes parts into one folder, one after the other. While one goes to the
// disk and is read back, the next is filled.
func (m *Media) folder(ctx context.Context, folder string, list []int, fill Fill) (all []Written, err error) {
	if m.State != "" {
		return m.drive(ctx, folder, list, fill)
	}
	if len(list) > 0 || m.getsParity(folder) {
		if err := m.writeBeside(ctx, folder); err != nil {
			return nil, m.medium(cmp.Or(append(list, 0)[0], len(m.Set.Parts)+1), folder, err)
		}
	}
	var errs []error
	var behind errgroup.Group // what is left to do for the part before
	wait := func() {
		errs = append(errs, behind.Wait())
		behind = errgroup.Group{}
	}
	for _, k := range list {
		path := filepath.Join(folder, m.Set.PartName(k))
		if m.Set.Inside(k) && m.there(k, path) {
			wait() // what it leaves proves this one
		}
		kept, commit, ferr := m.kept(ctx, k, path), noCommit, error(nil)
		if kept == nil {
			commit, ferr = m.fill(ctx, k, path, fill)
		}
		wait()
		if ferr != nil {
			errs = append(errs, m.medium(k, path, ferr))
			if !ofMedium(ferr) {
				break
			}
			continue
		}
		behind.Go(func() error {
			w, err := kept, commit()
			if err == nil && w == nil {
				w, err = m.readBack(ctx, k, path)
			}
			if err == nil {
				all = append(all, *w)
				err = m.beside(ctx, folder, w)
			}
			return m.medium(k, path, err)
		})
	}
	if m.filling.Add(-1) == 0 {
		m.step(m.proving(), 0)
	}
	wait()
	return all, errors.Join(errs...)
}

// step tells what is done next.
func (m *Media) step(name string, total int64) {
	if m.Filling == "" {
		return
	}
	m.endStep()
	m.told = true
	m.Progress.Phase(name, total)
}

func (m *Media) endStep() {
	if m.told {
		m.told = false
		m.Progress.End()
	}
}

// proving is the step in which a part goes to its medium, and is proved to be there.
func (m *Media) proving() string {
	if m.NoReadBack {
		return "flushing to disk"
	}
	return "flushing to disk and reading back"
}

// noCommit is for a part that is on its medium already.
func noCommit() error { return nil }

// fill puts the small files and then the part onto a medium.
func (m *Media) fill(ctx context.Context, k int, path string, fill Fill) (commit func() error, err error) {
	if err := m.prologue(ctx, filepath.Dir(path)); err != nil {
		return nil, err
	}
	return fill(ctx, k, path)
}

// name is that of a part; those of parity follow those of data.
func (m *Media) name(k int) string {
	if n := len(m.Set.Parts); k > n {
		return m.Set.ParityName(k - n)
	}
	return m.Set.PartName(k)
}

// size is that of a part, in bytes.
func (m *Media) size(k int) int64 {
	if k > len(m.Set.Parts) {
		return m.Set.ParitySize()
	}
	return m.Set.Parts[k-1].Size
}

// Count is how many parts there are, with those of parity.
func (m *Media) Count() int {
	if m.Set.Parity == nil {
		return len(m.Set.Parts)
	}
	return len(m.Set.Parts) + m.Set.Parity.Parity
}

// prologue writes what every medium has before its part.
func (m *Media) prologue(ctx context.Context, folder string) error {
	set, err := m.Set.Encode()
	if err != nil {
		return err
	}
	if err := m.copyHead(ctx, folder); err != nil {
		return err
	}
	if old, err := parts.ReadFile(m.path(folder, parts.SetSuffix), parts.MaxSetSize); err == nil && string(old) == string(set) {
		return nil
	}
	return disk.WriteFile(m.path(folder, parts.SetSuffix), set)
}

func (m *Media) copyHead(ctx context.Context, folder string) error {
	path := m.path(folder, parts.HeadSuffix)
	if path == m.HeadPath() {
		return nil
	}
	there, err := parts.HashFile(ctx, path)
	if err == nil && there == m.headSum {
		return nil
	}
	return disk.WriteFrom(path, io.NewSectionReader(m.head, 0, m.Set.Head))
}

// finish brings the whole list onto the media that are there.
func (m *Media) finish(ctx context.Context, all []Written) error {
	if m.State != "" {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	done := make(map[string]bool)
	for _, w := range all {
		if folder := filepath.Dir(w.Path); !done[folder] {
			done[folder] = true
			if err := m.list(ctx, folder); err != nil {
				return err
			}
		}
	}
	return nil
}
