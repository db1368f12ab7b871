package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// setFlags are those of every command that writes a bundle in parts.
type setFlags struct {
	outputs    []string
	size       string
	parts      []int
	swap       bool
	state      string
	noReadBack bool
	force      bool
	parity     int
	stem       string // file name that a single output gave
}

func (f *setFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.size, "split-size", "", "cut the bundle into parts of at most this `SIZE`: 4G, or fat32, cd, bd25, bd50, bd100 (with the other flags for parts: fat32)")
	fl.IntSliceVar(&f.parts, "part", nil, "write part `K` and no other, for one medium at a time without a terminal; those of parity come last (repeatable)")
	fl.BoolVar(&f.swap, "swap", false, "write one part to a medium, and ask for the next one")
	fl.StringVar(&f.state, "state", "", "with --part and --swap: keep what goes from one medium to the next in this `FOLDER` (default the current one)")
	fl.Var(numberFlag[int]{&f.parity, 255}, "parity", "add `K` parts of parity: any K of all parts may be lost then")
	fl.BoolVar(&f.noReadBack, "no-read-back", false, "do not read parts back from their media: what is compared is in memory")
}

// given reports whether a bundle is to be cut.
func (f *setFlags) given() bool {
	return f.size != "" || len(f.parts) > 0 || f.swap || f.parity > 0 || len(f.outputs) > 1
}

// options completes what the flags say; nil where there is one file.
func (f *setFlags) options(cmd *cobra.Command) (*bundle.SetOptions, error) {
	if !f.given() {
		if f.state != "" || f.noReadBack {
			return nil, &bundle.UsageError{What: "--state and --no-read-back are for bundles in parts", Advice: "give --split-size too"}
		}
		return nil, nil
	}
	o := &bundle.SetOptions{Only: f.parts, State: f.state, NoReadBack: f.noReadBack, Parity: f.parity, Folders: f.outputs, Force: f.force}
	for _, k := range f.parts {
		if k < 1 {
			return nil, &bundle.UsageError{What: fmt.Sprintf("--part %d: parts are numbered from 1 on", k), Advice: "without --part, all of them are written"}
		}
	}
	if len(o.Folders) > 1 {
		for _, folder := range o.Folders {
			if st, err := os.Stat(folder); folder == bundle.StreamOutput || err == nil && !st.IsDir() {
				return nil, &bundle.UsageError{What: "-o " + folder + " is no folder", Advice: "with several, each -o is a folder for parts"}
			}
		}
	}
	if len(o.Folders) == 1 {
		if st, err := os.Stat(o.Folders[0]); o.Folders[0] == bundle.StreamOutput || err != nil || !st.IsDir() {
			if o.Folders[0] == bundle.StreamOutput {
				return nil, &bundle.UsageError{What: "a stream has no parts", Advice: "pipe it into split(1): import reads what that makes"}
			}
			if !strings.HasSuffix(o.Folders[0], string(filepath.Separator)) {
				f.stem = filepath.Base(o.Folders[0])
				o.Folders[0] = filepath.Dir(o.Folders[0])
			}
		}
	}
	if f.size != "" {
		size, ok := bundle.PartSizes()[strings.ToLower(f.size)]
		if !ok {
			var n bytesFlag
			if err := n.Set(f.size); err != nil {
				return nil, &bundle.UsageError{
					What:   fmt.Sprintf("--split-size %q: %v", f.size, err),
					Advice: "or the name of a medium: " + strings.Join(slices.Sorted(maps.Keys(bundle.PartSizes())), ", "),
				}
			}
			size.Bytes = int64(n)
		}
		o.Size = size
	}
	if f.swap {
		in, ok := cmd.InOrStdin().(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return nil, &bundle.UsageError{What: "--swap asks for media, and there is no terminal", Advice: "write one part at a time with --part K"}
		}
		o.Swap, o.Outline = swapper(in, cmd.ErrOrStderr()), outliner(cmd.ErrOrStderr())
	}
	return o, nil
}

// into completes the options of an export.
func (f *setFlags) into(cmd *cobra.Command, o *bundle.ExportOptions) (err error) {
	if len(f.outputs) == 1 {
		o.Output = f.outputs[0]
	}
	if o.Set, err = f.options(cmd); o.Set != nil {
		o.Output = f.stem
	}
	return err
}

// outliner says how many media there have to be, and how large.
func outliner(out io.Writer) func(bundle.Outline) {
	return func(o bundle.Outline) {
		w := paper{plainText{out}, columns(out)}
		what := count(o.Parts, "part")
		if o.Parity > 0 {
			what += fmt.Sprintf(" and %d of parity", o.Parity)
		}
		fmt.Fprintf(w, "%s: %s, one after the other at %s, with room for %s each\n", what, media(o.Parts+o.Parity), o.Folder, size(o.Room))
		if o.Written > 0 {
			fmt.Fprintf(w, "%d of them are written already\n", o.Written)
		}
		if o.Scratch > 0 {
			fmt.Fprintf(w, "until the last is written, parity takes up to %s in %s\n", size(o.Scratch), o.State)
		}
	}
}

// media counts what has no regular plural.
func media(n int) string {
	if n == 1 {
		return "1 medium"
	}
	return fmt.Sprintf("%d media", n)
}

// swapper asks for the next medium, and waits for Enter.
func swapper(in io.Reader, out io.Writer) func(context.Context, bundle.Swap) error {
	lines := bufio.NewReader(in)
	return func(ctx context.Context, s bundle.Swap) error {
		w := paper{plainText{out}, columns(out)}
		if s.Failed != nil {
			fmt.Fprintf(w, "\n%v\n", s.Failed)
		} else if s.Done != "" {
			fmt.Fprintf(w, "\n%s is %s: remove the medium\n", s.Done, proof(s.Cached))
		}
		fmt.Fprintf(w, "next is part %d of %d, %s, which takes %s\n", s.Number, s.Of, s.Next, size(s.Size))
		fmt.Fprintf(w, "insert its medium at %s and press Enter: ", s.Folder)
		err := enter(ctx, lines)
		if err == io.EOF {
			fmt.Fprintln(w)
			return &endedError{fmt.Sprintf("ended before part %d of %d was written", s.Number, s.Of)}
		}
		return err
	}
}

// endedError is somebody's answer to go no further.
type endedError struct{ what string }

func (e *endedError) Error() string { return e.what }

// Fault says how to go on.
func (e *endedError) Fault() (bundle.Kind, string) {
	return bundle.Failed, "what is written stays: the same command goes on with that part"
}

// enter waits for the key, or for ctx.
func enter(ctx context.Context, lines *bufio.Reader) error {
	done := make(chan error, 1)
	go func() { // it ends with the process: a terminal cannot be asked to give up reading
		_, err := lines.ReadString('\n')
		done <- err
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		return err
	}
}

func newSplit() *cobra.Command {
	var f setFlags
	cmd := &cobra.Command{
		Use:   "split BUNDLE --split-size SIZE [-o FOLDER…]",
		Short: "Cut a bundle into parts, for media that are too small",
		Long: `Cut a bundle into parts, as export --split-size does. The bundle stays as it is,
and the parts joined with cat are the bundle again, byte for byte.

Several folders get parts in turn, and at once. Each part is read back from its
medium and compared before its checksum goes into BUNDLE.sha256 beside it.

Parts of another bundle, or of other sizes, that are there under its name are
replaced only with --force: they go into the folder BUNDLE.replaced beside it, and are
removed when all new parts are written. On a medium that has no room for both, they are
removed before, which is said. What is of no bundle is never replaced.`,
		Example: `  bundle split app.bundle.tar --split-size fat32 -o /media/a -o /media/b
  bundle split app.bundle.tar --split-size bd25 --swap -o /media/disc
  bundle split app.bundle.tar --split-size bd25 --part 2 -o /media/disc`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.outputs) == 0 {
				f.outputs = []string{filepath.Dir(args[0])}
			}
			if f.size == "" {
				f.size = "fat32"
			}
			o, err := f.options(cmd)
			if err != nil {
				return err
			}
			if f.stem != "" {
				return &bundle.UsageError{What: "-o " + f.stem + " is no folder", Advice: "parts are called like the bundle; -o " + f.stem + "/ makes the folder"}
			}
			pr := newProgress(cmd)
			report, err := bundle.Split(cmd.Context(), args[0], *o, pr)
			if report == nil {
				return err
			}
			return output(cmd, report, func(v view) {
				printRemoved(v.err, report.Removed)
				printWritten(v.err, report.Parts, report.Count)
			}, nil, err)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.force, "force", false, "replace parts of another bundle, or of other sizes, that are there under its name")
	cmd.Flags().StringArrayVarP(&f.outputs, "output", "o", nil, "write parts into `FOLDER` (repeatable: in turn; default that of the bundle)")
	return cmd
}

// printRemoved says what had to go.
func printRemoved(w io.Writer, list []string) {
	if len(list) > 0 {
		fmt.Fprintf(w, "replaced: what lay there under this name is removed, %s: %s\n", count(len(list), "file"), strings.Join(list, ", "))
	}
}

// proof is what was done with parts on their media.
func proof(cached bool) string {
	if cached {
		return "written, and not read back"
	}
	return "written and read back"
}

// printWritten says which parts are on their media.
func printWritten(w io.Writer, list []reports.Written, of int) {
	cached := false
	for _, p := range list {
		cached = cached || p.FromCache
		kept := ""
		if p.Kept {
			kept = ", there already"
		}
		fmt.Fprintf(w, "  %s: %s%s\n", p.Path, size(p.Size), kept)
	}
	if len(list) > 0 {
		fmt.Fprintf(w, "%d of %d parts are %s; once unmounted, the media are safe to remove\n", len(list), of, proof(cached))
	}
}

// nextMedium asks for another medium of a bundle in parts. kept says that media are
// kept in a scratch folder.
func nextMedium(in io.Reader, out io.Writer, kept bool) func(context.Context, *reports.MissingError) error {
	lines := bufio.NewReader(in)
	var before *reports.MissingError
	return func(ctx context.Context, m *reports.MissingError) error {
		w := paper{plainText{out}, columns(out)}
		fmt.Fprintf(w, "\n%v\n", m)
		if before != nil && slices.Equal(m.Parts, before.Parts) && m.Bytes == before.Bytes && m.Any == before.Any && m.Next == before.Next {
			fmt.Fprint(w, "the medium that is there brought nothing new\n")
		}
		before = m
		for _, line := range m.Problems {
			fmt.Fprintf(w, "this medium is of no use: %s\n", line)
		}
		if len(m.Cut) > 0 && !kept {
			fmt.Fprintf(w, "a layer of %s is cut, and is sent piece by piece: part %d is the next for that\n", strings.Join(m.Cut, ", "), m.Next)
		}
		if m.Any > 0 && (kept || m.Any < len(m.Parts)) {
			with := " with --scratch FOLDER"
			if kept {
				with = ""
			}
			fmt.Fprintf(w, "thanks to parity, any %d more will do%s\n", m.Any, with)
		}
		fmt.Fprint(w, "nothing is open on the medium (Ctrl-C ends; the same command goes on later)\n")
		fmt.Fprint(w, "insert the next one and press Enter: ")
		err := enter(ctx, lines)
		if err == io.EOF {
			fmt.Fprintln(w)
			return m
		}
		return err
	}
}

func newProtect() *cobra.Command {
	var (
		o      bundle.ProtectOptions
		amount string
	)
	cmd := &cobra.Command{
		Use:   "protect BUNDLE|FOLDER… --parity K|N%",
		Short: "Add parity to a bundle, so that it survives lost media and bad sectors",
		Long: `Add parity to a bundle. Of one in parts, as many parts may be lost then as there
is parity, whichever they are. One in a single file is cut into 20 columns in
thought, and survives as many runs of bad sectors.

The bundle is checked first, every byte, and is not changed. Whether to believe
who signed it is not asked here. Another bundle in parts of its name in FOLDER is
replaced only with --force.`,
		Example: `  bundle protect /media/a /media/b --parity 1 -o /media/c
  bundle protect app.bundle.tar --parity 10%`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, percent := strings.CutSuffix(amount, "%")
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 || n > 255 {
				return &bundle.UsageError{What: fmt.Sprintf("--parity %q", amount), Advice: "want how many parts may be lost, or a percentage: 2 or 10%"}
			}
			if o.Parity = n; percent {
				o.Parity, o.Percent = 0, n
			}
			o.More = args[1:]
			pr := newProgress(cmd)
			r, err := bundle.Protect(cmd.Context(), args[0], o, pr)
			if err != nil {
				return err
			}
			return output(cmd, r, func(v view) {
				w := v.err
				printRemoved(w, r.Removed)
				for _, p := range r.Parts {
					fmt.Fprintf(w, "  %s: %s\n", p.Path, size(p.Size))
				}
				fmt.Fprintf(w, "%s: any %d of %s may be lost\n", r.Path, r.Parity, count(r.Data+r.Parity, "column"))
			}, nil, nil)
		},
	}
	cmd.Flags().StringVar(&amount, "parity", "", "survive the loss of `K` parts, or of that many percent")
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace parts of another bundle that are there under its name")
	cmd.Flags().StringArrayVarP(&o.Folders, "output", "o", nil, "write parity into `FOLDER` (repeatable: in turn; default where the bundle is)")
	return cmd
}

func newRepair() *cobra.Command {
	var o bundle.RepairOptions
	cmd := &cobra.Command{
		Use:   "repair BUNDLE|FOLDER… -o FOLDER",
		Short: "Write lost and damaged parts of a protected bundle again",
		Long: `Write the parts of a protected bundle that are lost or damaged into a folder, byte
for byte as they were. What is there is only read. The result is proved by the
checksums inside the bundle before it is written. A file that is right already stays;
one with other content is replaced only with --force, and what is repaired never.`,
		Example: `  # Of parts on media, one lost; of a single file, where it cannot be read.
  bundle repair /media/a /media/c -o fixed
  bundle repair app.bundle.tar -o fixed`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Folder == "" {
				return &bundle.UsageError{What: "no folder for what is repaired", Advice: "give -o FOLDER: nothing is repaired in place"}
			}
			pr := newProgress(cmd)
			o.More = args[1:]
			r, err := bundle.Repair(cmd.Context(), args[0], o, pr)
			if r == nil {
				return err
			}
			return output(cmd, r, func(v view) { printRepair(v.err, r) }, nil, err)
		},
	}
	cmd.Flags().BoolVar(&o.Force, "force", false, "replace files of those names in FOLDER, if they are of a bundle")
	cmd.Flags().StringVarP(&o.Folder, "output", "o", "", "write repaired parts into this `FOLDER`")
	return cmd
}

func printRepair(w io.Writer, r *reports.Repair) {
	for _, d := range r.Damage {
		switch {
		case d.Missing && d.Path == "":
			fmt.Fprintf(w, "lost: %s\n", d.Name)
		case d.Missing:
			fmt.Fprintf(w, "cut short: %s, %s\n", d.Name, d.Path)
		default:
			fmt.Fprintf(w, "damaged: %s, %s, in %s of 1 MiB\n", d.Name, d.Path, count(len(d.Blocks), "block"))
		}
	}
	for _, p := range r.Parts {
		kept := "as it was"
		if p.Kept {
			kept = "there already"
		}
		fmt.Fprintf(w, "  %s: %s, %s\n", p.Path, size(p.Size), kept)
	}
	if len(r.Damage) == 0 {
		fmt.Fprintf(w, "%s: nothing is lost or damaged\n", r.Path)
	}
}
