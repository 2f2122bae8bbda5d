package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orgauthz/orgauthz/policy"
)

// CanOption is a choice of one call of Can.
type CanOption func(*canSettings)

type canSettings struct {
	resource any
	other    bool // resource takes the place of the route's
}

// On asks about v instead of the route's resource; its JSON form is input.resource.
func On(v any) CanOption { return func(s *canSettings) { s.resource, s.other = v, true } }

// Can asks the policy, inside a handler, whether the request's Principal may also do action: on the route's resource, or on
// another one with On. "No" is a Decision whose Allow is false. An error means that nobody knows: a *Refusal with
// CodeUnavailable when the policy is out of reach (WriteRefusal answers 503), another error when the call makes no sense,
// as outside of Require. What the Principal is was found out at the start of the request.
func (g *Guard) Can(ctx context.Context, action string, opts ...CanOption) (policy.Decision, error) {
	in, err := question(ctx, action)
	if err != nil {
		return policy.Decision{}, err
	}
	var s canSettings
	for _, opt := range opts {
		opt(&s)
	}
	if s.other {
		if in.Resource, err = json.Marshal(s.resource); err != nil {
			return policy.Decision{}, fmt.Errorf("middleware: Can: the resource has no JSON form: %w", err)
		}
	}
	wait := &deadlineContext{parent: ctx, deadline: time.Now().Add(g.cfg.Timeout)}
	defer wait.end()
	return g.can(wait, in)
}

// Check is Can for a handler that cannot go on without: nil when the Principal may, else an error that WriteRefusal answers as
// Require would have, with 403 and its reasons for a "no" and 503 when nobody knows.
//
//	if err := guard.Check(r.Context(), "publish:adventures", middleware.On(draft)); err != nil {
//		middleware.WriteRefusal(w, err)
//		return
//	}
func (g *Guard) Check(ctx context.Context, action string, opts ...CanOption) error {
	d, err := g.Can(ctx, action, opts...)
	if err != nil {
		return err
	}
	if no := g.judge(action, d, MustPrincipal(ctx)); no != nil {
		return no
	}
	return nil
}

// CanAll is Can for several actions at once, each with its Decision. After an error nothing is known, and the map is nil.
// The Decision of an action that was not asked for denies, as the zero value does.
func (g *Guard) CanAll(ctx context.Context, actions ...string) (map[string]policy.Decision, error) {
	wait := &deadlineContext{parent: ctx, deadline: time.Now().Add(g.cfg.Timeout)}
	defer wait.end()
	all := make(map[string]policy.Decision, len(actions))
	for _, action := range actions {
		in, err := question(ctx, action)
		if err != nil {
			return nil, err
		}
		if all[action], err = g.can(wait, in); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (g *Guard) can(ctx context.Context, in *policy.Input) (policy.Decision, error) {
	d, err := g.decide(ctx, in)
	if err != nil {
		no := g.refuse(in.Action, CodeUnavailable, "policy", err)
		g.recordCan(ctx, in, d, no)
		return policy.Decision{}, no
	}
	g.recordCan(ctx, in, d, nil)
	return d, nil
}

// question is the input of the request's Principal, about action.
func question(ctx context.Context, action string) (*policy.Input, error) {
	if !isScope(action) {
		return nil, fmt.Errorf("middleware: Can: action %q is no scope-token (RFC 6749 section 3.3)", action)
	}
	p, ok := PrincipalFrom(ctx)
	if !ok {
		return nil, errors.New("middleware: Can: no Principal in this context: call it behind Require, with the request's context")
	}
	in := p.input
	in.Action = action
	if in.Subject == nil {
		in.Subject = policy.NewSubject(policy.Token{Subject: p.Subject}, p.Org, p.Member)
	}
	return &in, nil
}
