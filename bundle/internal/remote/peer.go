package remote

import (
	"strings"
	"sync/atomic"
)

// peer is who an operation speaks to, as far as patience and errors go: a
// repository of a registry, or a chart repository.
type peer struct {
	client   *Client
	host     string // contacted
	location string // its repository's name on the wire
	mirror   bool   // in place of another
	charts   bool   // no registry, but a chart repository

	credentialsKnown atomic.Bool // credentials were found and sent
}

// depth is the number of parts of the repository's path.
func (p *peer) depth() int { return strings.Count(p.location, "/") }
