package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

func newPostRender() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "postrender --map FILE",
		Short: "Rewrite references in manifests, as a post-renderer of Helm",
		Long: `Read manifests from standard input, rewrite exactly the references that the map
names, and write the result to standard output; not a byte besides them changes. The
map is rewrite.map, which import writes for each chart. Lines of it that matched
nothing are named on standard error.

Helm 3 runs this command, and hands it no hooks. Helm 4 runs a plugin of this name,
hooks included: HELM_PLUGINS names the folder helm4 that import writes. Since Helm 4
shows nobody what a post-renderer says, it is also written to postrender.log beside
the map, and to the terminal.`,
		Example: `  helm template app ./chart -f out/app/values.yaml | bundle postrender --map out/app/rewrite.map
  HELM_PLUGINS=out/helm4 helm upgrade --install app oci://registry.plant.local/charts/app -f out/app/values.yaml \
    --post-renderer bundle --post-renderer-args postrender --post-renderer-args --map=out/app/rewrite.map`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &bundle.UsageError{What: "no map", Advice: "give --map FILE: the rewrite.map that import wrote for the chart"}
			}
			if os.Getenv("HELM_PLUGIN_NAME") != "" {
				cmd.SetErr(newTeller(cmd.ErrOrStderr(), file))
			}
			unused, err := bundle.PostRender(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), file)
			for _, old := range unused {
				fmt.Fprintf(cmd.ErrOrStderr(), "bundle: %s of %s stands in none of the manifests\n", old, file)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&file, "map", "", "`FILE` with one line for each reference: old and new")
	return cmd
}

// A teller writes to standard error and, when there is something to tell, to where
// somebody sees it: Helm 4 drops what a post-renderer says, also when that fails.
type teller struct {
	log string
	to  []io.Writer
}

// newTeller takes away what an earlier run had to tell.
func newTeller(stderr io.Writer, mapFile string) *teller {
	t := &teller{log: filepath.Join(filepath.Dir(mapFile), "postrender.log"), to: []io.Writer{stderr}}
	os.Remove(t.log) //nolint:errcheck // mostly there is none
	return t
}

func (t *teller) Write(b []byte) (int, error) {
	if len(t.to) == 1 { // the process ends soon, and with it the files
		if f, err := os.OpenFile(t.log, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666); err == nil {
			t.to = append(t.to, f)
		}
		if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
			t.to = append(t.to, tty)
		}
	}
	for _, w := range t.to {
		w.Write(b) //nolint:errcheck // one that fails keeps nothing from the others
	}
	return len(b), nil
}
