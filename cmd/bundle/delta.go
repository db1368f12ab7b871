package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// baseFlags say what the other side has already.
type baseFlags struct {
	paths, keys []string
}

func (f *baseFlags) add(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.paths, "base", nil, "leave layers out that the other side has by the word of `FILE`: an earlier bundle, a part or the head of one,\nthe receipt of an import, or an inventory (repeatable)")
	fl.StringArrayVar(&f.keys, "base-key", nil, "want each --base signed by the public key in `FILE.pub` (repeatable; default: a base is a hint, and import finds out)")
}

func (f *baseFlags) into(ctx context.Context, o *bundle.ExportOptions) error {
	o.Bases = f.paths
	if len(f.keys) == 0 {
		return nil
	}
	if len(f.paths) == 0 {
		return &bundle.UsageError{What: "--base-key without a base", Advice: "give --base FILE too"}
	}
	var err error
	o.BaseTrust, err = bundle.LoadTrust(ctx, f.keys, "")
	return err
}

// printBases says what stays out, and on whose word.
func printBases(w paper, bases []reports.Base) {
	for _, b := range bases {
		word := "not checked who made it"
		if b.Fingerprint != "" {
			word = "signed by " + b.Fingerprint
		}
		them := "them"
		if b.Layers == 1 {
			them = "it"
		}
		fmt.Fprintf(w, "left out %s, %s: %s %s of %s has %s (%s, %s)\n",
			count(b.Layers, "layer"), size(b.Bytes), b.Kind, b.ID, b.Created.Format(time.RFC3339), them, b.Path, word)
	}
}

// printRequires says of a delta what it needs beside it.
func printRequires(w paper, r *reports.Requires) {
	if r == nil {
		return
	}
	fmt.Fprintf(w, "requires %s, %s: this is a delta, an import takes it where these are\n", count(len(r.Layers), "layer"), size(r.Bytes()))
	for _, b := range r.Bases {
		layers, bytes := r.Of(b.ID)
		fmt.Fprintf(w, "         %s, %s of %s\n", count(layers, "layer"), size(bytes), b)
	}
}
