// Helms3 is what tests ask of Helm 3, many times in one process: `helm template NAME
// CHART` and `helm show chart CHART` with some of their flags. Unlike that of Helm 4 its
// command cannot be imported; this does what the command does, with the packages that do
// it. That both write the same is a test of package judge.
package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/postrender"

	"judges/answers"
)

func main() {
	answers.Serve(func(args []string, out io.Writer) error {
		command := strings.Join(args[:min(2, len(args))], " ")
		switch {
		case command == "show chart":
			return show(args[2:], out)
		case len(args) > 0 && args[0] == "template":
			return template(args[1:], out)
		}
		return fmt.Errorf("helms3 has no command %q", command)
	})
}

func configuration() *action.Configuration {
	return &action.Configuration{Log: func(string, ...any) {}}
}

func template(args []string, out io.Writer) error {
	client := action.NewInstall(configuration())
	client.DryRun, client.DryRunOption = true, "true"
	client.Replace, client.ClientOnly = true, true
	given, kubeVersion := &values.Options{}, ""
	flags := pflag.NewFlagSet("template", pflag.ContinueOnError)
	flags.StringSliceVarP(&given.ValueFiles, "values", "f", nil, "")
	flags.StringVar(&kubeVersion, "kube-version", "", "")
	flags.BoolVar(&client.SkipSchemaValidation, "skip-schema-validation", false, "")
	renderer := flags.String("post-renderer", "", "")
	rendererArgs := flags.StringArray("post-renderer-args", nil, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *renderer != "" {
		var err error
		if client.PostRenderer, err = postrender.NewExec(*renderer, *rendererArgs...); err != nil {
			return err
		}
	}
	if kubeVersion != "" {
		v, err := chartutil.ParseKubeVersion(kubeVersion)
		if err != nil {
			return err
		}
		client.KubeVersion = v
	}
	name, dir, err := client.NameAndChart(flags.Args())
	if err != nil {
		return err
	}
	settings := cli.New()
	client.ReleaseName, client.Namespace = name, settings.Namespace()
	all, err := given.MergeValues(getter.All(settings))
	if err != nil {
		return err
	}
	chart, err := loader.Load(dir)
	if err != nil {
		return err
	}
	if t := chart.Metadata.Type; t != "" && t != "application" {
		return fmt.Errorf("%s charts are not installable", t)
	}
	if err := action.CheckDependencies(chart, chart.Metadata.Dependencies); err != nil {
		return err
	}
	release, err := client.Run(chart, all)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, strings.TrimSpace(release.Manifest))
	for _, h := range release.Hooks {
		fmt.Fprintf(out, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	return nil
}

func show(args []string, out io.Writer) error {
	settings := cli.New()
	client := action.NewShowWithConfig(action.ShowChart, configuration())
	flags := pflag.NewFlagSet("show", pflag.ContinueOnError)
	flags.StringVar(&client.Version, "version", "", "")
	flags.StringVar(&settings.RepositoryConfig, "repository-config", "", "")
	flags.StringVar(&settings.RepositoryCache, "repository-cache", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path, err := client.LocateChart(flags.Arg(0), settings)
	if err != nil {
		return err
	}
	text, err := client.Run(path)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}
