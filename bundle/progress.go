package bundle

// Progress receives what happens while bytes move. Its methods are called from
// several goroutines at once. A nil Progress is allowed everywhere.
type Progress interface {
	// Phase begins a step. total is the number of bytes it will move, 0 where
	// the step moves none.
	Phase(name string, total int64)
	// Add reports n more bytes moved; a negative n takes bytes back that a
	// retry will move again.
	Add(n int64)
	// Done reports one finished thing: an image, a chart.
	Done(line string)
	// End closes the current phase.
	End()
}

type silent struct{}

func (silent) Phase(string, int64) {}
func (silent) Add(int64)           {}
func (silent) Done(string)         {}
func (silent) End()                {}

func orSilent(p Progress) Progress {
	if p == nil {
		return silent{}
	}
	return p
}
