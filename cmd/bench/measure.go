//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// A contender does the job in one or several commands.
type contender struct {
	name  string
	lacks string // a program that is missing on this machine
	// steps returns the commands of one round; after is run unmeasured.
	steps func() [][]string
	env   []string
}

// A result is what one contender needed in one round.
type result struct {
	took    time.Duration
	cpu     time.Duration // of all its processes, user and system
	memory  int64         // peak of resident memory of its largest process, in bytes
	written int64         // bytes
}

// measure runs the steps of one round.
func (c *contender) measure(ctx context.Context) (result, error) {
	var sum result
	for _, args := range c.steps() {
		r, err := command(ctx, c.env, args)
		if err != nil {
			return sum, err
		}
		sum.took += r.took
		sum.written += r.written
		sum.memory = max(sum.memory, r.memory)
	}
	return sum, nil
}

// command runs one program to its end.
func command(ctx context.Context, env, args []string) (result, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return measured(cmd, &out)
}

// reported is command for a program that reports on standard output.
func reported(ctx context.Context, args []string) (result, []byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	r, err := measured(cmd, &said)
	return r, out.Bytes(), err
}

func measured(cmd *exec.Cmd, out *bytes.Buffer) (result, error) {
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	stop := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watch(cmd.Process.Pid, stop) }()
	err := cmd.Wait()
	r := result{took: time.Since(start)}
	close(stop)
	r.memory = <-peak
	if err != nil {
		return r, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.Bytes())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.written = usage.Oublock * 512 // what was made dirty, getrusage(2)
		r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return r, nil
}

// watch follows the high-water mark of a process's resident memory. (That of
// rusage counts what this process had when it forked.)
func watch(pid int, stop <-chan struct{}) (peak int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return peak
		case <-tick.C:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				peak = max(peak, n<<10)
			}
		}
	}
}

// race lets the contenders run in turns and prints the table. The first one is
// the limit, the second is ours. before prepares each turn.
func (b *bench) race(ctx context.Context, title string, all []contender, before, after func() error) error {
	times := make([][]result, len(all))
	for range b.rounds {
		for i := range all {
			if all[i].lacks != "" {
				continue
			}
			if err := before(); err != nil {
				return err
			}
			syscall.Sync() // nobody pays for what another one wrote
			r, err := all[i].measure(ctx)
			if err != nil {
				return err
			}
			times[i] = append(times[i], r)
			if err := after(); err != nil {
				return err
			}
		}
	}
	b.table(title, all, times)
	return nil
}

func best(rounds []result) time.Duration {
	return slices.MinFunc(rounds, func(x, y result) int { return int(x.took - y.took) }).took
}

func median(rounds []result) time.Duration {
	sorted := slices.SortedFunc(slices.Values(rounds), func(x, y result) int { return int(x.took - y.took) })
	return sorted[len(sorted)/2].took
}

func (b *bench) table(title string, all []contender, times [][]result) {
	fastest := time.Duration(0)
	for i := 2; i < len(all); i++ {
		if len(times[i]) > 0 && (fastest == 0 || best(times[i]) < fastest) {
			fastest = best(times[i])
		}
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%s\tbest s\tmedian s\tof limit\tof best peer\tpeak MB\twritten/payload\n", title)
	for i, c := range all {
		if c.lacks != "" {
			fmt.Fprintf(t, "%s\t%s is not installed\n", c.name, c.lacks)
			continue
		}
		peer := "-"
		if fastest > 0 {
			peer = fmt.Sprintf("%.2f", best(times[i]).Seconds()/fastest.Seconds())
		}
		var memory, written int64
		for _, r := range times[i] {
			memory, written = max(memory, r.memory), max(written, r.written)
		}
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%s\t%d\t%.3f\n", c.name,
			best(times[i]).Seconds(), median(times[i]).Seconds(), best(times[i]).Seconds()/best(times[0]).Seconds(), peer,
			memory>>20, float64(written)/float64(b.work.Payload))
	}
	t.Flush() //nolint:errcheck // standard output
}
