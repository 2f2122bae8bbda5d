// Package urls holds the rules of the URLs that logins lead to: which patterns an application may be given, what they admit, and
// how parameters are put into them (rules URL-1 to URL-3). The text of an error says what a pattern must be and never repeats it.
package urls

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// NamePlaceholder stands for the name of the login's organization in a pattern (rule URL-1).
const NamePlaceholder = "{organization_name}"

// maxLength is the longest URL and pattern, in bytes. Browsers and servers differ above it.
const maxLength = 2048

// maxLabel is the longest label of a host name (RFC 1035 section 2.3.4).
const maxLabel = 63

// address is a URL without user info and fragment, in parts that are compared byte for byte.
type address struct {
	scheme, host, port string // in lower case; a scheme's own port is left out
	rest               string // path and query, as they were written
}

func (a address) web() bool { return a.scheme == "http" || a.scheme == "https" }

// parse takes an absolute URL apart. It refuses whatever a browser, a server and this package might read differently: user
// info, fragments, backslashes, spaces, control characters, anything but ASCII, numbers that browsers take for addresses.
func parse(s string) (address, bool) {
	if len(s) > maxLength || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"\\<>^`{|}#", r)
	}) {
		return address{}, false
	}
	u, err := url.Parse(s)
	scheme, after, ok := strings.Cut(s, ":")
	if err != nil || !ok || u.Scheme == "" || u.Opaque != "" || u.User != nil || !strings.EqualFold(scheme, u.Scheme) {
		return address{}, false
	}
	a := address{scheme: u.Scheme, rest: after}
	authority, hasAuthority := strings.CutPrefix(after, "//")
	if hasAuthority {
		end := strings.IndexAny(authority, "/?")
		if end < 0 {
			end = len(authority)
		}
		authority, a.rest = authority[:end], authority[end:]
	}
	if !a.web() {
		// RFC 8252 sections 7.1 and 8.4: an application's own scheme is a reversed domain name. What browsers act on by
		// themselves, such as javascript, has no dot.
		a.host = strings.TrimSuffix(after, a.rest) // with its slashes, if there are any
		return a, strings.Contains(a.scheme, ".") && (hasAuthority || strings.HasPrefix(a.rest, "/"))
	}
	if !hasAuthority || authority != u.Host {
		return address{}, false
	}
	a.host, a.port = strings.ToLower(u.Hostname()), u.Port()
	if strings.HasSuffix(authority, ":") || a.port != "" && !validPort(a.port) {
		return address{}, false
	}
	if a.scheme == "http" && a.port == "80" || a.scheme == "https" && a.port == "443" {
		a.port = ""
	}
	return a, validHost(a.host, strings.HasPrefix(authority, "["))
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}

// validHost reports whether host, in lower case, is a host name or an address in its canonical form.
func validHost(host string, brackets bool) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Is6() == brackets && ip.Zone() == "" && ip.String() == host
	}
	if brackets || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	// https://url.spec.whatwg.org/#ends-in-a-number-checker: browsers read such a host as an address, in octal or hexadecimal too.
	last := labels[len(labels)-1]
	return last[0] < '0' || last[0] > '9'
}

// validLabel reports whether label, in lower case, is a label of a host name. Underscores are none of a host's, but organization
// names have them, and browsers take them.
func validLabel(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(label, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// local reports whether host, in lower case, is this machine's.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// pattern is a compiled pattern: a URL whose leftmost host label may be variable.
type pattern struct {
	address        // its host is what follows the variable label, with the dot; or all of it
	name           bool
	wildcard       bool
	prefix, suffix string // around the wildcard
}

// compile takes a pattern apart. The error says what patterns must be.
func compile(s string) (pattern, error) {
	var p pattern
	head, authority, _ := strings.Cut(s, "://")
	label, rest := authority, ""
	if end := strings.IndexAny(authority, ".:/?#"); end >= 0 {
		label, rest = authority[:end], authority[end:]
	}
	switch {
	case label == NamePlaceholder:
		p.name = true
	case strings.Count(label, "*") == 1 && !strings.ContainsAny(label, "{}"):
		p.wildcard = true
		p.prefix, p.suffix, _ = strings.Cut(strings.ToLower(label), "*")
	case strings.ContainsAny(s, "*{}"):
		return p, errors.New("must have at most one variable, " + NamePlaceholder + " as the whole leftmost label of the host or * in it")
	}
	probe := s
	if p.name || p.wildcard {
		probe = head + "://" + p.prefix + "x" + p.suffix + rest
	}
	a, ok := parse(probe)
	if !ok || strings.Contains(probe, "*") {
		return p, errors.New("must be an absolute URL of at most 2,048 ASCII characters without user info, fragment, spaces and backslashes, " +
			"whose scheme is http, https or a reversed domain name")
	}
	p.address = a
	if !p.name && !p.wildcard {
		return p, nil
	}
	if !a.web() {
		return p, errors.New("must be http or https to have a variable")
	}
	_, p.host, _ = strings.Cut(a.host, ".")
	if p.host != "localhost" && !strings.Contains(p.host, ".") {
		return p, errors.New("must have a domain of its own to the right of the variable")
	}
	p.host = "." + p.host
	return p, nil
}

// CheckRedirect checks a pattern of URLs to return to after a login or a logout.
func CheckRedirect(s string) error {
	_, err := compile(s)
	return err
}

// CheckOrigin checks a pattern of web origins.
func CheckOrigin(s string) error {
	p, err := compile(s)
	if err == nil && (!p.web() || p.rest != "") {
		err = errors.New("must be an origin: http or https, a host and at most a port, with nothing after them")
	}
	return err
}

// Match reports whether target is what the pattern admits. name is the name of the organization that the login is for, or empty
// when it is for none, or the application uses none: then patterns with NamePlaceholder admit nothing. Apart from the variable
// label, and from the case of scheme and host, both must be the same byte for byte. What is no valid pattern admits nothing.
func Match(s, target, name string) bool {
	p, err := compile(s)
	t, ok := parse(target)
	if err != nil || !ok || p.scheme != t.scheme || p.port != t.port || p.rest != t.rest {
		return false
	}
	if !p.name && !p.wildcard {
		return p.host == t.host
	}
	label, ok := strings.CutSuffix(t.host, p.host)
	if !ok || !validLabel(label) { // one label deep
		return false
	}
	if p.name {
		return label == name
	}
	// Something must stand for the star.
	return len(label) > len(p.prefix)+len(p.suffix) &&
		strings.HasPrefix(label, p.prefix) && strings.HasSuffix(label, p.suffix)
}

// Allowed reports whether one of the patterns admits target.
func Allowed(patterns []string, target, name string) bool {
	for _, p := range patterns {
		if Match(p, target, name) {
			return true
		}
	}
	return false
}
