package policy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/resolver"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// evaluation is one run of the policies for one input. It stops soon after its budget is used up or its context ends.
type evaluation struct {
	ctx      context.Context
	revision *revision
	org      *program // nil when the organization has no policy of its own
	input    *ast.Term
	now      time.Time
	cancel   canceller
	orgCache topdown.VirtualCache // what the organization's rules gave for input
}

// canceller is the topdown.Cancel of an evaluation.
type canceller struct{ ended atomic.Bool }

func (c *canceller) Cancel()         { c.ended.Store(true) }
func (c *canceller) Cancelled() bool { return c.ended.Load() }

// decide evaluates. An error means that the decision is a denial that nothing but time or a mended policy changes: the
// budget was used up (topdown.IsCancel) or the policy failed.
func (e *evaluation) decide() (d Decision, err error) {
	defer func() {
		if r := recover(); r != nil {
			d, err = Decision{}, fmt.Errorf("panic: %v", r)
		}
	}()
	product, cache := e.revision.product, topdown.NewVirtualCache()
	value, denied, err := e.allowAndDeny(product, cache)
	if err != nil {
		return Decision{}, err
	}
	reasons, err := reasons(denied, nil)
	if err != nil {
		return Decision{}, err
	}
	allow, isBoolean := value.(ast.Boolean)
	if value != nil && !isBoolean {
		return Decision{}, fmt.Errorf("data.authz.allow is %s, not a boolean", ast.ValueName(value))
	}
	if e.org != nil {
		restrictions, err := e.reasonsOfOrg()
		if err != nil {
			return Decision{}, err
		}
		reasons = append(reasons, restrictions...)
	}

	switch {
	case len(reasons) > 0:
		return Decision{Outcome: Denied, Reasons: reasons}, nil
	case value == nil:
		return Decision{Outcome: Undefined}, nil
	case !bool(allow):
		return Decision{Outcome: Denied}, nil
	}
	obligations, err := obligations(e.query(product, ruleObligations, e.input, cache))
	if err != nil {
		return Decision{}, err
	}
	return Decision{Allow: true, Outcome: Allowed, Obligations: obligations}, nil
}

// allowAndDeny asks for both at once, which is cheaper; only where one is undefined, one by one.
func (e *evaluation) allowAndDeny(p *program, cache topdown.VirtualCache) (allow, deny ast.Value, err error) {
	if p.both != nil {
		r, err := e.run(p, p.both, e.input, cache)
		if err != nil {
			return nil, nil, err
		}
		if r != nil {
			return r[answer].Value, r[denial].Value, nil
		}
	}
	if deny, err = e.query(p, ruleDeny, e.input, cache); err == nil {
		allow, err = e.query(p, ruleAllow, e.input, cache)
	}
	return allow, deny, err
}

func (e *evaluation) reasonsOfOrg() ([]any, error) {
	value, err := e.queryOrg(ruleDeny, e.input)
	if err != nil {
		return nil, err
	}
	list, err := reasons(value, nil)
	if err != nil {
		return nil, &orgError{e.org.org, err}
	}
	return list, nil
}

// queryOrg evaluates a rule of the organization's own policy; input may be one that the product's policy has changed by with.
func (e *evaluation) queryOrg(rule string, input *ast.Term) (ast.Value, error) {
	cache := e.orgCache
	switch {
	case input != e.input:
		cache = topdown.NewVirtualCache()
	case cache == nil:
		cache = topdown.NewVirtualCache()
		e.orgCache = cache
	}
	value, err := e.query(e.org, rule, input, cache)
	if err != nil {
		return nil, &orgError{e.org.org, err}
	}
	return value, nil
}

// Eval makes an evaluation the resolver.Resolver for data.org in the product's policy: the organization's rules are evaluated
// in their own compiler when, and only when, the product's policy asks for them.
func (e *evaluation) Eval(_ context.Context, in resolver.Input) (resolver.Result, error) {
	rule, _ := in.Ref[len(in.Ref)-1].Value.(ast.String)
	value, err := e.queryOrg(string(rule), in.Input)
	return resolver.Result{Value: value}, err
}

// query evaluates one rule of p. The value is nil when it is undefined.
func (e *evaluation) query(p *program, rule string, input *ast.Term, cache topdown.VirtualCache) (ast.Value, error) {
	body, ok := p.entries[rule]
	if !ok {
		return nil, nil
	}
	r, err := e.run(p, body, input, cache)
	if r == nil || err != nil {
		return nil, err
	}
	return r[answer].Value, nil
}

// run evaluates a compiled query of p. The result is nil when a part of the query is undefined.
func (e *evaluation) run(p *program, body ast.Body, input *ast.Term, cache topdown.VirtualCache) (topdown.QueryResult, error) {
	q := topdown.NewQuery(body).
		WithCompiler(p.compiler).
		WithStore(e.revision.store).
		WithTransaction(e.revision.txn).
		WithInput(input).
		WithTime(e.now).
		WithCancel(&e.cancel).
		WithMetrics(metrics.NoOp()).
		WithVirtualCache(cache).
		WithBaseCache(noCache{}).
		WithStrictBuiltinErrors(true)
	if p.asksOrg && e.org != nil {
		for name := range e.org.entries {
			q = q.WithResolver(orgRoot.Append(ast.StringTerm(name)), e)
		}
	}
	var result topdown.QueryResult
	err := q.Iter(e.ctx, func(r topdown.QueryResult) error {
		if result != nil {
			return fmt.Errorf("%s has several answers", body)
		}
		result = r
		return nil
	})
	return result, err
}

// noCache is a topdown.BaseCache that holds nothing. There is no data to cache, and what OPA would keep there of data.org
// is wrong for an input that a with has changed.
type noCache struct{}

func (noCache) Get(ast.Ref) ast.Value  { return nil }
func (noCache) Put(ast.Ref, ast.Value) {}

// orgError is a failure of an organization's own policy.
type orgError struct {
	org string
	err error
}

func (e *orgError) Error() string { return "policy of organization " + e.org + ": " + e.err.Error() }
func (e *orgError) Unwrap() error { return e.err }

// reasons reads a deny set.
func reasons(value ast.Value, err error) ([]any, error) {
	if value == nil || err != nil {
		return nil, err
	}
	set, ok := value.(ast.Set)
	if !ok {
		return nil, fmt.Errorf("deny is %s, not a set", ast.ValueName(value))
	}
	var list []any
	for _, member := range set.Slice() {
		switch member.Value.(type) {
		case ast.String, ast.Object:
		default:
			return nil, fmt.Errorf("deny holds %s, not only strings and objects", ast.ValueName(member.Value))
		}
		reason, err := ast.JSON(member.Value)
		if err != nil {
			return nil, err
		}
		list = append(list, reason)
	}
	return list, nil
}

// obligations reads an obligations object.
func obligations(value ast.Value, err error) (map[string]any, error) {
	if value == nil || err != nil {
		return nil, err
	}
	if _, ok := value.(ast.Object); !ok {
		return nil, fmt.Errorf("obligations is %s, not an object", ast.ValueName(value))
	}
	v, err := ast.JSON(value)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

// revision is one state of the source, compiled. It is immutable; its store is empty, and its transaction is read by all
// evaluations.
type revision struct {
	hash    string // of the snapshot
	name    string // the beginning of it
	product *program
	builtIn bool                // product is the built-in policy
	orgs    map[string]*program // by organization id
	store   storage.Store
	txn     storage.Transaction
}
