package main

import (
	"errors"
	"strconv"
	"strings"
)

// bytesFlag is a number of bytes, with a unit: k, M, G, T of 1000, or Ki, Mi,
// Gi, Ti of 1024, each with or without a B behind it.
type bytesFlag int64

// Set implements pflag.Value.
func (f *bytesFlag) Set(s string) error {
	number := strings.TrimRight(s, "BKMGTkibmgt")
	unit := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(s[len(number):], "B"), "b"))
	factor := int64(1)
	if unit != "" {
		base := int64(1000)
		prefix, binary := strings.CutSuffix(unit, "i")
		if binary {
			base = 1024
		}
		power := strings.Index("kmgt", prefix) + 1
		if len(prefix) != 1 || power == 0 {
			return errors.New("want a number with k, M, G or T, or Ki, Mi, Gi or Ti")
		}
		for range power {
			factor *= base
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/factor {
		return errors.New("want a positive number of bytes, such as 64M")
	}
	*f = bytesFlag(n * factor)
	return nil
}

// String implements pflag.Value.
func (f *bytesFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*f), 10)
}

// Type implements pflag.Value.
func (*bytesFlag) Type() string { return "SIZE" }
