package chart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bundle/bundle/internal/child"
	"bundle/bundle/internal/fault"
)

// Charts are rendered in a child of this program where it can have one (see package
// child): a template can ask for any amount of memory, and nothing else than the end
// of the process stops it.

// Limits of the process that renders. They are about twice what a render is given up for,
// since a heap that is collected may have as much garbage as it has objects; Helm's
// largest charts take a tenth. Go itself would let a stack grow to a GB. Variables for
// the tests.
var (
	childMemory = int64(2 << 30)
	childStack  = 512 << 20
)

// Child serves renders if this process was started for that, and returns the code to
// exit with. It is the first thing that a program calls; without it, charts are
// rendered in the process that asks for it.
func Child() (code int, ok bool) { return child.Main(serveRenders) }

// apart asks a child to render the chart.
func (c *Chart) apart(ctx context.Context, o RenderOptions) (*Output, error) {
	request, err := encodeRequest(o)
	if err != nil {
		return nil, c.fail(err.Error(), err)
	}
	c.childOnce.Do(func() {
		c.child = &child.Client{Limits: child.Limits{Memory: childMemory, Stack: childStack}, Setup: c.setup, Receive: newReceiver}
	})
	answer, err := c.child.Ask(ctx, request, maxRenderTime)
	var dead *child.Error
	switch {
	case ctx.Err() != nil:
		return nil, Stopped(ctx, c.Name())
	case errors.As(err, &dead):
		return nil, c.died(dead)
	case err != nil:
		return nil, fmt.Errorf("render chart %s: %w", c.Name(), err)
	}
	r := answer.(*rendered)
	switch e := r.err.(type) {
	case *RenderError:
		e.Chart = c.Name()
	case *LimitError:
		e.Chart = c.Name()
	}
	return r.out, r.err
}

// died says what became of a render whose process is gone.
func (c *Chart) died(e *child.Error) error {
	limit := &LimitError{Chart: c.Name(), Template: e.Note}
	switch e.Cause {
	case child.Memory:
		limit.What = fmt.Sprintf("more than %d MiB of memory", childMemory>>20)
	case child.Stack:
		limit.What = fmt.Sprintf("more than %d MiB of memory in recursion", childStack>>20)
	case child.Time:
		limit.What = "more than " + maxRenderTime.String()
	case child.Killed:
		limit.What = "so much memory that the system ended the process"
	default:
		return fault.WithHint(fmt.Errorf("the process that renders chart %s ended without an answer: %w", c.Name(), e), "another attempt may do")
	}
	return limit
}

// setup is what a child has to know for all renders: the chart, the limits, and what
// is the same in all renders of a process, so that two children do not differ.
func (c *Chart) setup() string {
	w := &wireWriter{b: make([]byte, 0, len(c.archive)+4<<10)}
	for _, limit := range []int{int(maxRenderMemory), int(maxRenderStack), int(maxRenderWork), maxNodes, maxPaths} {
		w.number(limit)
	}
	key, cert := stubKeyPair()
	w.text(key)
	w.text(cert)
	w.text(string(c.archive))
	return string(w.b)
}

// serveRenders is the child's side.
func serveRenders(setup string) (child.Session, error) {
	r := &wireReader{s: setup}
	maxRenderMemory, maxRenderStack, maxRenderWork = int64(r.number()), int64(r.number()), time.Duration(r.number())
	maxNodes, maxPaths = r.number(), r.number()
	key, cert, archive := r.text(), r.text(), r.text()
	if err := r.end(); err != nil {
		return nil, err
	}
	stubKeyPair = func() (string, string) { return key, cert }
	works, maxRenderTime = true, math.MaxInt64 // the parent looks at the clock
	c, err := Open([]byte(archive))
	if err != nil {
		return nil, err
	}
	s := &sender{}
	return func(request string, note func(string)) child.Answer {
		var out *Output
		o, err := decodeRequest(request)
		if err == nil {
			o.begins = note
			out, err = c.within(context.Background(), o)
		}
		if out != nil {
			out.searchLarge()
		}
		var limit *LimitError
		return child.Answer{Body: func() []byte { return s.answer(out, err) }, Last: errors.As(err, &limit)}
	}, nil
}

// largeDocument is the size of a document, in bytes, that is searched for references by
// the process that may die of it first.
const largeDocument = 1 << 20

func (o *Output) searchLarge() {
	for i := range o.Manifests {
		if d := o.Manifests[i].doc; len(d.raw) >= largeDocument {
			d.allLeaves()
			d.findings()
		}
	}
}

func encodeRequest(o RenderOptions) ([]byte, error) {
	w := &wireWriter{}
	w.text(o.ReleaseName)
	w.text(o.Namespace)
	w.text(o.KubeVersion)
	w.texts(o.APIVersions)
	w.flag(o.Strict)
	w.flag(o.Checks)
	w.flag(o.Demands)
	w.flag(o.StubKeys)
	w.flag(o.SameRandom)
	w.flag(o.Occasions)
	values := o.Values
	if values == nil {
		values = map[string]any{}
	}
	if err := w.value(values); err != nil {
		return nil, err
	}
	return w.b, nil
}

func decodeRequest(s string) (RenderOptions, error) {
	r := &wireReader{s: s}
	o := RenderOptions{
		ReleaseName: r.text(), Namespace: r.text(), KubeVersion: r.text(), APIVersions: r.texts(),
		Strict: r.flag(), Checks: r.flag(), Demands: r.flag(), StubKeys: r.flag(), SameRandom: r.flag(), Occasions: r.flag(),
	}
	var ok bool
	if o.Values, ok = r.value(0).(map[string]any); !ok {
		r.fail()
	}
	return o, r.end()
}

// rendered is a child's answer.
type rendered struct {
	out *Output
	err error
}

// Kinds of answers.
const (
	wireOutput byte = iota
	wireRenderError
	wireLimitError
	wireError
)

// maxErrorText limits each text of an error, in bytes: charts write some of them.
const maxErrorText = 64 << 10

// A sender writes answers, each text and each document in the first one that has it.
type sender struct {
	texts map[string]int
	docs  map[*document]int
	size  int
}

func (s *sender) answer(out *Output, err error) []byte {
	w := &wireWriter{}
	text := func(s string) { w.text(s[:min(len(s), maxErrorText)]) }
	var render *RenderError
	var limit *LimitError
	switch {
	case err == nil:
		w.byte(wireOutput)
		s.output(w, out)
	case errors.As(err, &limit):
		w.byte(wireLimitError)
		w.text(limit.Template)
		w.text(limit.What)
	case errors.As(err, &render):
		w.byte(wireRenderError)
		text(render.Template)
		w.number(render.Line)
		text(render.Message)
		text(render.Value)
		w.flag(render.Err != nil)
		if render.Err != nil {
			text(render.Err.Error())
			w.flag(errors.Is(render.Err, errDocumentLimit))
		}
		w.number(len(render.Also))
		for _, d := range render.Also {
			text(d.Template)
			text(d.Message)
			text(d.Value)
		}
	default:
		w.byte(wireError)
		text(err.Error())
	}
	return w.b
}

// output writes what was rendered. The first number says whether all that was sent
// before is to be forgotten.
func (s *sender) output(w *wireWriter, o *Output) {
	again := s.texts == nil || s.size > maxCache
	w.flag(again)
	if again {
		s.texts, s.docs, s.size = map[string]int{}, map[*document]int{}, 0
	}
	w.text(o.Notes)
	w.number(len(o.Unread))
	for _, u := range o.Unread {
		w.text(u.File)
		w.text(u.URL)
	}
	w.number(len(o.NotSeen))
	for _, n := range o.NotSeen {
		w.text(string(n.When))
		w.text(n.Template)
		w.text(n.Reason)
	}
	w.texts(o.annotated)
	w.number(len(o.texts))
	for _, name := range slices.Sorted(maps.Keys(o.texts)) {
		w.text(name)
		s.text(w, o.texts[name])
	}
	w.number(len(o.Manifests))
	ends := map[string]int{}
	for i := range o.Manifests {
		m := &o.Manifests[i]
		w.text(string(m.When))
		w.text(m.Template)
		s.document(w, m, o.texts[m.Template], ends)
	}
}

// text writes the number of a text, and a new one itself.
func (s *sender) text(w *wireWriter, text string) {
	n, known := s.texts[text]
	if !known {
		n = len(s.texts)
		s.texts[text] = n
		s.size += len(text)
	}
	w.number(n)
	if !known {
		w.text(text)
	}
}

// document writes the number of a document, and a new one itself. Its text is a part
// of that of its template; but on an occasion, that is another one.
func (s *sender) document(w *wireWriter, m *Manifest, text string, ends map[string]int) {
	start := -1
	if m.When == Always {
		from := ends[m.Template]
		if start = strings.Index(text[from:], m.doc.raw); start >= 0 {
			start += from
			ends[m.Template] = start + len(m.doc.raw)
		}
	}
	n, known := s.docs[m.doc]
	if !known {
		n = len(s.docs)
		s.docs[m.doc] = n
	}
	w.number(n)
	if known {
		return
	}
	if start < 0 {
		text, start = m.doc.raw, 0
	}
	s.text(w, text)
	w.number(start)
	w.number(len(m.doc.raw))
	w.document(m.doc)
}

// A receiver reads answers.
type receiver struct {
	texts []string
	docs  []*document
}

func newReceiver() func(string) (any, error) { return new(receiver).answer }

func (v *receiver) answer(body string) (any, error) {
	r := &wireReader{s: body}
	a := &rendered{}
	switch r.byte() {
	case wireOutput:
		a.out = v.output(r)
	case wireRenderError:
		e := &RenderError{Template: r.text(), Line: r.number(), Message: r.text(), Value: r.text()}
		if r.flag() {
			e.Err = errors.New(r.text())
			if r.flag() {
				e.Err = errDocumentLimit
			}
		}
		for range min(r.number(), maxDemands) {
			e.Also = append(e.Also, Demand{Template: r.text(), Message: r.text(), Value: r.text()})
		}
		a.err = e
	case wireLimitError:
		a.err = &LimitError{Template: r.text(), What: r.text()}
	case wireError:
		a.err = errors.New(r.text())
	default:
		r.fail()
	}
	return a, r.end()
}

func (v *receiver) output(r *wireReader) *Output {
	if r.flag() {
		v.texts, v.docs = nil, nil
	}
	o := &Output{Notes: r.text()}
	for range r.count(2) {
		o.Unread = append(o.Unread, UnreadSchema{r.text(), r.text()})
	}
	for range r.count(3) {
		o.NotSeen = append(o.NotSeen, NotSeen{When(r.text()), r.text(), r.text()})
	}
	o.annotated = r.texts()
	n := r.count(2)
	o.texts = make(map[string]string, n)
	for range n {
		name := r.text()
		o.texts[name] = v.text(r)
	}
	left := maxAllNodes
	o.Manifests = make([]Manifest, 0, r.count(3))
	for range cap(o.Manifests) {
		when, template := When(r.text()), r.text()
		doc := v.document(r, &left)
		if r.err != nil {
			return nil
		}
		m := newManifest(template, doc)
		m.When = when
		o.Manifests = append(o.Manifests, m)
	}
	o.index()
	return o
}

func (v *receiver) text(r *wireReader) string {
	n := r.number()
	switch {
	case n == len(v.texts):
		v.texts = append(v.texts, r.text())
	case n > len(v.texts):
		r.fail()
	}
	if r.err != nil {
		return ""
	}
	return v.texts[n]
}

func (v *receiver) document(r *wireReader, left *int) *document {
	n := r.number()
	if n < len(v.docs) {
		return v.docs[n]
	}
	text, start, size := v.text(r), r.number(), r.number()
	if n > len(v.docs) || start > len(text) || size > len(text)-start {
		r.fail()
		return nil
	}
	d := r.document(text[start:start+size], left)
	v.docs = append(v.docs, d)
	return d
}
