package main

import (
	"errors"
	"strconv"
	"time"
)

// daysFlag is a span of time in hours, days or weeks: 36h, 90d, 12w.
type daysFlag time.Duration

// Set implements pflag.Value.
func (f *daysFlag) Set(s string) error {
	units := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	const longest = 100 * 366 * 24 * time.Hour
	if s != "" {
		unit := units[s[len(s)-1]]
		n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
		if err == nil && n > 0 && unit > 0 && time.Duration(n) <= longest/unit {
			*f = daysFlag(time.Duration(n) * unit)
			return nil
		}
	}
	return errors.New("want a time of up to 100 years in hours, days or weeks: 36h, 90d, 12w")
}

// String implements pflag.Value.
func (f *daysFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.FormatInt(int64(time.Duration(*f).Hours()), 10) + "h"
}

// Type implements pflag.Value.
func (*daysFlag) Type() string { return "TIME" }
