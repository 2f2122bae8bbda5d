package policy

import (
	"errors"
	"fmt"
	"strings"
)

// The categories of this package's errors, for errors.Is.
var (
	// ErrUnavailable means that no decision could be made: the engine is closed, or the context ended first. It is never
	// a denial; answer it as an outage.
	ErrUnavailable = errors.New("policy: no decision")
	// ErrInvalid means that a policy source cannot become the active revision. Errors in this category that concern the
	// text of policies are an *InvalidError.
	ErrInvalid = errors.New("policy: invalid")
	// ErrDegraded means that the newest state of the source was refused, and that decisions go on by the last good revision: still
	// deciding, so do not take the node out of service. A readiness check should let it pass; an alarm should not. What
	// Engine.Health reports in this category says why the source was refused, and is an ErrInvalid, too.
	ErrDegraded = errors.New("policy: degraded, deciding by the last good revision")
)

// InvalidError holds everything that is wrong with the policies of a source. It is an ErrInvalid.
type InvalidError struct {
	Problems []Problem // never empty; by file, then position
}

// Problem is one thing that is wrong with a policy file.
type Problem struct {
	File     string // as the source names it, for example "policies/authz.rego"
	Row, Col int    // from 1; 0 when the problem concerns the file as a whole
	Message  string
}

// Error lists all problems, one a line.
func (e *InvalidError) Error() string {
	if len(e.Problems) == 1 {
		return "policy: invalid: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "policy: invalid: %d problems", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// String is "file:row:col: message", without the position when there is none.
func (p Problem) String() string {
	if p.Row == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Row, p.Col, p.Message)
}
