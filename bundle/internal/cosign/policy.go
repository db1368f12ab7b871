package cosign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	yaml "gopkg.in/yaml.v3"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/input"
)

// A Policy says which keys may sign which images. The first rule that matches an image
// decides; an image that none matches is refused.
//
//	images:
//	  - match: ghcr.io/acme/**       # * is within a part of the path, ** any number of parts
//	    keys: [acme.pub, acme-2.pub] # PEM files beside the policy; any one of them
//	  - match: docker.io/library/*
//	    keys: [library.pub]
//	    otherwise: report            # or refuse, the default
//	  - match: quay.io/**
//	    unsigned: allowed
type Policy struct {
	File  string
	Rules []Rule
}

// A Rule is for the images whose repository matches.
type Rule struct {
	Match    string // pattern of HOST/PATH, without tag and digest
	Keys     []Key  // one of them has to have signed
	Report   bool   // an image without a valid signature travels, and is reported
	Unsigned bool   // nothing is wanted
}

const (
	maxPolicy = 1 << 20  // of a policy, in bytes
	maxKey    = 64 << 10 // of a file with a key, in bytes
	maxRules  = 1000
)

// Load reads a policy and the keys that it names; nil where no file is named.
func Load(ctx context.Context, file string) (*Policy, error) {
	if file == "" {
		return nil, nil
	}
	b, err := input.File(ctx, file, maxPolicy)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p, err := parse(b, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		return input.File(ctx, name, maxKey)
	})
	if err != nil {
		return nil, &fault.UsageError{What: fmt.Sprintf("%s: %v", file, err), Advice: "a policy has images:, each with match: and keys:, see bundle export --help"}
	}
	p.File = file
	return p, nil
}

// parse reads the text of a policy; open reads a file with a key.
func parse(text []byte, open func(name string) ([]byte, error)) (*Policy, error) {
	var doc struct {
		Images []struct {
			Match     string   `yaml:"match"`
			Keys      []string `yaml:"keys"`
			Unsigned  string   `yaml:"unsigned"`
			Otherwise string   `yaml:"otherwise"`
		} `yaml:"images"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	switch n := len(doc.Images); {
	case n == 0:
		return nil, errors.New("no rules")
	case n > maxRules:
		return nil, fmt.Errorf("%d rules, more than %d", n, maxRules)
	}
	p := new(Policy)
	known := make(map[string]Key)
	for i, r := range doc.Images {
		rule := Rule{Match: r.Match, Unsigned: r.Unsigned == "allowed", Report: r.Otherwise == "report"}
		var err error
		switch {
		case r.Match == "":
			err = errors.New("match: is missing")
		case strings.ContainsAny(r.Match, "[]\\?@ \t") || strings.Contains(r.Match[max(0, strings.IndexByte(r.Match, '/')):], ":"):
			err = fmt.Errorf("match: %q: want HOST/PATH, with * and ** for any part and any parts, and no tag", r.Match)
		case r.Unsigned != "" && r.Unsigned != "allowed":
			err = fmt.Errorf("unsigned: %q: want allowed, or nothing", r.Unsigned)
		case r.Otherwise != "" && r.Otherwise != "report" && r.Otherwise != "refuse":
			err = fmt.Errorf("otherwise: %q: want report or refuse", r.Otherwise)
		case rule.Unsigned && len(r.Keys)+len(r.Otherwise) > 0:
			err = errors.New("keys: and otherwise: mean nothing with unsigned: allowed")
		case !rule.Unsigned && len(r.Keys) == 0:
			err = errors.New("neither keys: nor unsigned: allowed")
		}
		for _, name := range r.Keys {
			if err != nil {
				break
			}
			key, ok := known[name]
			if !ok {
				if key, err = readKey(name, open); err != nil {
					break
				}
				known[name] = key
			}
			rule.Keys = append(rule.Keys, key)
		}
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p, nil
}

func readKey(name string, open func(name string) ([]byte, error)) (Key, error) {
	text, err := open(name)
	if err != nil {
		return Key{}, err
	}
	key, err := parseKey(text)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// rule is the one that decides about a repository.
func (p *Policy) rule(repository string) (Rule, bool) {
	for _, r := range p.Rules {
		if matches(strings.Split(r.Match, "/"), strings.Split(repository, "/")) {
			return r, true
		}
	}
	return Rule{}, false
}

// matches compares part by part.
func matches(pattern, parts []string) bool {
	for i, want := range pattern {
		if want == "**" {
			for n := i; n <= len(parts); n++ {
				if matches(pattern[i+1:], parts[n:]) {
					return true
				}
			}
			return false
		}
		if i >= len(parts) {
			return false
		}
		if ok, err := path.Match(want, parts[i]); err != nil || !ok {
			return false
		}
	}
	return len(pattern) == len(parts)
}
