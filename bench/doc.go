// Package bench measures what a request costs that orgauthz guards, beside what it costs behind other libraries.
//
// Every row answers the same request: the same RS256 token of the shape that Auth0 issues, the same members and roles, the same
// decision, the same handler behind the same net/http mux, in one process. A row is checked for its status before it is timed, and
// again on every answer. The peers are called as their own documentation shows, and with the caches that they offer.
//
//	go run -C bench ./cmd/report
//
// prints all rows of one run as a table. Only ratios within one run say anything: machines are noisy.
//
// This is a module of its own, never tagged, so that the peers never reach a user's go.mod.
package bench
