package claims

import (
	"errors"
	"log/slog"
)

// The two categories of errors that [Verifier.Verify] returns. Every one of them is exactly one of the two.
var (
	// ErrInvalid: the token is known to be unacceptable. HTTP answers 401 with error="invalid_token" (RFC 6750).
	ErrInvalid = errors.New("claims: token refused")
	// ErrUnavailable: whether the token is acceptable cannot be known now. HTTP answers 503.
	ErrUnavailable = errors.New("claims: token cannot be checked now")
)

// Code says in one stable word why a token was refused. It names no secret, so it may be logged and counted. Beside an
// answer to a client it is safe as well: an unknown key and a bad signature have the same Code.
type Code string

// The codes. All but CodeKeysUnavailable are ErrInvalid.
const (
	CodeTooLarge            Code = "too_large"             // longer than Config.MaxTokenBytes
	CodeMalformed           Code = "malformed"             // no strict compact JWS with strict JSON inside, or a claim of the wrong JSON type
	CodeHeaderNotAllowed    Code = "header_not_allowed"    // a header parameter that changes how a token is read: crit, b64, jku, x5u, jwk …
	CodeAlgorithmNotAllowed Code = "algorithm_not_allowed" // alg is not in the issuer's allow-list
	CodeWrongIssuer         Code = "wrong_issuer"          // iss is none of the configured issuers
	CodeInvalidSignature    Code = "invalid_signature"     // no key of the issuer made this signature, for whatever reason
	CodeWrongType           Code = "wrong_type"            // typ is not accepted, or the token is an ID token
	CodeWrongAudience       Code = "wrong_audience"        // aud names none of the issuer's audiences
	CodeMissingClaim        Code = "missing_claim"         // iss, sub, aud or exp is missing or empty
	CodeExpired             Code = "expired"               // exp has passed
	CodeNotYetValid         Code = "not_yet_valid"         // nbf or iat lies in the future
	CodeLifetimeTooLong     Code = "lifetime_too_long"     // exp lies more than Config.MaxLifetime after iat, see there
	CodeSenderConstrained   Code = "sender_constrained"    // cnf binds the token to a key that nothing here checks
	CodeKeysUnavailable     Code = "keys_unavailable"      // the issuer's keys are not known, or it has none; ErrUnavailable
)

// Error is what [Verifier.Verify] returns. Neither its text nor its fields hold any part of the token, but they may say
// more than a client should know: answer clients by Code, and log the Error.
type Error struct {
	Code   Code
	Detail string // what exactly was wrong, "" when Code says it all
	Cause  error  // for logs only: what lies below, such as whether the key was unknown or the signature wrong; may be nil
}

// Error says the code and the detail. It leaves out Cause, so that an unknown key reads like a bad signature.
func (e *Error) Error() string {
	if e.Detail == "" {
		return "claims: " + string(e.Code)
	}
	return "claims: " + string(e.Code) + ": " + e.Detail
}

// Is reports whether target is the category of e: ErrInvalid or ErrUnavailable.
func (e *Error) Is(target error) bool {
	if e.Code == CodeKeysUnavailable {
		return target == ErrUnavailable
	}
	return target == ErrInvalid
}

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// LogValue makes slog write all that is known, Cause included.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("code", string(e.Code))}
	if e.Detail != "" {
		attrs = append(attrs, slog.String("detail", e.Detail))
	}
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	return slog.GroupValue(attrs...)
}

func refuse(code Code, detail string) error { return &Error{Code: code, Detail: detail} }

// refuseSignature is the one answer to every token that no key of its issuer vouches for.
func refuseSignature(cause error) error { return &Error{Code: CodeInvalidSignature, Cause: cause} }

func unavailable(detail string, cause error) error {
	return &Error{Code: CodeKeysUnavailable, Detail: detail, Cause: cause}
}
