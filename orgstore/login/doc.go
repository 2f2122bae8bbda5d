// Package login decides how a login to organizations goes: what the user must be asked next, what an authentication yields, and
// how pages and e-mails of it look.
//
//	service, err := login.New(engine, login.Config{})
//
//	step, err := service.Plan(ctx, login.Request{Client: "adventures", Organization: "org_…"})
//	// step.Do says what to show: a prompt, connections, a picker. Each answer is one more field of the Request.
//
//	result, err := service.Complete(ctx, request, login.Authentication{User: "auth0|emilio", Connection: "con_…"})
//	// result.Access is what the user may do there; result.Step, if not nil, is what is left to ask first.
//
//	session, err := engine.Sessions.Create(ctx, orgstore.Session{User: "auth0|emilio", Connection: "con_…"})
//	tokens, err := service.Tokens(ctx, login.TokenRequest{Client: "adventures", Session: session.ID, Organization: result.Access.Org.ID})
//	// what to sign; later Refresh, or Switch for another organization without a new login. Machines: ClientCredentials.
//
// It shows and signs nothing itself: the pages, the redirects to identity providers, passwords and keys are the embedder's. A "no" is an
// *Error in the words of OAuth 2.0, ready to be sent to the application unless Error.Show says that it must not go there; any other
// error is a "don't know".
package login
