package chart

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"
	"sync"
	"text/template/parse"
	"time"

	helm "helm.sh/helm/v3/pkg/chart"
)

// Helm's engine does not let its callers replace template functions, so a
// chart for probing is rewritten instead. A call of a slow function keeps its
// arguments and becomes a call of a cheap one that yields a value of the same
// shape whatever arguments follow:
//
//	genPrivateKey "rsa"    →  coalesce "PEM" "rsa"
//	genCA "name" 365       →  dict "Cert" "PEM" "Key" "PEM" "name" 365
//
// coalesce returns its first non-empty argument, and dict takes any number of
// keys and values; both accept a piped argument at the end. The key material is
// a real certificate and key, made once per process, so templates that parse
// it work. The text of a template changes only at the names of these functions,
// found by parsing it; line numbers stay.
var stubFunctions = map[string]string{
	"genPrivateKey":            "coalesce %[1]s",
	"derivePassword":           `coalesce "stub-password"`,
	"bcrypt":                   `coalesce "$2a$10$stubstubstubstubstubsOeHWRZ8rYJvRCm9i6bNfYkOHvU6kQ2a"`,
	"htpasswd":                 `coalesce "stub:$2a$10$stubstubstubstubstubsOeHWRZ8rYJvRCm9i6bNfYkOHvU6kQ2a"`,
	"genCA":                    `dict "Cert" %[2]s "Key" %[1]s`,
	"genCAWithKey":             `dict "Cert" %[2]s "Key" %[1]s`,
	"genSelfSignedCert":        `dict "Cert" %[2]s "Key" %[1]s`,
	"genSelfSignedCertWithKey": `dict "Cert" %[2]s "Key" %[1]s`,
	"genSignedCert":            `dict "Cert" %[2]s "Key" %[1]s`,
	"genSignedCertWithKey":     `dict "Cert" %[2]s "Key" %[1]s`,
}

// stubs returns the chart with these calls replaced in every template, or nil
// when it makes none.
func (c *Chart) stubs() *helm.Chart {
	c.stubOnce.Do(func() {
		h := clone(c.helm)
		if stubTree(h) {
			c.stubbed = h
		}
	})
	return c.stubbed
}

func stubTree(h *helm.Chart) (changed bool) {
	templates := make([]*helm.File, len(h.Templates))
	for i, f := range h.Templates {
		templates[i] = f
		if text, ok := stubTemplate(f.Name, string(f.Data)); ok {
			templates[i] = &helm.File{Name: f.Name, Data: []byte(text)}
			changed = true
		}
	}
	h.Templates = templates
	for _, dep := range h.Dependencies() {
		if stubTree(dep) {
			changed = true
		}
	}
	return changed
}

// stubTemplate rewrites one template; ok is false when there is nothing to
// rewrite or the text does not parse.
func stubTemplate(name, text string) (rewritten string, ok bool) {
	candidate := false
	for f := range stubFunctions {
		candidate = candidate || strings.Contains(text, f)
	}
	if !candidate {
		return "", false
	}
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		return "", false
	}
	var calls []*parse.IdentifierNode
	for _, t := range trees {
		if t.Root != nil {
			calls = append(calls, stubCalls(t.Root, nil)...)
		}
	}
	// From the end, so that earlier offsets stay right.
	sort.Slice(calls, func(i, j int) bool { return calls[i].Pos > calls[j].Pos })
	rewritten = text
	for _, id := range calls {
		start, end := int(id.Pos), int(id.Pos)+len(id.Ident)
		if end > len(text) || text[start:end] != id.Ident {
			return "", false // positions are not what they were thought to be
		}
		rewritten = rewritten[:start] + stubCall(id.Ident) + rewritten[end:]
	}
	return rewritten, len(calls) > 0
}

// stubCalls collects the calls of stubbed functions below a node.
func stubCalls(n parse.Node, calls []*parse.IdentifierNode) []*parse.IdentifierNode {
	branch := func(b *parse.BranchNode) {
		calls = stubCalls(b.Pipe, calls)
		calls = stubCalls(b.List, calls)
		if b.ElseList != nil {
			calls = stubCalls(b.ElseList, calls)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, c := range n.Nodes {
			calls = stubCalls(c, calls)
		}
	case *parse.ActionNode:
		calls = stubCalls(n.Pipe, calls)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			calls = stubCalls(n.Pipe, calls)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			calls = stubCalls(cmd, calls)
		}
	case *parse.CommandNode:
		if id, ok := n.Args[0].(*parse.IdentifierNode); ok && stubFunctions[id.Ident] != "" {
			calls = append(calls, id)
		}
		for _, arg := range n.Args {
			calls = stubCalls(arg, calls)
		}
	case *parse.ChainNode:
		calls = stubCalls(n.Node, calls)
	}
	return calls
}

func stubCall(function string) string {
	key, cert := stubKeyPair()
	f := stubFunctions[function]
	if !strings.Contains(f, "%") {
		return f
	}
	if strings.Contains(f, "%[2]s") {
		return fmt.Sprintf(f, strconv.Quote(key), strconv.Quote(cert))
	}
	return fmt.Sprintf(f, strconv.Quote(key))
}

// stubKeyPair is one key and self-signed certificate per process, as PEM.
var stubKeyPair = sync.OnceValues(func() (key, cert string) {
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		panic(err) // nor does P-256 marshalling
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stub"},
		NotBefore: now, NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	return encode("EC PRIVATE KEY", der), encode("CERTIFICATE", signed)
})
