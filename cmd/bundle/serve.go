package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bundle/bundle"
	"bundle/bundle/reports"
)

func newServe() *cobra.Command {
	var (
		trust   trustFlags
		o       bundle.ServeOptions
		names   string
		verbose bool
		nodes   bool
	)
	cmd := &cobra.Command{
		Use:   "serve BUNDLE|FOLDER… --key FILE.pub",
		Short: "Serve bundles as a read-only registry",
		Long: `Serve bundles as a read-only registry, straight from their files, until it is
interrupted: for nodes and labs that have none yet, and to fill one from. Images have
the names that an import without prefix gives them, and those of their source, as
HOST/PATH or as containerd asks a mirror (?ns=HOST); charts are below charts/. At / there
is a page for people. Of a bundle in parts, name all media or the folder that has them;
of a delta, name the older bundle too.

It listens on this machine only, unless --listen says otherwise, and with a fresh
self-signed certificate, unless there are --tls-cert and --tls-key. Damage that is found
while a layer is sent breaks that response, and the layer is not served any more.

--print-node-config prints to standard output what makes the container runtimes of nodes
pull from here by the names of the source: each file after its name, with where it goes
and what to restart. With a fresh certificate, that is another at each start.

A socket that systemd hands over goes before --listen; /healthz and /metrics are for
programs.`,
		Example: `  bundle serve app.bundle.tar --key release-key.pub
  bundle serve app.bundle.tar other.bundle.tar --key release-key.pub --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem --htpasswd users`,
		Args:        cobra.MinimumNArgs(1),
		Annotations: map[string]string{graceKey: "12s"},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err = without(cmd, [][]string{{"plain-http", "tls-cert", "tls-key", "tls-host"}, {"tls-cert", "tls-host"}}); err != nil {
				return err
			}
			if o.Trust, err = trust.trust(cmd.Context()); err != nil {
				return err
			}
			if o.Names, err = bundle.ParseNaming(names); err != nil {
				return err
			}
			say := view{err: paper{plainText{cmd.ErrOrStderr()}, 0}}.err
			o.Tell = func(line string) { fmt.Fprintln(say, "bundle: "+line) }
			if verbose {
				o.Access = func(line string) { fmt.Fprintln(say, line) }
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			var werr error
			o.Ready = func(r *reports.Serve) {
				config := func(w io.Writer) {
					if nodes {
						printNodes(w, r)
					}
				}
				werr = output(cmd, serveJSON(r), func(v view) { config(v.out); printServe(v.err, r, o) }, config, nil)
				if werr = errors.Join(werr, lost(cmd.OutOrStdout())); werr != nil {
					cancel() // who started it does not hear where it listens
				}
			}
			if err := bundle.Serve(ctx, args, o); err != nil && werr == nil {
				return err
			}
			return werr
		},
	}
	trust.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&o.Listen, "listen", "127.0.0.1:5000", "listen on `HOST:PORT`; 0.0.0.0 is all of this machine")
	fl.StringVar(&o.TLSCert, "tls-cert", "", "show clients the certificate in this PEM `FILE`, with its chain; it is read again when it changes")
	fl.StringVar(&o.TLSKey, "tls-key", "", "the key of --tls-cert, a PEM `FILE`")
	fl.StringArrayVar(&o.Hosts, "tls-host", nil, "`HOST` by which clients reach this machine, for the self-signed certificate (repeatable)")
	fl.BoolVar(&o.PlainHTTP, "plain-http", false, "serve without TLS")
	fl.StringVar(&o.Htpasswd, "htpasswd", "", "answer only the users in this `FILE`, as htpasswd -B makes it")
	fl.StringVar(&names, "names", "full", "name images by `full` path, by host and path, or flat")
	fl.BoolVar(&nodes, "print-node-config", false, "print files for containerd, CRI-O, k3s, RKE2 and OpenShift, and serve")
	fl.BoolVar(&verbose, "verbose", false, "print a line for each request")
	return cmd
}

func printServe(w paper, r *reports.Serve, o bundle.ServeOptions) {
	for _, b := range r.Bundles {
		fmt.Fprintf(w, "%s: id %s, %s, %s\n", b.Bundle.Path, b.Bundle.ID, count(b.Charts, "chart"), count(b.Images, "image"))
		printTrust(w, b.Vouched)
		if b.Lacks > 0 {
			fmt.Fprintf(w, "warning: it is a delta, and %s (%s) of its images are in no bundle here: they are not found; name the older bundle too\n", count(b.Lacks, "layer"), size(b.LacksBytes))
		}
		if b.Missing != nil {
			fmt.Fprintf(w, "warning: %v\nlayers that lie there are not found: name all media at once\n", b.Missing)
		}
	}
	if r.Fingerprint != "" {
		fmt.Fprintf(w, "certificate with SHA-256 fingerprint %s\n%s", r.Fingerprint, r.Certificate)
	}
	if o.PlainHTTP && o.Htpasswd != "" {
		fmt.Fprintln(w, "warning: without TLS, passwords can be read on the way")
	}
	fmt.Fprintf(w, "serving on %s://%s\n", r.Scheme, r.Address)
}

// printNodes prints the files as a stream, each after a line with its name.
func printNodes(w io.Writer, r *reports.Serve) {
	for _, f := range r.NodeFiles {
		where := ""
		if f.To != "" {
			where = ", to " + f.To
		}
		fmt.Fprintf(w, "==> %s%s <==\n%s\n", f.Path, where, f.Content)
	}
}

// A jsonServe is printed when requests are answered.
type jsonServe struct {
	Address     string       `json:"address"`               // host:port that is listened on
	Scheme      string       `json:"scheme"`                // http or https
	Fingerprint string       `json:"fingerprint,omitempty"` // SHA-256 of a fresh certificate
	Certificate string       `json:"certificate,omitempty"` // a fresh certificate, PEM
	Bundles     []jsonServed `json:"bundles"`
	NodeFiles   []jsonNode   `json:"nodeFiles"` // by which nodes pull from here what they know by its source
}

// A jsonNode is a file that the container runtime of a node needs.
type jsonNode struct {
	Path    string `json:"path"`   // a name for it
	GoesTo  string `json:"goesTo"` // where it goes on the node; empty: it is applied to the cluster
	Then    string `json:"then"`   // what to do when it is there
	Content string `json:"content"`
}

// A jsonServed is one bundle that is served.
type jsonServed struct {
	Bundle           jsonBundle   `json:"bundle"`
	Signers          []jsonSigner `json:"signers"`
	SignatureSkipped bool         `json:"signatureSkipped"` // nobody's word was asked for
	Lacks            int          `json:"lacks"`            // layers that a delta leaves out, and that are in no bundle here: they are not found

	Missing *reports.MissingError `json:"missing,omitempty"` // parts on no medium that was named: what is in them is not found
}

func serveJSON(r *reports.Serve) *jsonServe {
	j := &jsonServe{Address: r.Address, Scheme: r.Scheme, Fingerprint: r.Fingerprint, Certificate: string(r.Certificate), NodeFiles: []jsonNode{}}
	for _, f := range r.NodeFiles {
		j.NodeFiles = append(j.NodeFiles, jsonNode{f.Path, f.To, f.Then, string(f.Content)})
	}
	for _, b := range r.Bundles {
		j.Bundles = append(j.Bundles, jsonServed{aboutBundle(b.Bundle, 0), jsonSigners(b.Signers, true), b.SignatureSkipped, b.Lacks, b.Missing})
	}
	return j
}
