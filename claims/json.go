package claims

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// encoding/json accepts duplicate members, names that differ in case, broken UTF-8 and half surrogates: each of them lets
// two readers see two different tokens. This parser accepts RFC 8259 with none of these, and nothing else.

const maxDepth = 16 // objects and arrays inside each other; real tokens have 3 or 4

var (
	errSyntax    = errors.New("not valid JSON")
	errNotObject = errors.New("not a JSON object")
	errTrailing  = errors.New("bytes after the JSON object")
	errUTF8      = errors.New("not valid UTF-8")
	errDepth     = errors.New("JSON nested too deeply")
	errDuplicate = errors.New("JSON object with a duplicate member")
)

// member is one member of an object: its name, without quotes and escapes, and the JSON of its value.
type member struct{ name, raw string }

// jsonParser walks over s once. Everything that it returns is a part of s, so it hardly allocates.
type jsonParser struct {
	s     string
	i     int
	names []string // of the objects that are open, the innermost last
}

// parseObject returns the members of the JSON object that s is, in order. All that is inside of them has been checked.
func parseObject(s string) ([]member, error) {
	if !utf8.ValidString(s) {
		return nil, errUTF8
	}
	var names [24]string
	p := jsonParser{s: s, names: names[:0]}
	p.space()
	if p.peek() != '{' {
		return nil, errNotObject
	}
	members := make([]member, 0, 16)
	if err := p.object(1, &members); err != nil {
		return nil, err
	}
	p.space()
	if p.i != len(s) {
		return nil, errTrailing
	}
	return members, nil
}

func (p *jsonParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0 // NUL is no part of JSON outside of a string, nor inside
}

func (p *jsonParser) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
}

func (p *jsonParser) value(depth int) error {
	switch c := p.peek(); {
	case c == '"':
		return p.text()
	case c == '{':
		return p.object(depth+1, nil)
	case c == '[':
		return p.array(depth+1, nil)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(p.s)-p.i >= len(word) && p.s[p.i:p.i+len(word)] == word {
			p.i += len(word)
			return nil
		}
	}
	return errSyntax
}

// object reads an object, and appends its members to out unless that is nil.
func (p *jsonParser) object(depth int, out *[]member) error {
	if depth > maxDepth {
		return errDepth
	}
	p.i++ // {
	base := len(p.names)
	for first := true; ; first = false {
		p.space()
		if first && p.peek() == '}' {
			break
		}
		if p.peek() != '"' {
			return errSyntax
		}
		start := p.i
		if err := p.text(); err != nil {
			return err
		}
		name, _ := asString(p.s[start:p.i])
		p.names = append(p.names, name)
		p.space()
		if p.peek() != ':' {
			return errSyntax
		}
		p.i++
		p.space()
		start = p.i
		if err := p.value(depth); err != nil {
			return err
		}
		if out != nil {
			*out = append(*out, member{name, p.s[start:p.i]})
		}
		p.space()
		if p.peek() != ',' {
			break
		}
		p.i++
	}
	if p.peek() != '}' {
		return errSyntax
	}
	p.i++
	if hasDuplicate(p.names[base:]) {
		return errDuplicate
	}
	p.names = p.names[:base]
	return nil
}

// hasDuplicate may sort names: a token may carry a thousand of them, and comparing each with each would be an attack.
func hasDuplicate(names []string) bool {
	if len(names) > 16 {
		slices.Sort(names)
		for i := 1; i < len(names); i++ {
			if names[i] == names[i-1] {
				return true
			}
		}
		return false
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return true
		}
	}
	return false
}

// array reads an array, and appends the JSON of its elements to out unless that is nil.
func (p *jsonParser) array(depth int, out *[]string) error {
	if depth > maxDepth {
		return errDepth
	}
	p.i++ // [
	for first := true; ; first = false {
		p.space()
		if first && p.peek() == ']' {
			break
		}
		start := p.i
		if err := p.value(depth); err != nil {
			return err
		}
		if out != nil {
			*out = append(*out, p.s[start:p.i])
		}
		p.space()
		if p.peek() != ',' {
			break
		}
		p.i++
	}
	if p.peek() != ']' {
		return errSyntax
	}
	p.i++
	return nil
}

// text reads a string with its quotes. UTF-8 has been checked before.
func (p *jsonParser) text() error {
	p.i++ // "
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return nil
		case c < 0x20:
			return errSyntax
		case c != '\\':
			p.i++
		default:
			if err := p.escape(); err != nil {
				return err
			}
		}
	}
	return errSyntax
}

func (p *jsonParser) escape() error {
	p.i++ // \
	switch p.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.i++
		return nil
	case 'u':
		unit, ok := p.unit()
		switch {
		case !ok, unit >= 0xDC00 && unit <= 0xDFFF:
			return errSyntax
		case unit >= 0xD800 && unit <= 0xDBFF: // the first half of a pair
			if p.peek() != '\\' {
				return errSyntax
			}
			p.i++
			if unit, ok = p.unit(); !ok || unit < 0xDC00 || unit > 0xDFFF {
				return errSyntax
			}
		}
		return nil
	}
	return errSyntax
}

// unit reads uXXXX.
func (p *jsonParser) unit() (uint64, bool) {
	if len(p.s)-p.i < 5 || p.s[p.i] != 'u' {
		return 0, false
	}
	hex := p.s[p.i+1 : p.i+5]
	if hex[0] == '+' { // ParseUint refuses signs; said here because much hangs on it
		return 0, false
	}
	unit, err := strconv.ParseUint(hex, 16, 16)
	p.i += 5
	return unit, err == nil
}

func (p *jsonParser) number() error {
	if p.peek() == '-' {
		p.i++
	}
	switch c := p.peek(); {
	case c == '0':
		p.i++
	case c >= '1' && c <= '9':
		p.digits()
	default:
		return errSyntax
	}
	if p.peek() == '.' {
		p.i++
		if !p.digits() {
			return errSyntax
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.i++
		if c := p.peek(); c == '+' || c == '-' {
			p.i++
		}
		if !p.digits() {
			return errSyntax
		}
	}
	return nil
}

func (p *jsonParser) digits() bool {
	start := p.i
	for p.peek() >= '0' && p.peek() <= '9' {
		p.i++
	}
	return p.i > start
}

// The functions below read a value that the parser has checked. Each reports false for a value of another JSON type.

func asString(raw string) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	for i := range len(raw) {
		if raw[i] == '\\' {
			var s string
			err := json.Unmarshal([]byte(raw), &s)
			return s, err == nil
		}
	}
	return raw[1 : len(raw)-1], true
}

func asStrings(raw string) ([]string, bool) {
	if raw[0] != '[' {
		return nil, false
	}
	p := jsonParser{s: raw}
	var list []string
	if err := p.array(1, &list); err != nil {
		return nil, false
	}
	for i, element := range list {
		s, ok := asString(element)
		if !ok {
			return nil, false
		}
		list[i] = s
	}
	return list, true
}

// asTime reads a NumericDate (RFC 7519 section 2): seconds since 1970, up to the year 9999, fractions allowed.
func asTime(raw string) (time.Time, bool) {
	const last = 253402300799
	if sec, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return time.Unix(sec, 0).UTC(), sec >= 0 && sec <= last
	}
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || !(f >= 0 && f <= last) {
		return time.Time{}, false
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)).UTC(), true
}
