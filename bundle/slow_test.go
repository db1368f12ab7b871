//go:build !race

package bundle

// slowdown is what the race detector costs, in time and memory.
const slowdown = 1
