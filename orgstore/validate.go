package orgstore

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest texts, in characters where nothing else is said.
const (
	maxOrganizationName = 50   // ORG-1
	maxDisplayName      = 255  // ORG-3
	maxMetadata         = 255  // ORG-3: a key, and a value
	maxUserID           = 1024 // bytes; ids of users are their identity provider's, so that we only bound them
	maxEmail            = 320
	maxUserName         = 300
	maxRoleName         = 100
	maxDescription      = 255
	maxPermission       = 280
)

// newID returns a new id: prefix and 16 alphanumerics with 80 random bits.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()[:16]) }

// validID reports whether id is prefix and 16 alphanumerics.
func validID(prefix, id string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) != 16 {
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; !isLower(c) && !isDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// validName reports whether name is the name of an organization (rule ORG-1).
func validName(name string) bool {
	if name == "" || len(name) > maxOrganizationName || strings.HasPrefix(name, "org_") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		inner := i > 0 && i < len(name)-1
		if !isLower(c) && !isDigit(c) && (!inner || c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// nameOf returns the name that ref asks for: ref in lower case, if that is a name (rule ORG-1).
func nameOf(ref string) (name string, ok bool) {
	if len(ref) > maxOrganizationName {
		return "", false
	}
	name = strings.ToLower(ref)
	// What gets shorter was no ASCII: the lower case of the Kelvin sign is a k.
	return name, len(name) == len(ref) && validName(name)
}

// printable reports whether s is valid UTF-8 without control characters, line separators and the like.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// readable reports whether s is valid UTF-8 without control characters and line breaks. It admits what scripts need between
// letters, such as joiners.
func readable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}

// validUserID reports whether id can be the id of a user.
func validUserID(id string) bool { return id != "" && len(id) <= maxUserID && printable(id) }

// validActor reports whether actor can be named in an event.
func validActor(actor string) bool { return actor == "" || validUserID(actor) }

// validClientID reports whether id can be the id of an application. Given ids are the identity provider's, so that only their
// form is bounded.
func validClientID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return r > 'z' || !isLower(byte(r)) && !isDigit(byte(r)) && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
}

// validAPI reports whether identifier can be the identifier of an API, which is the audience of its tokens (RFC 9068 section 3).
func validAPI(identifier string) bool {
	return identifier != "" && len(identifier) <= 600 && !strings.ContainsFunc(identifier, func(r rune) bool { return r <= ' ' || r > '~' })
}

// validTemplateID reports whether id can name a template: its owner's id (none for the tenant's), a slash and its kind.
func validTemplateID(id string) bool { return id != "" && len(id) <= 128 && printable(id) }

// checkText checks a text that people read.
func checkText(field, rule, s string, most int) error {
	if !readable(s) || utf8.RuneCountInString(s) > most {
		return &Invalid{field, rule, "must be at most " + strconv.Itoa(most) + " characters, without control characters and line breaks"}
	}
	return nil
}

// checkID checks an id that was given on create.
func checkID(prefix, id string) error {
	if !validID(prefix, id) {
		return &Invalid{"id", "", "must be " + prefix + " and 16 alphanumeric characters, or empty to get a new one"}
	}
	return nil
}

func checkName(name string) error {
	if !validName(name) {
		return &Invalid{"name", "ORG-1", "must be 1 to 50 of a-z 0-9 - _, begin and end with a letter or digit, and not begin with org_"}
	}
	return nil
}

// checkMetadata checks all the metadata of one thing.
func checkMetadata(metadata map[string]string, limit int) error {
	for key, value := range metadata {
		if key == "" || !validMetadata(key) || !validMetadata(value) {
			return &Invalid{"metadata", "ORG-3", "must have keys of 1 to 255 and values of at most 255 characters, valid UTF-8 without NUL"}
		}
	}
	if len(metadata) > limit {
		return &Limit{"metadata pairs", limit}
	}
	return nil
}

func validMetadata(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0) && utf8.RuneCountInString(s) <= maxMetadata
}

// patched returns metadata with patch applied: a nil value removes its key.
func patched(metadata map[string]string, patch map[string]*string) map[string]string {
	if len(patch) == 0 {
		return metadata
	}
	metadata = maps.Clone(metadata)
	for key, value := range patch {
		switch {
		case value == nil:
			delete(metadata, key)
		case metadata == nil:
			metadata = map[string]string{key: *value}
		default:
			metadata[key] = *value
		}
	}
	return emptyToNil(metadata)
}

func emptyToNil(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

func encodeMetadata(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	data, err := json.Marshal(m)
	return string(data), err
}

func decodeMetadata(s string) (m map[string]string, err error) {
	if s == "" || s == "{}" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(s), &m)
	return m, err
}

// pairs is where stored metadata goes.
type pairs struct{ m *map[string]string }

// Scan makes pairs a sql.Scanner.
func (p pairs) Scan(src any) error {
	var text sql.NullString
	err := text.Scan(src)
	if err == nil {
		*p.m, err = decodeMetadata(text.String)
	}
	return err
}

// checkPermissions returns permissions sorted, each once. A permission is a scope-token of RFC 6749 section 3.3, so that it
// can stand in a token's scope and in a space-separated column.
func checkPermissions(permissions []string, limit int) ([]string, error) {
	for _, p := range permissions {
		if p == "" || len(p) > maxPermission || strings.ContainsFunc(p, func(r rune) bool {
			return r <= ' ' || r > '~' || r == '"' || r == '\\'
		}) {
			return nil, &Invalid{"permissions", "ROL-5", `must each be 1 to 280 ASCII characters without spaces, " and \`}
		}
	}
	permissions = unique(permissions)
	if len(permissions) > limit {
		return nil, &Limit{"permissions per role", limit}
	}
	return permissions, nil
}

// unique returns a sorted copy of list with each element once; nil when it is empty.
func unique(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// newTicket returns a secret with 130 random bits, and what is stored of it.
func newTicket() (ticket, hash string) {
	ticket = rand.Text()
	return ticket, hashOf(ticket)
}

// hashOf is how a secret with 128 random bits or more is stored: nobody can guess it, so that it needs no salt.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
