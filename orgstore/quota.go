package orgstore

import (
	"context"
	"time"
)

// Quota bounds how many tokens each machine may be given for one organization, as Auth0's token_quota does. 0 bounds nothing.
type Quota struct {
	PerHour int  `json:"per_hour,omitempty"` // 0 to 2,147,483,647, in each hour of UTC
	PerDay  int  `json:"per_day,omitempty"`  // 0 to 2,147,483,647, in each day of UTC
	Enforce bool `json:"enforce"`            // false: more are counted, and given all the same
}

// QuotaUse is how much of a Quota is used.
type QuotaUse struct {
	Hour, Day int       // tokens given in the current hour and day, the newest one included
	Over      bool      // more than the Quota: only with Enforce false
	ResetHour time.Time // when the hour ends, UTC
	ResetDay  time.Time // when the day ends, UTC
}

// CountToken counts a token that an application is about to be given for organization org, against q: before it is given
// (rule M2M-4). What Enforce refuses is not counted. It raises no revision and tells no event.
//
// Errors: Limit (tokens per hour, tokens per day), Invalid.
func (s *Clients) CountToken(ctx context.Context, client, org string, q Quota) (QuotaUse, error) {
	if !validClientID(client) || !validID("org_", org) {
		return QuotaUse{}, &Invalid{"client_id", "M2M-4", "and organization must be ids"}
	}
	if q.PerHour < 0 || q.PerDay < 0 {
		return QuotaUse{}, &Invalid{"token_quota", "M2M-4", "must not be negative"}
	}
	var use QuotaUse
	_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:clients"); err != nil {
			return err
		}
		tx.dirty = true
		now := tx.cfg.Clock().UTC()
		hour, day := now.Truncate(time.Hour), now.Truncate(24*time.Hour)
		use = QuotaUse{ResetHour: hour.Add(time.Hour), ResetDay: day.Add(24 * time.Hour)}
		for _, p := range []struct {
			period string
			begins time.Time
			most   int
			count  *int
		}{{"day", day, q.PerDay, &use.Day}, {"hour", hour, q.PerHour, &use.Hour}} {
			// The row that counts is the lock that makes the quota hold.
			if err := tx.sql.QueryRowContext(ctx, `
				INSERT INTO orgauthz_token_usage (org_id, client_id, period, begins_at, tokens) VALUES ($1, $2, $3, $4, 1)
				ON CONFLICT (org_id, client_id, period, begins_at) DO UPDATE SET tokens = orgauthz_token_usage.tokens + 1
				RETURNING tokens`, org, client, p.period, p.begins.UnixMicro()).Scan(p.count); err != nil {
				return err
			}
			if p.most == 0 || *p.count <= p.most {
				continue
			}
			if q.Enforce {
				return &Limit{"tokens per " + p.period, p.most}
			}
			use.Over = true
		}
		return nil
	})
	if err != nil {
		return QuotaUse{}, err
	}
	return use, nil
}
