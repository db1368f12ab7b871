package transfer

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A queue holds the blobs that nobody has begun, one line for each host, so that
// to take one costs the same however many there are.
type queue struct {
	lines map[string][]waiting // no line is empty
	left  int
}

type waiting struct {
	desc  ocispec.Descriptor
	place int // in the order of all
}

// fill lines up blobs, those of each host in their order.
func (q *queue) fill(all []ocispec.Descriptor, host func(digest.Digest) string) {
	q.lines, q.left = make(map[string][]waiting), len(all)
	for i, d := range all {
		h := host(d.Digest)
		q.lines[h] = append(q.lines[h], waiting{d, i})
	}
}

// first is the blob that comes first of all, with its host.
func (q *queue) first() (d ocispec.Descriptor, host string, ok bool) {
	place := -1
	for h, line := range q.lines {
		if place < 0 || line[0].place < place {
			d, host, place = line[0].desc, h, line[0].place
		}
	}
	return d, host, place >= 0
}

// leastBusy is the host with the fewest transfers, fewer than most; of several,
// the one whose next blob comes first.
func (q *queue) leastBusy(busy map[string]int, most int) (host string, ok bool) {
	for h, line := range q.lines {
		if busy[h] >= most {
			continue
		}
		if !ok || busy[h] < busy[host] || busy[h] == busy[host] && line[0].place < q.lines[host][0].place {
			host, ok = h, true
		}
	}
	return host, ok
}

// take removes the next blob of a host.
func (q *queue) take(host string) ocispec.Descriptor {
	line := q.lines[host]
	d := line[0].desc
	if q.left--; len(line) == 1 {
		delete(q.lines, host)
	} else {
		q.lines[host] = line[1:]
	}
	return d
}
