//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// shards lets several processes push one bundle at once, each its share, and one
// finish. On one machine they share its cores with the registry: what is seen here is
// what dividing costs.
func (b *bench) shards(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(b.path("out")), os.RemoveAll(b.path("target"))) }()
	fmt.Printf("\nimport by several processes at once, then one that finishes, best of %d rounds\n", b.rounds)
	fmt.Printf("| processes | blobs, s | finish, s | sum to one process | peak MB of one |\n|---|---|---|---|---|\n")
	var one time.Duration
	for _, n := range []int{1, 2, 4} {
		blobs, finish, memory := time.Hour, time.Hour, int64(0)
		for range b.rounds {
			if err := os.RemoveAll(b.path("target")); err != nil {
				return err
			}
			target, err := startRegistry(b.path("target"))
			if err != nil {
				return err
			}
			took, peak, err := b.pushShares(ctx, target.Host(), n)
			var last result
			if err == nil {
				last, err = command(ctx, nil, b.importArgs(target.Host(), b.path("one.tar")))
			}
			if err = errors.Join(err, target.Close()); err != nil {
				return err
			}
			memory = max(memory, peak)
			if took+last.took < blobs+finish {
				blobs, finish = took, last.took
			}
		}
		if n == 1 {
			one = blobs + finish
		}
		fmt.Printf("| %d | %.2f | %.2f | %.2f | %d |\n", n, blobs.Seconds(), finish.Seconds(), (blobs+finish).Seconds()/one.Seconds(), memory>>20)
	}
	return nil
}

// pushShares runs n processes at once, and says how long that took, and how much
// memory the largest had.
func (b *bench) pushShares(ctx context.Context, host string, n int) (took time.Duration, memory int64, err error) {
	args := []string{b.bundle, "import", "-q", "--insecure-skip-signature", "--plain-http", host, "--registry", host + "/apps", "--blobs-only", b.path("one.tar")}
	results := make([]result, n)
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	for i := range n {
		g.Go(func() (err error) {
			results[i], err = command(ctx, nil, append(args[:len(args):len(args)], "--shard", fmt.Sprintf("%d/%d", i+1, n)))
			return err
		})
	}
	err = g.Wait()
	took = time.Since(start)
	for _, r := range results {
		memory = max(memory, r.memory)
	}
	return took, memory, err
}
