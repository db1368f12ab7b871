package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bundle/bundle"
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
		Use:   "values CHART --registry HOST[:PORT][/PREFIX] [-o FILE]",
		Short: "Derive the values with which a chart pulls everything from a registry",
		Long: `Derive the values with which a chart pulls everything from a registry, proved by
rendering. No bundle is needed, and no network beyond reading the chart; the
images have to be there by other means.`,
		Example: `  bundle values ./chart --registry registry.plant.local:5000/apps -o values.yaml
  bundle values oci://registry.plant.local/charts/app --registry registry.plant.local -n production`,
		Args: cobra.ExactArgs(1),
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
			if o.Chart, err = chart.chart(cmd, &reg, args[0]); err != nil {
				return err
			}
			if o.RegistryOptions, err = reg.options(); err != nil {
				return err
			}
			pr, err := newProgress(cmd)
			if err != nil {
				return err
			}
			o.RegistryOptions.Waiting = told(pr)
			report, err := bundle.Values(cmd.Context(), o)
			if report == nil {
				return err
			}
			if werr := writeValues(cmd, file, report.Values); werr != nil {
				return werr
			}
			return output(cmd, valuesJSON([]*bundle.ValuesReport{report}, err), func(v view) {
				fmt.Fprintf(v.err, "%s: %s to %s, proved by rendering%s\n", report.Name+"-"+report.Version, pointing(report.Moved, false), report.Registry, andMore(report.ChartReport))
				printChanged(v.err, report.ChartReport)
				printSecrets(v.err, report.ChartReport, o.PullSecret)
				if o.PullSecret != "" {
					fmt.Fprintln(v.err, "create it with")
					_ = v.err.command("  ", report.Kubectl)
				}
			}, nil, err)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&registry, "registry", "", "point to `HOST[:PORT][/PREFIX]`")
	addNames(cmd, &names)
	fl.StringVar(&o.PullSecret, "pull-secret", "", "have pods pull with the secret `NAME`")
	fl.StringVarP(&file, "output", "o", "", "write the values to `FILE` (default standard output)")
	chart.add(cmd)
	reg.addMirrors(cmd)
	reg.add(cmd, "the chart repository of --repo")
	return cmd
}

// writeValues writes to the file or, without one and without --json, to
// standard output.
func writeValues(cmd *cobra.Command, file string, values []byte) error {
	if file != "" {
		return os.WriteFile(file, values, 0o644)
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return nil
	}
	_, err := cmd.OutOrStdout().Write(values)
	return err
}

// addNames adds the flag for the names in the target registry.
func addNames(cmd *cobra.Command, names *string) {
	cmd.Flags().StringVar(names, "names", "full", "names in the registry, `full|host|flat`: org/app, ghcr.io/org/app or, for\nregistries that limit the depth of paths, ghcr.io--org--app")
}
