package policy

import (
	"encoding/json"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The keys of the input document, as terms that all documents share.
var (
	keyAction   = ast.StringTerm("action")
	keyRequest  = ast.StringTerm("request")
	keyToken    = ast.StringTerm("token")
	keyOrg      = ast.StringTerm("org")
	keyMember   = ast.StringTerm("member")
	keyResource = ast.StringTerm("resource")

	keyMethod  = ast.StringTerm("method")
	keyPattern = ast.StringTerm("pattern")
	keyParams  = ast.StringTerm("params")

	keySub      = ast.StringTerm("sub")
	keyIss      = ast.StringTerm("iss")
	keyClientID = ast.StringTerm("client_id")
	keyScopes   = ast.StringTerm("scopes")
	keyACR      = ast.StringTerm("acr")
	keyAMR      = ast.StringTerm("amr")
	keyAuthTime = ast.StringTerm("auth_time")

	keyID          = ast.StringTerm("id")
	keyName        = ast.StringTerm("name")
	keyStatus      = ast.StringTerm("status")
	keyMetadata    = ast.StringTerm("metadata")
	keyKind        = ast.StringTerm("kind")
	keyRoles       = ast.StringTerm("roles")
	keyPermissions = ast.StringTerm("permissions")
	keyVia         = ast.StringTerm("via")
	keyContracts   = ast.StringTerm("contracts")
	keyGuest       = ast.StringTerm("guest")
	keyShares      = ast.StringTerm("shares")
	keyDirection   = ast.StringTerm("direction")
	keyWith        = ast.StringTerm("with")
)

// pair is one member of an object; the zero value stands for an absent one.
type pair [2]*ast.Term

// document builds what policies see of in. The error is about in.Resource.
func document(in *Input) (*ast.Term, error) {
	var resource pair
	if len(in.Resource) > 0 {
		t, err := parseJSON(in.Resource)
		if err != nil {
			return nil, err
		}
		resource = pair{keyResource, t}
	}
	params := ast.NewObjectWithCapacity(len(in.Request.Params))
	for _, p := range in.Request.Params {
		params.Insert(ast.StringTerm(p.Name), ast.StringTerm(p.Value))
	}
	return object(
		text(keyAction, in.Action),
		pair{keyRequest, object(
			text(keyMethod, in.Request.Method),
			text(keyPattern, in.Request.Pattern),
			pair{keyParams, ast.NewTerm(params)},
		)},
		pair{keyToken, in.Subject.tokenTerm},
		pair{keyOrg, in.Subject.orgTerm},
		pair{keyMember, in.Subject.memberTerm},
		resource,
	), nil
}

func object(pairs ...pair) *ast.Term {
	obj := ast.NewObjectWithCapacity(len(pairs))
	for _, p := range pairs {
		if p[0] != nil {
			obj.Insert(p[0], p[1])
		}
	}
	return ast.NewTerm(obj)
}

// objects is absent when list is empty.
func objects[T any](key *ast.Term, list []T, term func(T) *ast.Term) pair {
	if len(list) == 0 {
		return pair{}
	}
	terms := make([]*ast.Term, len(list))
	for i, e := range list {
		terms[i] = term(e)
	}
	return pair{key, ast.ArrayTerm(terms...)}
}

func text(key *ast.Term, value string) pair {
	if value == "" {
		return pair{}
	}
	return pair{key, ast.StringTerm(value)}
}

func seconds(key *ast.Term, value int64) pair {
	if value == 0 {
		return pair{}
	}
	return pair{key, ast.NumberTerm(json.Number(strconv.FormatInt(value, 10)))}
}

func texts(list []string) *ast.Term {
	terms := make([]*ast.Term, len(list))
	for i, s := range list {
		terms[i] = ast.StringTerm(s)
	}
	return ast.ArrayTerm(terms...)
}

func textMap(m map[string]string) *ast.Term {
	obj := ast.NewObjectWithCapacity(len(m))
	for k, v := range m {
		obj.Insert(ast.StringTerm(k), ast.StringTerm(v))
	}
	return ast.NewTerm(obj)
}
