package main

import (
	"bufio"
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
	username      string
	passwordStdin bool
}

func (f *registryFlags) add(cmd *cobra.Command, who string) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.plainHTTP, "plain-http", nil, "speak HTTP without TLS to `HOST[:PORT]` (repeatable)")
	fl.StringArrayVar(&f.insecure, "insecure-skip-tls-verify", nil, "do not check the certificate of `HOST[:PORT]` (repeatable)")
	fl.StringVar(&f.caFile, "ca-file", "", "trust the certificate authorities in this PEM `FILE` too")
	fl.StringVar(&f.username, "username", "", "user `NAME` at "+who+"; otherwise as docker login or podman login left it")
	fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password for --username from standard input")
}

func (f *registryFlags) addMirrors(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.mirrors, "registry-mirror", nil,
		"fetch what is named `SOURCE=HOST[:PORT][/PREFIX]` from that mirror or pull-through cache (repeatable)")
}

func (f *registryFlags) options() (bundle.RegistryOptions, error) {
	o := bundle.RegistryOptions{PlainHTTP: f.plainHTTP, InsecureSkipTLS: f.insecure, CAFile: f.caFile}
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

// credential reads --username and --password-stdin. ok is false when none was
// given.
func (f *registryFlags) credential(in io.Reader) (c bundle.Credential, ok bool, err error) {
	if f.username == "" && !f.passwordStdin {
		return c, false, nil
	}
	if f.username == "" || !f.passwordStdin {
		return c, false, &bundle.UsageError{What: "--username and --password-stdin go together"}
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return c, false, fmt.Errorf("password from standard input: %w", err)
	}
	return bundle.Credential{Username: f.username, Password: strings.TrimRight(line, "\r\n")}, true, nil
}

// trustFlags are those of every command that reads a bundle.
type trustFlags struct {
	keys           []string
	allowedSigners string
	skip           bool
}

func (f *trustFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.keys, "key", nil, "trust the OpenSSH public key in `FILE.pub` (repeatable)")
	fl.StringVar(&f.allowedSigners, "allowed-signers", "", "trust the keys in this OpenSSH allowed_signers `FILE`")
	fl.BoolVar(&f.skip, "insecure-skip-signature", false, "do not check who made the bundle")
}

func (f *trustFlags) given() bool { return len(f.keys) > 0 || f.allowedSigners != "" || f.skip }

func (f *trustFlags) trust() (*bundle.Trust, error) {
	if f.skip {
		return bundle.TrustAnyone(), nil
	}
	return bundle.LoadTrust(f.keys, f.allowedSigners)
}

// valuesFlags are helm's, under helm's names.
type valuesFlags struct {
	files          []string
	set, setString []string
}

func (f *valuesFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.files, "values", "f", nil, "values `FILE` for the chart, as helm's -f (repeatable)")
	fl.StringArrayVar(&f.set, "set", nil, "set a value, as helm's --set (repeatable)")
	fl.StringArrayVar(&f.setString, "set-string", nil, "set a string value, as helm's --set-string (repeatable)")
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
