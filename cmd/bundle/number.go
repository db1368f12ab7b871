package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// numberFlag is a number from 1 on: 0 and less mean nothing, and would be taken for no
// flag at all.
type numberFlag[N int | int64] struct {
	n    *N
	most int64 // 0: no limit of its own
}

// Set implements pflag.Value.
func (f numberFlag[N]) Set(s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	switch {
	case f.most > 0 && (err != nil || v < 1 || v > f.most):
		return fmt.Errorf("want a number from 1 to %d", f.most)
	case err != nil || v < 1 || v > math.MaxInt && int64(N(v)) != v:
		return errors.New("want a number from 1 on")
	}
	*f.n = N(v)
	return nil
}

// String implements pflag.Value.
func (f numberFlag[N]) String() string {
	if f.n == nil {
		return "0"
	}
	return strconv.FormatInt(int64(*f.n), 10)
}

// Type implements pflag.Value.
func (numberFlag[N]) Type() string { return "NUMBER" }

// jobs is a flag for how many things are done at once.
func jobs(n *int) numberFlag[int] { return numberFlag[int]{n, 1000} }
