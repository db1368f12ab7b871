package main

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// Keys at a prompt for a passphrase do what they do at ssh-keygen's.
func TestReadSecret(t *testing.T) {
	for in, want := range map[string]string{
		"secret\r":         "secret",
		"secret\nrest":     "secret",
		"\r":               "", // none is an answer
		"secrez\x7ft\r":    "secret",
		"pä\x7fass\r":      "pass",
		"\x7f\x08a\r":      "a",
		"wrong\x15right\r": "right",
		"secret\x04":       "secret",
		"blank in it, é\r": "blank in it, é",
		"secret":           "secret", // the terminal is gone
	} {
		if got, err := readSecret(strings.NewReader(in)); err != nil || string(got) != want {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]error{"\x04": errNoAnswer, "": errNoAnswer, "half\x03": context.Canceled} {
		if got, err := readSecret(strings.NewReader(in)); !errors.Is(err, want) {
			t.Errorf("%q is %q, %v; want %v", in, got, err, want)
		}
	}
	if _, err := readSecret(strings.NewReader(strings.Repeat("x", 10_000))); err == nil {
		t.Error("10,000 bytes are taken")
	}
}
