package bundle

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/nodes"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/page"
	"bundle/bundle/internal/serve"
	"bundle/bundle/reports"
)

// ServeOptions say which bundles are served, to whom, and where.
type ServeOptions struct {
	Trust     *Trust
	Names     Naming   // of the images, beside their names at the source
	Listen    string   // host:port; empty: 127.0.0.1:5000
	PlainHTTP bool     // without TLS
	TLSCert   string   // PEM file of the certificate and its chain; empty: a fresh self-signed one
	TLSKey    string   // PEM file of its key
	Hosts     []string // more names and addresses for a self-signed certificate
	Htpasswd  string   // file of those who may ask; empty: everybody

	Ready  func(*reports.Serve) // told once, when requests are answered
	Tell   func(line string)    // faults of bundles and connections
	Access func(line string)    // one line a request
}

// maxHtpasswd bounds the file of users, in bytes.
const maxHtpasswd = 1 << 20

// maxChain bounds a certificate with its chain, in bytes.
const maxChain = 1 << 20

// Serve answers the OCI distribution API and shows a page until ctx ends, which is no
// error. Before it listens, all that Open checks of each bundle has been checked, and no
// name stands for two contents. What no medium has, and no other bundle, is not found.
func Serve(ctx context.Context, paths []string, o ServeOptions) error {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:5000"
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	s := &serving{ServeOptions: o, report: &reports.Serve{Scheme: "https"}}
	var err error
	if s.bundles, s.paths, err = open.All(ctx, paths, o.Trust); err != nil {
		return err
	}
	for _, b := range s.bundles {
		defer b.Close()
	}
	if err := s.describe(); err != nil {
		return err
	}
	content := serve.Options{Names: o.Names, Policy: page.Policy, Tell: o.Tell, Access: o.Access}
	content.Page = func(w io.Writer) error {
		return page.Write(w, s.pages(), page.Options{Now: time.Now(), Server: s.report.Address})
	}
	if content.Users, err = s.users(ctx); err != nil {
		return err
	}
	h, err := serve.New(s.bundles, content)
	if err != nil {
		return err
	}
	l := serve.ListenOptions{Address: o.Listen, Tell: o.Tell}
	if l.TLS, err = s.tls(); err != nil {
		return err
	}
	ca, err := s.nodeCA(ctx)
	if err != nil {
		return err
	}
	l.Ready = func(addr string) {
		s.report.Address = addr
		s.report.NodeFiles = s.nodeConfig(addr, ca).Files()
		if o.Ready != nil {
			o.Ready(s.report)
		}
	}
	return serve.Listen(ctx, h, l)
}

// A serving is a server under way.
type serving struct {
	ServeOptions
	paths   []string
	bundles []*open.Bundle // one for each path
	report  *reports.Serve
}

// describe says of each bundle what it has.
func (s *serving) describe() error {
	for i, b := range s.bundles {
		served := reports.Served{Bundle: emit.About(s.paths[i], b), Vouched: b.Vouched, Charts: len(b.Record.Charts), Images: len(b.Record.Images)}
		if err := b.Lacking(nowhere(b.Blobs, s.bundles), nil); !errors.As(err, &served.Missing) && err != nil {
			return err
		}
		for _, d := range nowhere(b.Required(), s.bundles) {
			served.Lacks++
			served.LacksBytes += d.Size
		}
		s.report.Bundles = append(s.report.Bundles, served)
	}
	return nil
}

// nowhere lists the blobs that no bundle has.
func nowhere(blobs []ocispec.Descriptor, bundles []*open.Bundle) (lost []ocispec.Descriptor) {
	for _, d := range blobs {
		if !slices.ContainsFunc(bundles, func(b *open.Bundle) bool { return b.Has(d.Digest) }) {
			lost = append(lost, d)
		}
	}
	return lost
}

func (s *serving) users(ctx context.Context) (*serve.Users, error) {
	if s.Htpasswd == "" {
		return nil, nil
	}
	b, err := input.File(ctx, s.Htpasswd, maxHtpasswd)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return serve.ParseUsers(s.Htpasswd, b)
}

// tls is nil where none is wanted.
func (s *serving) tls() (*tls.Config, error) {
	switch {
	case (s.TLSCert == "") != (s.TLSKey == ""):
		return nil, &UsageError{What: "a certificate and its key go together", Advice: "give both --tls-cert and --tls-key"}
	case s.PlainHTTP && s.TLSCert != "":
		return nil, &UsageError{What: "a certificate is for TLS, and --plain-http is without", Advice: "drop the one or the other"}
	case s.PlainHTTP:
		s.report.Scheme = "http"
		return nil, nil
	case s.TLSCert != "":
		return serve.TLSFiles(s.TLSCert, s.TLSKey, s.Tell)
	}
	config, fresh, err := serve.SelfSigned(s.Listen, s.Hosts)
	s.report.Fingerprint, s.report.Certificate = fresh.Fingerprint, fresh.PEM
	return config, err
}

// nodeConfig has nodes ask for what is in the bundles, behind the host that it is from.
func (s *serving) nodeConfig(addr string, ca []byte) *nodes.Config {
	var moves []nodes.Move
	for _, b := range s.bundles {
		for _, im := range b.Record.Images {
			if ref, err := name.Parse(im.Reference); err == nil && ref.Host != name.LocalHost {
				moves = append(moves, nodes.Move{Host: ref.Host, Path: ref.Path, To: serve.Behind(ref.Host, ref.Path)})
			}
		}
	}
	behind := func(host string) (string, bool) { return serve.Behind(host, ""), true }
	return nodes.New(nodes.Registry{Host: serve.Reached(addr, s.Hosts), Plain: s.PlainHTTP, CA: ca, Asked: true}, behind, moves)
}

// nodeCA is what nodes have to trust: a fresh certificate, or the authority at the end
// of a chain that was given; nil where there is neither.
func (s *serving) nodeCA(ctx context.Context) ([]byte, error) {
	if s.TLSCert == "" {
		return s.report.Certificate, nil
	}
	text, err := input.File(ctx, s.TLSCert, maxChain)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return serve.Authority(text), nil
}

// pages are open bundles as the page shows them.
func (s *serving) pages() []page.Bundle {
	all := make([]page.Bundle, len(s.bundles))
	for i, b := range s.bundles {
		all[i] = page.Bundle{Path: s.paths[i], Size: b.Size, Record: b.Record, Signed: len(b.Signers) > 0, Checked: !b.SignatureSkipped && len(b.Signers) > 0, Signers: b.Signers}
	}
	return all
}

// Page shows a bundle that was inspected as one HTML document. d says what is new in it
// since an older one; nil: nothing is told of that.
func Page(r *reports.Inspect, d *reports.Diff) ([]byte, error) {
	b := page.Bundle{Path: r.Path, Size: r.Size, Record: r.Record, Signed: r.Signed, Checked: r.Checked, Signers: r.Signers}
	if !r.Checked {
		b.Signers = r.Claimed
	}
	if d != nil {
		b.Older, b.Changes = d.Old.Record, d.Changes
	}
	var doc bytes.Buffer
	if err := page.Write(&doc, []page.Bundle{b}, page.Options{Now: time.Now()}); err != nil {
		return nil, err
	}
	return doc.Bytes(), nil
}
