package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// parseJSON reads exactly one JSON value, as encoding/json does with UseNumber, but straight into OPA's terms. OPA refuses numbers
// whose exponent would make arithmetic on them expensive.
func parseJSON(raw []byte) (*ast.Term, error) {
	if !json.Valid(raw) { // from here on the text is well-formed, and no deeper than encoding/json allows
		return nil, errors.New("not one JSON value")
	}
	p := jsonParser{text: string(raw)}
	t := p.value()
	return t, p.err
}

type jsonParser struct {
	text string // what is left
	err  error  // the first number or string that cannot be used
}

// next skips white space and the punctuation between values, and returns the first character of what follows.
func (p *jsonParser) next() byte {
	i := 0
	for isBetween(p.text[i]) {
		i++
	}
	p.text = p.text[i:]
	return p.text[0]
}

func isBetween(c byte) bool { return c <= ' ' || c == ',' || c == ':' }

func (p *jsonParser) value() *ast.Term {
	switch p.next() {
	case '{':
		p.text = p.text[1:]
		obj := ast.NewObjectWithCapacity(4)
		for p.next() != '}' {
			key := ast.StringTerm(p.string())
			obj.Insert(key, p.value())
		}
		p.text = p.text[1:]
		return ast.NewTerm(obj)
	case '[':
		p.text = p.text[1:]
		var terms []*ast.Term
		for p.next() != ']' {
			terms = append(terms, p.value())
		}
		p.text = p.text[1:]
		return ast.ArrayTerm(terms...)
	case '"':
		return ast.StringTerm(p.string())
	case 't':
		p.text = p.text[len("true"):]
		return ast.InternedTerm(true)
	case 'f':
		p.text = p.text[len("false"):]
		return ast.InternedTerm(false)
	case 'n':
		p.text = p.text[len("null"):]
		return ast.NullTerm()
	}
	end := 1
	for end < len(p.text) && p.text[end] != ']' && p.text[end] != '}' && !isBetween(p.text[end]) {
		end++
	}
	n, err := ast.NumberChecked(p.text[:end])
	if err != nil && p.err == nil {
		p.err = err
	}
	p.text = p.text[end:]
	return ast.NewTerm(n)
}

func (p *jsonParser) string() string {
	end := 1
	for p.text[end] != '"' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	quoted := p.text[:end+1]
	p.text = p.text[end+1:]
	if s := quoted[1:end]; strings.IndexByte(s, '\\') < 0 && utf8.ValidString(s) {
		return s
	}
	var s string
	if err := json.Unmarshal([]byte(quoted), &s); err != nil && p.err == nil {
		p.err = err
	}
	return s
}
