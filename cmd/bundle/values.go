package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newValues() *cobra.Command {
	var (
		o        bundle.ValuesOptions
		chart    chartFlags
		reg      registryFlags
		registry string
		file     string
		names    string
	)
	cmd := &cobra.Command{
		Use:   "values [CHART] --registry HOST[:PORT][/PREFIX] [-o FILE]",
		Short: "Derive the values with which a chart pulls everything from a registry",
		Long: `Derive the values with which a chart pulls everything from a registry, proved by
rendering. No bundle is needed, and no network beyond reading the chart; the
images have to be there by other means. With --config, derive those of all charts
in that file.`,
		Example: `  bundle values ./chart --registry registry.plant.local:5000/apps -o values.yaml
  bundle values oci://registry.plant.local/charts/app --registry registry.plant.local -n production
  bundle values --config bundle.yaml --registry registry.plant.local -o values/`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if registry == "" {
				return &bundle.UsageError{What: "no registry to point to", Advice: "give --registry HOST[:PORT][/PREFIX]"}
			}
			var err error
			if o.Registry, err = bundle.ParseRegistry(registry); err != nil {
				return err
			}
			if o.Names, err = bundle.ParseNaming(names); err != nil {
				return err
			}
			specs, _, err := chart.all(cmd, &reg, args)
			if err != nil {
				return err
			}
			if o.RegistryOptions, err = reg.options(); err != nil {
				return err
			}
			pr := newProgress(cmd)
			o.RegistryOptions.Waiting = told(pr)
			return runValues(cmd, o, specs, file, chart.notTaken)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&registry, "registry", "", "point to `HOST[:PORT][/PREFIX]`")
	addNames(cmd, &names)
	fl.StringVar(&o.PullSecret, "pull-secret", "", "have pods pull with the secret `NAME`")
	fl.StringVarP(&file, "output", "o", "", "write the values to `FILE` (default standard output); for several charts, into this folder")
	chart.add(cmd)
	chart.addConfig(cmd)
	reg.addMirrors(cmd)
	reg.add(cmd, "the chart repository of --repo")
	return cmd
}

func runValues(cmd *cobra.Command, o bundle.ValuesOptions, specs []bundle.ChartSpec, file string, notTaken []string) error {
	st, serr := os.Stat(file)
	folder := len(specs) > 1 || serr == nil && st.IsDir()
	switch {
	case len(specs) == 0:
		return &bundle.UsageError{What: "no chart is named", Advice: "name a chart, or a file with charts with --config"}
	case len(specs) > 1 && file == "" && !asJSON(cmd):
		return &bundle.UsageError{What: "the values of several charts do not go into one stream", Advice: "give a folder with -o FOLDER, or --json"}
	}
	o.Charts = specs
	r, err := bundle.Values(cmd.Context(), o)
	if r == nil {
		return err
	}
	for _, c := range r.Charts {
		to := file
		if folder && file != "" {
			to = filepath.Join(file, c.Release+".yaml")
		}
		if err := writeValues(cmd, to, c.Values); err != nil {
			return err
		}
	}
	j := valuesJSON(r, err)
	j.Warnings = notTaken
	return output(cmd, j, func(v view) {
		printNotTaken(v.err, notTaken)
		for _, c := range r.Charts {
			printValues(v.err, c, r.Registry, o.PullSecret)
		}
	}, nil, err)
}

func printValues(p paper, c reports.ChartValues, registry, pullSecret string) {
	fmt.Fprintf(p, "%s: %s to %s, proved by rendering%s\n", c.Name+"-"+c.Version, pointing(c.Moved, false), registry, andMore(c.ChartReport))
	printChanged(p, c.ChartReport)
	printSecrets(p, c.ChartReport, pullSecret)
	if pullSecret != "" {
		fmt.Fprintln(p, "create it with")
		_ = p.command("  ", c.Kubectl)
	}
}

// writeValues writes to the file or, without one and without --json, to
// standard output.
func writeValues(cmd *cobra.Command, file string, values []byte) error {
	if file != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		return bundle.WriteFile(file, values)
	}
	if asJSON(cmd) {
		return nil
	}
	_, err := cmd.OutOrStdout().Write(values)
	return err
}

// addNames adds the flag for the names in the target registry.
func addNames(cmd *cobra.Command, names *string) {
	cmd.Flags().StringVar(names, "names", "full", "names in the registry, `full|host|flat`: org/app, ghcr.io/org/app or, for\nregistries that limit the depth of paths, ghcr.io--org--app")
	_ = cmd.RegisterFlagCompletionFunc("names", cobra.FixedCompletions([]string{"full", "host", "flat"}, cobra.ShellCompDirectiveNoFileComp))
}
