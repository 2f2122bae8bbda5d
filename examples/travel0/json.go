package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxBody    = 1 << 20  // bytes of the largest request body that is accepted
	maxDrained = 16 << 20 // bytes of a larger one that are read and dropped
)

// refusal is why a request was refused, and with which status: a body with 400, or with 413 when it is too large.
type refusal struct {
	status int
	detail string
}

func (e *refusal) Error() string { return e.detail }

func badRequest(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func unprocessable(detail string) error { return &refusal{http.StatusUnprocessableEntity, detail} }

// decodeBody reads the request's body, one JSON object, into the fields, by their exact names. Fields that the body leaves
// out keep their values; unknown and repeated ones, null and values of another type are refused.
func decodeBody(r *http.Request, fields map[string]any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return badRequest("the body could not be read to its end")
	}
	if len(body) > maxBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained) // a client that is cut off while it writes may not see the answer
		return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	}
	if !utf8.Valid(body) {
		return badRequest("the body is not valid UTF-8")
	}

	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return badRequest("the body must be one JSON object with the fields %s", names(fields))
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return badRequest("the body is not valid JSON: %v", err)
		}
		name := token.(string) // the decoder yields nothing else as an object's key
		into, known := fields[name]
		if !known {
			return badRequest("unknown field %.64q: the fields are %s", name, names(fields))
		}
		if seen[name] {
			return badRequest("field %q is there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return badRequest("the body is not valid JSON: %v", err)
		}
		if !unmarshal(value, into) {
			return badRequest("field %q must be %s", name, typeName(into))
		}
	}
	if _, err := dec.Token(); err != nil {
		return badRequest("the body is not valid JSON: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return badRequest("the body goes on after the JSON object")
	}
	return nil
}

// unmarshal is json.Unmarshal without its kindness to null.
func unmarshal(value json.RawMessage, into any) bool {
	list, isList := into.(*[]string)
	if !isList {
		return string(value) != "null" && json.Unmarshal(value, into) == nil
	}
	var items []*string
	if string(value) == "null" || json.Unmarshal(value, &items) != nil || slices.Contains(items, nil) {
		return false
	}
	for _, item := range items {
		*list = append(*list, *item)
	}
	return true
}

func names(fields map[string]any) string {
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

func typeName(into any) string {
	switch into.(type) {
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case *int64:
		return "an integer"
	case *[]string:
		return "a list of strings"
	}
	return fmt.Sprintf("of type %T", into)
}

// writeJSON answers with status and the JSON form of body.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to be told
}
