package main

import (
	"errors"
	"strconv"
)

// jobsFlag is how many things are done at once.
type jobsFlag int

// Set implements pflag.Value.
func (f *jobsFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return errors.New("want a number from 1 to 1000")
	}
	*f = jobsFlag(n)
	return nil
}

// String implements pflag.Value.
func (f *jobsFlag) String() string { return strconv.Itoa(int(*f)) }

// Type implements pflag.Value.
func (*jobsFlag) Type() string { return "NUMBER" }
