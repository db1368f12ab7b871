package main

import (
	"github.com/spf13/cobra"

	"bundle/bundle"
)

func newPostRender() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "postrender --map FILE",
		Short: "Rewrite references in manifests, as a post-renderer of Helm",
		Long: `Read manifests from standard input, rewrite exactly the references that the map
names, and write the result to standard output. The map is rewrite.map, which
import writes for each chart. Helm v3 hands no hooks to post-renderers.`,
		Example: `  helm install app oci://registry.plant.local/charts/app -f values.yaml \
    --post-renderer bundle --post-renderer-args postrender --post-renderer-args --map=rewrite.map`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return &bundle.UsageError{What: "no map", Advice: "give --map FILE: the rewrite.map that import wrote for the chart"}
			}
			return bundle.PostRender(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), file)
		},
	}
	cmd.Flags().StringVar(&file, "map", "", "`FILE` with one line for each reference: old and new")
	return cmd
}
