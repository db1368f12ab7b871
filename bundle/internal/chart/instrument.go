package chart

import (
	"maps"
	"slices"
	"strconv"
	"text/template/parse"
)

// So that a lenient render knows what a template reads, each pipeline of it gets
// an action in front that says which fields it is about to read, of the dot and of
// variables:
//
//	{{ if .Values.a.b }}   →   {{ seen 7 . }}{{ if .Values.a.b }}
//
// The action prints nothing, and reads what the pipeline will read, so it changes
// nothing that is rendered. Fields inside of branches have actions of their own.

// seenFunction is the name of the function; no template can have written it.
const seenFunction = "__seen"

// A notice lists what one pipeline reads; seen is called with its number.
type notice struct {
	operands []operand
	template string // name of the template that it calls, or empty
}

// An operand is a chain of fields, of the argument of seen with that index.
type operand struct {
	of     int
	fields []string
	// through is set when the value is handed on and not looked into, as to
	// include or with: what is read of it will be noticed there.
	through bool
}

// An instrumenter puts actions into the trees of one file.
type instrumenter struct {
	notices *[]notice
	base    int // number of the first notice
}

func (in *instrumenter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	nodes := make([]parse.Node, 0, 2*len(l.Nodes))
	for _, n := range l.Nodes {
		if a := in.action(n); a != nil {
			nodes = append(nodes, a)
		}
		nodes = append(nodes, n)
	}
	l.Nodes = nodes
}

// action returns what has to stand in front of a node, and instruments the lists
// below it.
func (in *instrumenter) action(n parse.Node) parse.Node {
	branch := func(b *parse.BranchNode, through bool) parse.Node {
		in.list(b.List)
		in.list(b.ElseList)
		return in.notice(b.Pipe, through, "")
	}
	switch n := n.(type) {
	case *parse.ActionNode:
		return in.notice(n.Pipe, len(n.Pipe.Decl) > 0, "")
	case *parse.IfNode:
		return branch(&n.BranchNode, true)
	case *parse.WithNode:
		return branch(&n.BranchNode, true)
	case *parse.RangeNode:
		return branch(&n.BranchNode, false)
	case *parse.TemplateNode:
		return in.notice(n.Pipe, true, n.Name)
	}
	return nil
}

// notice makes the action for one pipeline; nil when that reads nothing.
func (in *instrumenter) notice(p *parse.PipeNode, through bool, template string) parse.Node {
	c := &collector{vars: map[string]int{}}
	c.pipe(p, through)
	if len(c.operands) == 0 && template == "" {
		return nil
	}
	id := in.base + len(*in.notices)
	*in.notices = append(*in.notices, notice{c.operands, template})
	pos := parse.Pos(0)
	if p != nil {
		pos = p.Pos
	}
	call := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{
		parse.NewIdentifier(seenFunction).SetPos(pos),
		&parse.NumberNode{NodeType: parse.NodeNumber, Pos: pos, IsInt: true, Int64: int64(id), Text: strconv.Itoa(id)},
		&parse.DotNode{NodeType: parse.NodeDot, Pos: pos},
	}}
	names := slices.SortedFunc(maps.Keys(c.vars), func(a, b string) int { return c.vars[a] - c.vars[b] })
	for _, name := range names {
		call.Args = append(call.Args, &parse.VariableNode{NodeType: parse.NodeVariable, Pos: pos, Ident: []string{name}})
	}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: pos, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{call},
	}}
}

// A collector lists the operands of one pipeline. Variables are numbered from 1,
// in the order in which they are met; 0 is the dot.
type collector struct {
	operands []operand
	vars     map[string]int
}

func (c *collector) variable(name string) int {
	if c.vars[name] == 0 {
		c.vars[name] = len(c.vars) + 1
	}
	return c.vars[name]
}

// pipe collects from commands of which each is handed on to the next.
func (c *collector) pipe(p *parse.PipeNode, through bool) {
	if p == nil {
		return
	}
	for i, cmd := range p.Cmds {
		out := through
		if i+1 < len(p.Cmds) {
			next := p.Cmds[i+1]
			out = handsOn(next, len(next.Args)-1, true, through)
		}
		c.command(cmd, i > 0, out)
	}
}

// command collects from a function with its arguments, a field, or a value;
// through says that its result is not looked into.
func (c *collector) command(cmd *parse.CommandNode, piped, through bool) {
	first, isFunction := cmd.Args[0].(*parse.IdentifierNode)
	if !isFunction {
		c.operand(cmd.Args[0], through)
		for _, a := range cmd.Args[1:] { // of a method
			c.operand(a, false)
		}
		return
	}
	if c.keys(first.Ident, cmd.Args[1:], piped, through) {
		return
	}
	for i, a := range cmd.Args[1:] {
		c.operand(a, handsOn(cmd, i, piped, through))
	}
}

// keys handles functions that read one key of a map as a field of it, and tells
// whether the command is such a call.
func (c *collector) keys(function string, args []parse.Node, piped, through bool) bool {
	if piped || len(args) < 2 {
		return false
	}
	switch function {
	case "index":
	case "get", "hasKey":
		if len(args) != 2 {
			return false
		}
	default:
		return false
	}
	var fields []string
	for _, a := range args[1:] {
		s, ok := a.(*parse.StringNode)
		if !ok {
			return false
		}
		fields = append(fields, s.Text)
	}
	return c.chain(args[0], fields, through || function == "hasKey")
}

// chain collects a dot or a variable with the fields of it that a node names, and
// more of them; false when the node is something else.
func (c *collector) chain(n parse.Node, more []string, through bool) bool {
	switch n := n.(type) {
	case *parse.DotNode:
		c.operands = append(c.operands, operand{0, more, through})
	case *parse.FieldNode:
		c.operands = append(c.operands, operand{0, slices.Concat(n.Ident, more), through})
	case *parse.VariableNode:
		c.operands = append(c.operands, operand{c.variable(n.Ident[0]), slices.Concat(n.Ident[1:], more), through})
	case *parse.ChainNode:
		return c.chain(n.Node, slices.Concat(n.Field, more), through)
	case *parse.PipeNode: // (.Values.a).b
		return len(n.Decl) == 0 && len(n.Cmds) == 1 && len(n.Cmds[0].Args) == 1 && c.chain(n.Cmds[0].Args[0], more, through)
	default:
		return false
	}
	return true
}

func (c *collector) operand(n parse.Node, through bool) {
	if c.chain(n, nil, through) {
		return
	}
	switch n := n.(type) {
	case *parse.ChainNode:
		c.operand(n.Node, false)
	case *parse.PipeNode:
		c.pipe(n, through)
	}
}

// handsOn tells whether argument i of a call is handed on and not looked into; the
// result of the call is looked into unless it is handed on too. An argument that is
// piped in comes last.
func handsOn(cmd *parse.CommandNode, i int, piped, through bool) bool {
	first, ok := cmd.Args[0].(*parse.IdentifierNode)
	if !ok {
		return false
	}
	n := len(cmd.Args) - 1
	if piped {
		n++
	}
	switch first.Ident {
	case "include", "tpl":
		return i == 1
	case "empty", "not", "kindIs", "kindOf", "typeIs", "typeOf":
		return true
	case "ternary":
		return through && i < 2
	case "dict", "list", "tuple", "default", "coalesce", "and", "or":
		return through
	case "required":
		return i == 1 && through
	case "set": // the map is changed, and the value in it
		return i == 0 && through || i == 2
	}
	return false
}
