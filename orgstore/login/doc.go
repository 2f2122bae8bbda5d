// Package login decides how a login to organizations goes: what the user must be asked next, and how pages and e-mails of it look.
//
// It answers, and shows nothing itself: the pages, the redirects to identity providers, passwords and tokens are the embedder's. A
// "no" is an *Error in the words of OAuth 2.0, ready to be sent to the application; any other error is a "don't know".
package login
