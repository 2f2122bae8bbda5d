// Package middleware puts authorization before net/http handlers: token, membership, policy, one line per route.
//
//	guard, err := middleware.New(middleware.Config{Tokens: tokens, Members: members, Policy: rules})
//	mux := middleware.NewMux()
//	mux.Handle("GET /orgs/{org}/adventures", guard.RequireFunc("read:adventures", listAdventures))
//	http.ListenAndServe(addr, middleware.Problems(mux))
//
//	func listAdventures(w http.ResponseWriter, r *http.Request) {
//		who := middleware.MustPrincipal(r.Context()) // who.Org.ID, who.Member.Roles, who.Has("create:adventures")
//		…
//	}
//
// Start with New and Guard.Require. Options say what is special about a route: Resource, OrgFromHeader, OrgFromHost,
// OrgFromToken, OpaqueValues, Strong. Handlers use MustPrincipal, MustResource, Guard.Can and Check, and WriteProblem.
// Guard.Authorize is the same without HTTP. Guard.Audit, in a test, finds the route that somebody forgot. Package
// middlewaretest lets a team test its handlers without tokens. Any http.ServeMux does; Mux is one that can be audited.
//
// # What it promises
//
// A handler behind Require runs only when the token was verified, its subject is an active member of the token's
// organization, everything in the request that names an organization names that one, and the policy allows. A request that
// cannot be decided, because the keys, the store, the policy or a resource are out of reach, have failed or panicked, is
// refused as well, and as "don't know" (503), never as "no"; so is one that takes longer than Config.Timeout, which ends the
// context that they are asked with. There is one exception: where
// the policies are there but their evaluation fails, or uses up its budget (policy.Config.Timeout), the policies have not
// allowed, which is a "no" with a type of its own in the log; asking again would not help.
//
// The token decides the organization, the store decides the membership: neither a path nor a role in the token ever widens
// anything. The policy sees the method, the pattern that matched and its values, never a raw path, a query or a header.
// Override headers, forwarded headers, and tokens in a query or a body are not looked at. HEAD reaches handlers of GET
// patterns under their action, and policies see it as HEAD.
//
// How fresh an answer is, is the business of the verifier, the resolver and the policy that New was given: a Guard caches
// no answer. A request that was let through is not looked at again while its handler runs.
//
// # Answers
//
// Refusals are application/problem+json (RFC 9457) with Cache-Control: no-store, and WWW-Authenticate after RFC 6750. This
// is the only table; type is "urn:orgauthz:problem:" and the name given here.
//
//	code                    status  type                    challenge            when
//	no_credentials          401     no_credentials          realm                no Authorization header, or of another scheme
//	invalid_request         400     invalid_request         invalid_request      two of them, a broken one, a lower-case method
//	invalid_token           401     invalid_token           invalid_token        the token is not valid, whatever the reason;
//	                                                                             no sub; issued before signing out everywhere
//	insufficient_user_      401     insufficient_user_      insufficient_user_   the organization's security policy demands another
//	authentication                  authentication          authentication,      login: with a second factor (acr_values), or more
//	                                                        acr_values, max_age  recent (max_age); RFC 9470
//	no_organization_access  403     no_organization_access  -                    see below
//	insufficient_scope      403     insufficient_scope      insufficient_scope,  denied, no policy gave a reason, and the action
//	                                                        scope                is not among the member's permissions
//	policy_denied           403     policy_denied           -                    every other denial, with "reasons":[…]
//	policy_failed           403     policy_denied           -                    the evaluation failed
//	policy_timed_out        403     policy_denied           -                    the evaluation took too long
//	not_found               404     not_found               -                    allowed, but the resource does not exist
//	unavailable             503     unavailable             -                    nobody knows; Retry-After says when to ask again
//
// One answer, byte for byte, is given for an organization that does not exist, that is suspended, that the subject is no
// member of or is blocked in, that is another one than the token's, and for a reference that is not well-formed or a token
// without an organization: nothing tells them apart. In the same way one answer covers everything that is wrong with a
// token. The decision log has the difference.
//
// Problems gives a mux's own 404 (type not_found) and 405 (type method_not_allowed) the same form.
//
// # What it does not do
//
// It does not filter what a handler returns, check a request's body, or limit rates. Sender-constrained tokens (RFC 9449,
// RFC 8705) are refused, since nothing here checks their proof. What goes around the mux, such as a handler registered
// outside of it, goes around the Guard.
package middleware
