package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bundle/bundle"
)

// registryFlags are those of every command that speaks to registries.
type registryFlags struct {
	mirrors       []string
	plainHTTP     []string
	insecure      []string
	caFile        string
	clientCert    string
	clientKey     string
	username      string
	passwordStdin bool
}

func (f *registryFlags) add(cmd *cobra.Command, who string) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.plainHTTP, "plain-http", nil, "speak HTTP without TLS to `HOST[:PORT]` (repeatable)")
	fl.StringArrayVar(&f.insecure, "insecure-skip-tls-verify", nil, "do not check the certificate of `HOST[:PORT]` (repeatable)")
	fl.StringVar(&f.caFile, "ca-file", "", "trust the certificate authorities in this PEM `FILE` too")
	fl.StringVar(&f.clientCert, "client-cert", "", "show servers that ask for a certificate the one in this PEM `FILE`; otherwise as certs.d of Podman and Docker has it")
	fl.StringVar(&f.clientKey, "client-key", "", "the key of --client-cert, a PEM `FILE`")
	fl.StringVar(&f.username, "username", "", "user `NAME` at "+who+"; otherwise as docker, podman or helm registry login left it")
	fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password for --username from standard input")
}

func (f *registryFlags) addMirrors(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.mirrors, "registry-mirror", nil,
		"`SOURCE=HOST[:PORT][/PREFIX]`: fetch images of SOURCE from that mirror or pull-through cache (repeatable)")
}

func (f *registryFlags) options() (bundle.RegistryOptions, error) {
	o := bundle.RegistryOptions{PlainHTTP: f.plainHTTP, InsecureSkipTLS: f.insecure, CAFile: f.caFile, ClientCert: f.clientCert, ClientKey: f.clientKey}
	for _, m := range f.mirrors {
		source, mirror, ok := strings.Cut(m, "=")
		if !ok || source == "" || mirror == "" {
			return o, &bundle.UsageError{
				What:   fmt.Sprintf("--registry-mirror %q: want SOURCE=HOST[:PORT][/PREFIX]", m),
				Advice: "for example --registry-mirror docker.io=mirror.example.com:5000/dockerhub",
			}
		}
		if o.Mirrors == nil {
			o.Mirrors = make(map[string]string)
		}
		o.Mirrors[source] = strings.TrimSuffix(mirror, "/")
	}
	return o, nil
}

// asked is the registry that a question is put to.
func asked(registry string) (bundle.Registry, error) {
	if registry == "" {
		return bundle.Registry{}, &bundle.UsageError{What: "no registry to ask", Advice: "give --registry HOST[:PORT][/PREFIX]"}
	}
	return bundle.ParseRegistry(registry)
}

// at are the options for one registry, which gets the credential that was given. pr is
// told when it does not answer; nil: nobody is.
func (f *registryFlags) at(cmd *cobra.Command, host string, pr bundle.Progress) (bundle.RegistryOptions, error) {
	o, err := f.options()
	if err != nil {
		return o, err
	}
	o.Waiting = told(pr)
	c, ok, err := f.credential(cmd.Context(), cmd.InOrStdin())
	if ok {
		o.Credentials = map[string]bundle.Credential{host: c}
	}
	return o, err
}

// credential reads --username and --password-stdin. ok is false when none was
// given.
func (f *registryFlags) credential(ctx context.Context, in io.Reader) (c bundle.Credential, ok bool, err error) {
	if f.username == "" && !f.passwordStdin {
		return c, false, nil
	}
	if f.username == "" || !f.passwordStdin {
		return c, false, &bundle.UsageError{What: "--username and --password-stdin go together", Advice: `printf %s "$PASSWORD" | bundle … --username NAME --password-stdin`}
	}
	line, err := readLine(ctx, in)
	if err != nil {
		return c, false, fmt.Errorf("password from standard input: %w", err)
	}
	c = bundle.Credential{Username: f.username, Password: strings.TrimRight(line, "\r\n")}
	if c.Password == "" {
		return c, false, &bundle.UsageError{What: "--password-stdin: standard input has no password", Advice: "in a script, the variable may not be set"}
	}
	return c, true, nil
}

// valuesFlags are helm's, under helm's names.
type valuesFlags struct {
	files          []string
	set, setString []string
}

func (f *valuesFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.files, "values", "f", nil, "values `FILE` for the chart, as helm's -f (repeatable)")
	fl.StringArrayVar(&f.set, "set", nil, "`KEY=VALUE`: set a value, as helm's --set (repeatable)")
	fl.StringArrayVar(&f.setString, "set-string", nil, "`KEY=VALUE`: set a string value, as helm's --set-string (repeatable)")
}

// chartFlags name one chart and the inputs to render it with.
type chartFlags struct {
	spec   bundle.ChartSpec
	values valuesFlags
	config string
	// notTaken is what the file of config has besides, when it is that of another tool.
	notTaken []string
}

// ofChart are the flags that say something of CHART.
var ofChart = []string{"repo", "version", "release-name", "namespace", "kube-version", "api-versions", "skip-tests", "values", "set", "set-string", "username", "password-stdin"}

// addConfig adds the flag for a file that lists charts.
func (f *chartFlags) addConfig(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "take the charts and images that this `FILE` lists, as for bundle export")
}

// all are the charts of the command line and of a configuration file, and the
// images that the file names beside them.
func (f *chartFlags) all(cmd *cobra.Command, reg *registryFlags, args []string) (specs []bundle.ChartSpec, named []string, err error) {
	if err := f.needed(cmd, args); err != nil {
		return nil, nil, err
	}
	if len(args) == 1 {
		spec, err := f.chart(cmd, reg, args[0])
		if err != nil {
			return nil, nil, err
		}
		specs = append(specs, spec)
	}
	if f.config == "" && len(args) == 0 {
		return nil, nil, &bundle.UsageError{What: "no chart is named", Advice: "name a chart, or a file that lists some with --config FILE"}
	}
	if f.config == "" {
		return specs, nil, nil
	}
	c, err := bundle.LoadConfig(cmd.Context(), f.config)
	if err != nil {
		return nil, nil, err
	}
	f.notTaken = c.NotTaken
	for _, im := range c.Images {
		named = append(named, im.Source)
	}
	return append(specs, c.Charts...), named, nil
}

// needed refuses flags that say something of a chart where none is named.
func (f *chartFlags) needed(cmd *cobra.Command, args []string) error {
	for _, name := range ofChart {
		if len(args) == 0 && cmd.Flags().Changed(name) {
			return &bundle.UsageError{
				What:   "--" + name + " is for CHART, and none is named",
				Advice: "name the chart; in a file for --config, each chart has its own",
			}
		}
	}
	return nil
}

func (f *chartFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.spec.Repo, "repo", "", "`URL` of the chart repository that has CHART")
	fl.StringVar(&f.spec.Version, "version", "", "chart `VERSION` (default the newest)")
	fl.StringVar(&f.spec.Release, "release-name", "", "render with this release `NAME` (default the chart's name)")
	fl.StringVarP(&f.spec.Namespace, "namespace", "n", "", "render for this `NAMESPACE` (default \"default\")")
	fl.StringVar(&f.spec.KubeVersion, "kube-version", "", "render for this Kubernetes `VERSION`: that of the isolated cluster (default "+bundle.DefaultKubeVersion+")")
	fl.StringArrayVar(&f.spec.APIVersions, "api-versions", nil, "render as if the cluster had this `GROUP/VERSION` too (repeatable)")
	fl.BoolVar(&f.spec.SkipTests, "skip-tests", false, "leave out what only helm test runs")
	f.values.add(cmd)
}

// chart completes the spec for the chart named ref, with the credential for
// its repository.
func (f *chartFlags) chart(cmd *cobra.Command, reg *registryFlags, ref string) (bundle.ChartSpec, error) {
	f.spec.Ref = ref
	f.spec.ValueFiles, f.spec.Set, f.spec.SetString = f.values.files, f.values.set, f.values.setString
	c, ok, err := reg.credential(cmd.Context(), cmd.InOrStdin())
	if err != nil {
		return f.spec, err
	}
	if ok && f.spec.Repo == "" {
		return f.spec, &bundle.UsageError{
			What:   "--username is for the chart repository of --repo",
			Advice: "for registries, log in with docker login or podman login",
		}
	}
	f.spec.Username, f.spec.Password = c.Username, c.Password
	return f.spec, nil
}

// created is the time that goes into the bundle: SOURCE_DATE_EPOCH (see
// reproducible-builds.org) where set, else zero for now.
func created() (time.Time, error) {
	s, ok := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !ok || s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, &bundle.UsageError{What: fmt.Sprintf("SOURCE_DATE_EPOCH %q: want seconds since 1970", s)}
	}
	return time.Unix(n, 0), nil
}
