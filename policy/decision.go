package policy

// Decision is the answer to one Input. It may come from the decision cache and be shared: nobody changes what it points to.
// The zero value denies.
type Decision struct {
	// Allow is true only when the product's policy allows, and neither it nor the organization's own policy denies.
	Allow bool
	// Outcome says how the decision came about.
	Outcome Outcome
	// Reasons are the members of the deny sets, the product's before the organization's, each sorted by OPA's order. A member is a
	// string, or a map[string]any with values as in Obligations. Empty after an allow.
	Reasons []any
	// Obligations is the object that the product's policy hands to the handler. Nil unless Allow, and when the policy has none for
	// this input. Its values are
	//
	//	string, bool, nil   texts, booleans and null
	//	json.Number         numbers, never float64 or int
	//	[]any               lists, and sets (sorted)
	//	map[string]any      objects; a key that is no string becomes its JSON text
	//
	// A type assertion on another type fails: look at its ok, as a handler that skips an obligation shows what it must not.
	Obligations map[string]any
	// Revision names the policy revision that decided, for logs.
	Revision string
	// Cached is true when no policy was evaluated for this answer.
	Cached bool
}

// Outcome says how a Decision came about. Everything but Allowed is a denial.
type Outcome string

// The outcomes.
const (
	Allowed   Outcome = "allowed"
	Denied    Outcome = "denied"    // allow is false, or a deny set has members
	Undefined Outcome = "undefined" // allow has no value for this input
	Failed    Outcome = "failed"    // the evaluation failed: conflict, built-in error, not a boolean, panic; the log says which
	TimedOut  Outcome = "timed_out" // the evaluation exceeded its time budget
)
