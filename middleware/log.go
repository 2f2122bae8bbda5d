package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/policy"
)

// record writes the decision log's record of one request. reported says that a refusal is let through.
func (g *Guard) record(p *passage, no *Refusal, reported bool) {
	level := g.cfg.AllowLevel.Level()
	switch {
	case no == nil:
	case reported, no.Code == CodeUnavailable && p.Err() == nil: // who gave up waiting is no outage
		level = slog.LevelWarn
	default:
		level = slog.LevelInfo
	}
	if !g.cfg.Logger.Enabled(p.Context, level) {
		return
	}
	in := &p.principal.input
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, describe(in)...)
	attrs = append(attrs, slog.String("subject", clean(p.principal.Subject)), slog.String("org", clean(p.org())))
	if p.token != "" {
		attrs = append(attrs, slog.String("token", fingerprint(p.token)))
	}
	attrs = append(attrs, verdict(p.principal.Decision, no)...)
	message := "decision"
	if no != nil && reported {
		message = "decision let through by report-only mode"
	}
	g.cfg.Logger.LogAttrs(p.Context, level, message, attrs...)
}

// recordCan writes the record of one answer of Can. Its "no" is as ordinary as its "yes".
func (g *Guard) recordCan(ctx context.Context, in *policy.Input, d policy.Decision, no *Refusal) {
	level := g.cfg.AllowLevel.Level()
	if no != nil {
		level = slog.LevelWarn
	}
	if !g.cfg.Logger.Enabled(ctx, level) {
		return
	}
	attrs := append(describe(in), slog.Bool("inside", true),
		slog.String("subject", clean(in.Subject.Member().ID)), slog.String("org", clean(in.Subject.Org().ID)))
	g.cfg.Logger.LogAttrs(ctx, level, "decision", append(attrs, verdict(d, no)...)...)
}

// org is the id of the organization that the request is about, as far as it is known.
func (p *passage) org() string {
	switch {
	case p.principal.Org.ID != "":
		return p.principal.Org.ID
	case p.principal.Token == nil:
		return ""
	case p.principal.Token.Org.ID != "":
		return p.principal.Token.Org.ID
	}
	return p.principal.Token.Org.Name
}

func describe(in *policy.Input) []slog.Attr {
	return []slog.Attr{
		slog.String("action", clean(in.Action)),
		slog.String("method", clean(in.Request.Method)),
		slog.String("pattern", clean(in.Request.Pattern)),
	}
}

func verdict(d policy.Decision, no *Refusal) []slog.Attr {
	if no == nil {
		outcome := "allowed"
		if !d.Allow {
			outcome = "denied"
		}
		return []slog.Attr{slog.String("outcome", outcome), slog.String("revision", clean(d.Revision))}
	}
	outcome := "refused"
	if no.Code == CodeUnavailable {
		outcome = "unknown"
	}
	attrs := []slog.Attr{slog.String("outcome", outcome), slog.String("code", string(no.Code))}
	if no.cause != "" {
		attrs = append(attrs, slog.String("cause", no.cause))
	}
	if d.Revision != "" {
		attrs = append(attrs, slog.String("revision", clean(d.Revision)))
	}
	if len(no.Reasons) > 0 {
		reasons, _ := json.Marshal(no.Reasons) // they are JSON values
		attrs = append(attrs, slog.String("reasons", cleanTo(string(reasons), maxErrorText)))
	}
	if no.err != nil {
		text := no.err.Error()
		if e, ok := errors.AsType[*claims.Error](no.err); ok && e.Cause != nil {
			text += ": " + e.Cause.Error() // what clients are not to know, such as whether the key was unknown
		}
		attrs = append(attrs, slog.String("error", cleanTo(text, maxErrorText)))
	}
	return attrs
}

// fingerprint tells tokens apart without being one. What is too long to be a token is not worth the hashing.
func fingerprint(token string) string {
	if len(token) > maxFingerprinted {
		return "too long"
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:4])
}

// Longest texts in a record, in bytes.
const (
	maxText      = 128
	maxErrorText = 512

	maxFingerprinted = 64 << 10 // of a token
)

func clean(s string) string { return cleanTo(s, maxText) }

// cleanTo makes s fit for a log: without control characters and characters that change the direction of text (each becomes
// U+FFFD), valid UTF-8, and only a little longer than limit bytes.
func cleanTo(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return utf8.RuneError
		}
		return r
	}, s), "\uFFFD")
	if cut {
		s += "…"
	}
	return s
}
