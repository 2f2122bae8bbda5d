package urls

import (
	"errors"
	"net/url"
	"strings"
)

// metadataPlaceholder begins a placeholder for a value of the organization's metadata in a login URI; what follows is its key
// and a brace (rule URL-2).
const metadataPlaceholder = "{organization.metadata."

// errLogin is what a login URI must be.
var errLogin = errors.New("must be an https URL of at most 2,048 ASCII characters, of no local host, without user info, whose variables are " +
	metadataPlaceholder + "KEY} with a KEY that begins with public_ or PUBLIC_, and are whole labels where they stand in the host")

// CheckLogin checks the URI at which an application begins a login (initiate_login_uri, OpenID Connect Core section 4). It may
// have a query and a fragment, and placeholders for public metadata of the organization: anywhere after the host, as one
// whole label of the host, or as the whole host.
func CheckLogin(s string) error {
	// What stands for every value must not decide anything: it is a host as well as a label, a path segment and a key.
	_, ok := login(s, func(_ string, whole bool) (string, bool) {
		if whole {
			return "example.com", true
		}
		return "x", true
	})
	if !ok {
		return errLogin
	}
	return nil
}

// CheckDefault checks a tenant's default login URI (default_redirection_uri): as CheckLogin, without placeholders.
func CheckDefault(s string) error {
	if strings.ContainsAny(s, "{}") || CheckLogin(s) != nil {
		return errors.New("must be an https URL of at most 2,048 ASCII characters, of no local host, without user info and variables")
	}
	return nil
}

// Login returns the URI at which an application begins a login for the organization with this metadata: template with the values
// that it asks for. Without a template, or when a value is missing or does not fit where it stands, it is the fallback; ok is
// false when that is none either.
//
// A value in the host is a host name, or one label of it; elsewhere it is escaped, so that it stays in its place.
func Login(template, fallback string, metadata map[string]string) (uri string, ok bool) {
	uri, ok = login(template, func(key string, _ bool) (string, bool) {
		value, ok := metadata[key]
		return value, ok && value != ""
	})
	if ok {
		return uri, true
	}
	return fallback, CheckDefault(fallback) == nil
}

// login fills in a template and checks the result. whole says that the value is the whole host.
func login(s string, value func(key string, whole bool) (string, bool)) (string, bool) {
	const scheme = "https://"
	if len(s) > maxLength || len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return "", false
	}
	host, after := s[len(scheme):], ""
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host, after = host[:end], host[end:]
	}
	host, ok := fillHost(host, value)
	if !ok {
		return "", false
	}
	after, ok = fillRest(after, value)
	if !ok {
		return "", false
	}
	filled := scheme + host + after
	plain, fragment, _ := strings.Cut(filled, "#")
	a, ok := parse(plain)
	if !ok || local(a.host) {
		return "", false
	}
	// A fragment has the characters of a query (RFC 3986 section 3.5).
	if _, ok := parse(scheme + "example.com/?" + fragment); !ok {
		return "", false
	}
	return filled, true
}

// fillHost fills in the host, whose labels are literal or one placeholder each.
func fillHost(host string, value func(key string, whole bool) (string, bool)) (string, bool) {
	var filled []string
	for rest := host; ; {
		key, after, ok := cutPlaceholder(rest)
		var label string
		switch {
		case !ok:
			label, after = rest, ""
			if end := strings.IndexAny(rest, ".:"); end >= 0 {
				label, after = rest[:end], rest[end:]
			}
		default:
			whole := rest == host && !strings.HasPrefix(after, ".")
			if label, ok = value(key, whole); !ok {
				return "", false
			}
			label = strings.ToLower(label)
			if !whole && !validLabel(label) || whole && !validHost(label, false) {
				return "", false
			}
		}
		filled = append(filled, label)
		switch {
		case strings.HasPrefix(after, "."):
			rest = after[1:]
		case after == "" || after[0] == ':':
			return strings.Join(filled, ".") + after, !strings.ContainsAny(after, "{}")
		default:
			return "", false
		}
	}
}

// fillRest fills in path, query and fragment.
func fillRest(s string, value func(key string, whole bool) (string, bool)) (string, bool) {
	var filled strings.Builder
	path := true
	for s != "" {
		key, after, ok := cutPlaceholder(s)
		if !ok {
			path = path && s[0] != '?' && s[0] != '#'
			filled.WriteByte(s[0])
			s = s[1:]
			continue
		}
		v, ok := value(key, false)
		if !ok || path && strings.Trim(v, ".") == "" { // a dot segment leads to somewhere else
			return "", false
		}
		filled.WriteString(escape(v))
		s = after
	}
	return filled.String(), true
}

// escape escapes s so that it stays what it is in a path, a query and a fragment.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// cutPlaceholder cuts the placeholder that s begins with.
func cutPlaceholder(s string) (key, after string, ok bool) {
	s, ok = strings.CutPrefix(s, metadataPlaceholder)
	if !ok {
		return "", "", false
	}
	key, after, ok = strings.Cut(s, "}")
	return key, after, ok && (strings.HasPrefix(key, "public_") || strings.HasPrefix(key, "PUBLIC_")) && !strings.Contains(key, "{")
}

// Invitation returns the link of an invitation: the login URI with the ticket and the organization that the application hands on
// to the login. What the URI's query already says is kept, except for the parameters of these names.
func Invitation(loginURI, ticket, organization, name string) string {
	plain, fragment, hasFragment := strings.Cut(loginURI, "#")
	base, query, _ := strings.Cut(plain, "?")
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(key); err == nil && key != "" && key != "invitation" && key != "organization" && key != "organization_name" {
			kept = append(kept, pair)
		}
	}
	kept = append(kept, "invitation="+url.QueryEscape(ticket), "organization="+url.QueryEscape(organization),
		"organization_name="+url.QueryEscape(name))
	link := base + "?" + strings.Join(kept, "&")
	if hasFragment {
		link += "#" + fragment
	}
	return link
}
