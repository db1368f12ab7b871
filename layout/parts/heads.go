package parts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The head is on every medium, and at the begin of the first part. Where one copy of
// it is damaged, another is read: which is right, the signature and the checksums
// inside tell, so whoever checks those asks for the next copy.

// A copyOfHead is a file with the head.
type copyOfHead struct {
	claim
	sum    string
	listed bool
	twins  []string // paths of files with the same content, this one among them
}

// takeHeads chooses which copy is read first: that which the list of checksums speaks
// for, or which most media have. The others, where they differ, are kept.
func (f *File) takeHeads(ctx context.Context, all []claim) error {
	all = slices.DeleteFunc(slices.Clone(all), func(c claim) bool { return c.score < all[0].score })
	if len(all) == 1 {
		f.take(isHead, all[0])
		return nil
	}
	var copies []*copyOfHead
	for _, c := range all {
		sum, err := HashFile(ctx, c.file.path)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			f.problems = append(f.problems, err)
			continue
		}
		if i := slices.IndexFunc(copies, func(x *copyOfHead) bool { return x.sum == sum }); i >= 0 {
			copies[i].twins = append(copies[i].twins, c.file.path)
			continue
		}
		copies = append(copies, &copyOfHead{c, sum, slices.Contains(f.lists[f.set.Name+HeadSuffix], sum), []string{c.file.path}})
	}
	if len(copies) == 0 {
		return nil
	}
	rank := func(x *copyOfHead) int {
		if x.listed {
			return len(all) + len(x.twins)
		}
		return len(x.twins)
	}
	slices.SortStableFunc(copies, func(a, b *copyOfHead) int { return cmp.Compare(rank(b), rank(a)) })
	f.take(isHead, copies[0].claim)
	for _, x := range copies[1:] {
		for _, path := range x.twins {
			f.problems = append(f.problems, &PartError{path, errors.New("not the same as " + copies[0].file.path)})
		}
		f.heads = append(f.heads, &extent{to: min(x.file.size, f.set.Head), path: x.file.path})
	}
	return nil
}

// NextHead has the head read from another file than before, and reports whether there
// is one.
func (f *File) NextHead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.headAt == len(f.otherHeads()) {
		return false
	}
	f.headAt++
	return true
}

// HeadFound says that the head which is read is right. Of media that come later, one
// that is the same is read.
func (f *File) HeadFound(ctx context.Context) error {
	if f.set == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if others := f.otherHeads(); f.headAt > 0 {
		first := f.firstHead()
		f.problems = append(f.problems, &PartError{first.path, fmt.Errorf("its begin is damaged; that of %s is right", others[f.headAt-1].path)})
	}
	var err error
	f.headSum, err = f.hashHead(ctx)
	return err
}

// findHead looks for the copy that is right, where that is known already.
func (f *File) findHead(ctx context.Context) error {
	f.headAt, f.headless = 0, false
	if f.headSum == "" {
		return nil
	}
	for ; f.headAt <= len(f.otherHeads()); f.headAt++ {
		sum, err := f.hashHead(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && sum == f.headSum {
			return nil
		}
		if x := f.firstHead(); f.headAt == 0 && x != nil {
			f.problems = append(f.problems, &PartError{x.path, errors.New("its begin is damaged")})
		}
	}
	f.headAt, f.headless = 0, true
	return nil
}

// hashHead is called with mu held.
func (f *File) hashHead(ctx context.Context) (string, error) {
	h, buf := sha256.New(), make([]byte, 256<<10)
	for at := int64(0); at < f.set.Head; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.held(buf[:min(int64(len(buf)), f.set.Head-at)], at)
		if n == 0 {
			return "", cmp.Or(err, io.ErrUnexpectedEOF)
		}
		h.Write(buf[:n])
		at += int64(n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// firstHead is the file that the head is read from as long as nothing is wrong.
func (f *File) firstHead() *extent {
	if len(f.extents) == 0 || f.extents[0].from > 0 {
		return nil
	}
	return f.extents[0]
}

// otherHeads are the files that have the head beside that.
func (f *File) otherHeads() []*extent {
	var all []*extent
	for _, x := range f.extents {
		if x.part == isHead && x != f.firstHead() {
			all = append(all, x)
		}
	}
	return append(all, f.heads...)
}
