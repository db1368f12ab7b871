package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bundle/bundle"
	"bundle/bundle/reports"
)

// shardFlags say that a run pushes blobs alone, and which.
type shardFlags struct {
	blobsOnly bool
	share     bundle.Share
	job       int
	image     string
	claim     string
}

// shareFlag is one share of several.
type shareFlag bundle.Share

// Set implements pflag.Value.
func (f *shareFlag) Set(s string) error {
	share, err := bundle.ParseShare(s)
	*f = shareFlag(share)
	return err
}

// String implements pflag.Value.
func (f *shareFlag) String() string { return bundle.Share(*f).String() }

// Type implements pflag.Value.
func (*shareFlag) Type() string { return "I/N" }

func (f *shardFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.blobsOnly, "blobs-only", false, "push blobs, and nothing that a client can see: the same command without it finishes")
	fl.Var((*shareFlag)(&f.share), "shard", "with --blobs-only, push share `I/N` of N about equal ones, for as many machines")
	fl.Var(numberFlag[int]{n: &f.job}, "shard-job", "push nothing: print a Kubernetes Job that runs this import in `N` pods at once, each with its share")
	fl.StringVar(&f.image, "shard-job-image", "", "`IMAGE` of bundle that the pods of --shard-job run")
	fl.StringVar(&f.claim, "shard-job-claim", "bundle", "`NAME` of the PersistentVolumeClaim that the pods of --shard-job find the bundle on")
}

// aboutCharts are the flags that a share has nothing to do with.
var aboutCharts = []string{
	"output-dir", "receipt", "receipt-key", "render", "render-secrets", "gitops", "environment", "pull-secret",
	"release-name", "namespace", "kube-version", "api-versions", "values", "set", "set-string", "no-record",
}

// check refuses flags that mean nothing together.
func (f *shardFlags) check(cmd *cobra.Command) error {
	if err := without(cmd, [][]string{append([]string{"blobs-only"}, aboutCharts...), append([]string{"shard-job", "blobs-only", "shard", "dry-run", "json"}, aboutCharts...)}); err != nil {
		return err
	}
	for _, pair := range [][2]string{{"shard", "blobs-only"}, {"shard-job-image", "shard-job"}, {"shard-job-claim", "shard-job"}} {
		if cmd.Flags().Changed(pair[0]) && !cmd.Flags().Changed(pair[1]) {
			return &bundle.UsageError{What: fmt.Sprintf("--%s without --%s", pair[0], pair[1]), Advice: fmt.Sprintf("give --%s too", pair[1])}
		}
	}
	return nil
}

// asked tells whether nothing is wanted but a Job.
func (*shardFlags) asked(cmd *cobra.Command) bool { return cmd.Flags().Changed("shard-job") }

// Flags that a Job does not hand on, and those whose files it takes along.
var (
	notInJob    = []string{"shard-job", "shard-job-image", "shard-job-claim", "progress", "quiet"}
	secretFlags = []string{"username", "password-stdin", "client-cert", "client-key"}
	publicFiles = []string{"key", "allowed-signers", "signature", "revoked", "ca-file"}
)

// printJob writes the Job that runs the import that was called.
func (f *shardFlags) printJob(cmd *cobra.Command, args []string) error {
	job := bundle.ShardJob{Shares: f.job, Image: f.image, Claim: f.claim, Paths: args, Files: make(map[string][]string)}
	var err error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch {
		case slices.Contains(notInJob, flag.Name):
		case slices.Contains(secretFlags, flag.Name):
			err = &bundle.UsageError{What: fmt.Sprintf("--%s is not written into a Job, where others read it", flag.Name), Advice: "the Job names a Secret, with the file that docker login writes"}
		case slices.Contains(publicFiles, flag.Name):
			job.Files[flag.Name] = valuesOf(flag)
		default:
			for _, v := range valuesOf(flag) {
				job.Args = append(job.Args, "--"+flag.Name+"="+v)
			}
		}
	})
	if err != nil {
		return err
	}
	text, err := job.Manifest(cmd.Context())
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

func valuesOf(flag *pflag.Flag) []string {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{flag.Value.String()}
}

// pushShare runs an import of blobs alone.
func pushShare(cmd *cobra.Command, path string, share bundle.Share, o *bundle.ImportOptions) error {
	report, err := bundle.ImportBlobs(cmd.Context(), path, share, *o)
	if report == nil {
		return err
	}
	return output(cmd, blobsJSON(report, err), func(v view) { printBlobs(v.err, report, err) }, nil, err)
}

func printBlobs(p paper, r *reports.Blobs, err error) {
	if r.DryRun {
		fmt.Fprintln(p, "dry run: nothing is pushed")
	}
	fmt.Fprintf(p, "bundle %s, created %s\n", r.ID, r.Created.Format(time.RFC3339))
	printTrust(p, r.Vouched)
	printParts(p, r.Parts)
	fmt.Fprintf(p, "share %d of %d: %s of %d\n", r.Index, r.Of, count(r.Blobs, "blob"), r.Total)
	if r.DryRun {
		fmt.Fprintf(p, "%s would be sent, %s is there already\n", size(r.Bytes.Sent), size(r.Bytes.Present))
	} else {
		fmt.Fprintf(p, "sent %s, mounted %s, there already %s\n", size(r.Bytes.Sent), size(r.Bytes.Mounted), size(r.Bytes.Present))
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(p, "warning: %s\n", text)
	}
	if err == nil && !r.DryRun {
		fmt.Fprintln(p, "no name of the registry has changed: when all shares are pushed, import without --blobs-only")
	}
}
