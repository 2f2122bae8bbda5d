package orgstore

import (
	"errors"
	"strconv"
)

// The categories of errors. Every error of this package is one of them by errors.Is, or is ErrNotCommitted or the context's error,
// or came from a caller's own function. Only an Engine that acts for somebody (see Engine.As) answers ErrDenied.
var (
	ErrNotFound    = errors.New("orgstore: not found")
	ErrConflict    = errors.New("orgstore: conflict")
	ErrInvalid     = errors.New("orgstore: invalid")
	ErrLimit       = errors.New("orgstore: limit reached")
	ErrDenied      = errors.New("orgstore: denied")
	ErrUnavailable = errors.New("orgstore: store unavailable")
)

// NotFound is the error of an operation on a thing that is not there, or not any more. It is an ErrNotFound.
type NotFound struct {
	Kind string // organization, user, role, member, domain and so on
}

func (e *NotFound) Error() string { return "orgstore: no such " + e.Kind }

// Is makes the error an ErrNotFound.
func (e *NotFound) Is(target error) bool { return target == ErrNotFound }

// Conflict is the error of an operation that would make two things share what only one may have. It is an ErrConflict.
type Conflict struct {
	Kind string // organization, user, role, domain and so on
	// Field is what is taken, for example id or name (an id is also taken by a deleted organization or role, for ever), or owner and
	// membership, of the rules MEM-5 and MEM-6.
	Field string
}

func (e *Conflict) Error() string {
	switch e.Field {
	case "owner":
		return "orgstore: the organization must keep an owner (MEM-5)"
	case "membership":
		return "orgstore: the user is isolated to another organization (MEM-6)"
	}
	return "orgstore: " + e.Kind + " " + e.Field + " is already taken"
}

// Is makes the error an ErrConflict.
func (e *Conflict) Is(target error) bool { return target == ErrConflict }

// Invalid is the error of input that breaks a rule. It is an ErrInvalid. Its text never holds the refused value.
type Invalid struct {
	Field string // for example name or metadata
	Rule  string // number of the rule, for example ORG-1; empty for rules of form that have none
	Text  string // what the field must be
}

func (e *Invalid) Error() string {
	if e.Rule == "" {
		return "orgstore: " + e.Field + " " + e.Text
	}
	return "orgstore: " + e.Field + " " + e.Text + " (" + e.Rule + ")"
}

// Is makes the error an ErrInvalid.
func (e *Invalid) Is(target error) bool { return target == ErrInvalid }

// Limit is the error of an operation that would go over one of the Limits; it did nothing. It is an ErrLimit.
type Limit struct {
	Name string // what is limited, in the words of Limits: for example "roles per member"
	Max  int
}

func (e *Limit) Error() string {
	return "orgstore: more " + e.Name + " than the limit of " + strconv.Itoa(e.Max)
}

// Is makes the error an ErrLimit.
func (e *Limit) Is(target error) bool { return target == ErrLimit }

// Denied is the error of an operation that its actor may not do; see Engine.As. It is an ErrDenied.
type Denied struct {
	Permission string // what the actor would have to hold in the organization
}

func (e *Denied) Error() string {
	return "orgstore: the actor does not hold the permission " + e.Permission + " in this organization"
}

// Is makes the error an ErrDenied.
func (e *Denied) Is(target error) bool { return target == ErrDenied }

// undecided is the ErrUnavailable of a commit that nobody has answered: running the mutation again could do it twice.
type undecided struct{ cause error }

func (e *undecided) Error() string {
	return ErrUnavailable.Error() + ": the commit was not answered, so that it is unknown whether the changes are stored: " + e.cause.Error()
}
func (e *undecided) Unwrap() error        { return e.cause }
func (e *undecided) Is(target error) bool { return target == ErrUnavailable }

// unavailable is an ErrUnavailable with its cause.
type unavailable struct{ cause error }

func (e *unavailable) Error() string        { return ErrUnavailable.Error() + ": " + e.cause.Error() }
func (e *unavailable) Unwrap() error        { return e.cause }
func (e *unavailable) Is(target error) bool { return target == ErrUnavailable }

// refusal is an ErrDenied that no permission would have helped against.
type refusal struct{ text string }

func (e *refusal) Error() string        { return "orgstore: " + e.text }
func (e *refusal) Is(target error) bool { return target == ErrDenied }
