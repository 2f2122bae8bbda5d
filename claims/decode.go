package claims

import (
	"slices"
	"strings"
)

// fixedClaims are those that decode reads for every issuer, whatever its Dialect.
var fixedClaims = []string{
	"iss", "sub", "jti", "aud", "exp", "iat", "nbf", "client_id", "azp", "scope", "sid", "acr", "amr", "auth_time", "act", "cnf",
}

// decode reads the claims of a token whose signature was checked, and checks all that does not depend on time.
func (i *trustedIssuer) decode(t *compact) (*Claims, error) {
	c := &Claims{payload: t.payload}
	d := &i.dialect
	own := []string{d.OrgID, d.OrgName}
	var azp string
	orgNameOK := true
	for _, m := range t.payload {
		if isCaseVariant(m.name, own) {
			return nil, refuse(CodeMalformed, "payload: "+errCaseVariant.Error())
		}
		var ok bool
		switch m.name {
		case "iss":
			c.Issuer, ok = asString(m.raw)
		case "sub":
			c.Subject, ok = asString(m.raw)
		case "jti":
			c.ID, ok = asString(m.raw)
		case "aud":
			c.Audience, ok = asAudience(m.raw)
		case "exp":
			c.Expiry, ok = asTime(m.raw)
		case "iat":
			c.IssuedAt, ok = asTime(m.raw)
		case "nbf":
			c.NotBefore, ok = asTime(m.raw)
		case "client_id":
			c.ClientID, ok = asString(m.raw)
		case "azp":
			azp, ok = asString(m.raw)
		case "scope":
			var scope string
			scope, ok = asString(m.raw)
			c.Scopes = slices.DeleteFunc(strings.Split(scope, " "), func(s string) bool { return s == "" })
		case "sid":
			c.SessionID, ok = asString(m.raw)
		case "acr":
			c.ACR, ok = asString(m.raw)
		case "amr":
			c.AMR, ok = asStrings(m.raw)
		case "auth_time":
			c.AuthTime, ok = asTime(m.raw)
		case "act":
			c.Actor, ok = asActor(m.raw)
		case "cnf":
			c.Confirmation, ok = asConfirmation(m.raw)
		case d.OrgID:
			c.Org.ID, ok = asOptionalString(m.raw)
		case d.OrgName:
			c.Org.Name, orgNameOK = asOptionalString(m.raw)
			ok = true
		case d.Permissions:
			c.Permissions, ok = asStrings(m.raw)
		case d.Roles:
			c.Roles, ok = asStrings(m.raw)
		default:
			ok = true
		}
		if !ok {
			return nil, refuse(CodeMalformed, "payload: claim of the wrong type: "+m.name)
		}
	}
	if !orgNameOK && c.Org.ID == "" { // beside an id, which decides, the name does not matter
		return nil, refuse(CodeMalformed, "payload: claim of the wrong type: "+d.OrgName)
	}
	if c.ClientID == "" {
		c.ClientID = azp
	}
	return c, i.checkClaims(t, c, azp)
}

func (i *trustedIssuer) checkClaims(t *compact, c *Claims, azp string) error {
	switch {
	case c.Issuer != i.url:
		return refuse(CodeWrongIssuer, "")
	case c.Subject == "":
		return refuse(CodeMissingClaim, "sub")
	case c.Audience == nil:
		return refuse(CodeMissingClaim, "aud")
	case c.Expiry.IsZero():
		return refuse(CodeMissingClaim, "exp")
	case !slices.ContainsFunc(c.Audience, func(aud string) bool { return slices.Contains(i.audience, aud) }):
		return refuse(CodeWrongAudience, "")
	}
	typ := mediaType(t.typ)
	if !slices.Contains(i.dialect.Types, typ) {
		return refuse(CodeWrongType, "typ")
	}
	if typ == typeAccessToken {
		return nil
	}
	// An ID token has the same issuer, keys and typ, and the client that it was made for as its audience.
	for _, client := range []string{c.ClientID, azp} {
		if client != "" && slices.Contains(c.Audience, client) {
			return refuse(CodeWrongType, "an ID token: aud is the client")
		}
	}
	for _, m := range t.payload {
		if m.name == "nonce" || m.name == "at_hash" {
			return refuse(CodeWrongType, "an ID token: "+m.name)
		}
	}
	return nil
}

// asOptionalString takes null for "", which some issuers write for what a token does not have.
func asOptionalString(raw string) (string, bool) {
	if raw == "null" {
		return "", true
	}
	return asString(raw)
}

func asAudience(raw string) ([]string, bool) {
	if one, ok := asString(raw); ok {
		return []string{one}, true
	}
	list, ok := asStrings(raw)
	return list, ok && len(list) > 0
}

func asActor(raw string) (*Actor, bool) {
	members, err := parseObject(raw)
	if err != nil {
		return nil, false
	}
	a := new(Actor)
	for _, m := range members {
		ok := true
		switch m.name {
		case "sub":
			a.Subject, ok = asString(m.raw)
		case "client_id":
			a.ClientID, ok = asString(m.raw)
		case "act":
			a.Actor, ok = asActor(m.raw)
		}
		if !ok {
			return nil, false
		}
	}
	return a, true
}

func asConfirmation(raw string) (Confirmation, bool) {
	members, err := parseObject(raw)
	if err != nil {
		return Confirmation{}, false
	}
	var cnf Confirmation
	for _, m := range members {
		ok := true
		switch m.name {
		case "jkt":
			cnf.JKT, ok = asString(m.raw)
		case "x5t#S256":
			cnf.X5TS256, ok = asString(m.raw)
		}
		if !ok {
			return Confirmation{}, false
		}
	}
	return cnf, true
}
