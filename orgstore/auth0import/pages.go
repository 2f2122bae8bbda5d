package auth0import

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Error is what is wrong with a file. It never repeats what stands there.
type Error struct {
	File string
	Err  error
}

func (e *Error) Error() string { return "auth0import: " + e.File + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

var errShape = errors.New("must be a JSON array, or an object that has one, as the Management API returns them, once for each page")

// pageFields are what pages have beside their items.
var pageFields = map[string]bool{"start": true, "limit": true, "total": true, "length": true, "next": true}

// items hands each item of the pages in a file to item, if there is such a file. plural is what the API calls them;
// empty where pages are always arrays. Lines of objects count as items where lines is set.
func (c *converter) items(file, plural string, lines bool, item func(json.RawMessage) error) error {
	f, err := c.files.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // it was only read
	for dec := json.NewDecoder(f); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			switch token {
			case json.Delim('['):
				err = array(dec, item)
			case json.Delim('{'):
				err = object(dec, plural, lines, item)
			default:
				err = errShape
			}
		}
		if err != nil {
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				err = fmt.Errorf("is no JSON at byte %d", syntax.Offset)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				err = errors.New("is cut off")
			}
			if _, ok := errors.AsType[*Error](err); ok {
				return err
			}
			return &Error{file, err}
		}
	}
}

// array reads an array whose [ has been read.
func array(dec *json.Decoder, item func(json.RawMessage) error) error {
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if err := item(raw); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// object reads a page, or an item, whose { has been read.
func object(dec *json.Decoder, plural string, lines bool, item func(json.RawMessage) error) error {
	paged := false
	fields := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if name == plural && plural != "" && len(fields) == countKnown(fields) {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			if token != json.Delim('[') {
				return errShape
			}
			if err := array(dec, item); err != nil {
				return err
			}
			paged = true
			continue
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		fields[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	switch {
	case paged && countKnown(fields) == len(fields):
		return nil
	case paged || !lines:
		return errShape
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return item(raw)
}

func countKnown(fields map[string]json.RawMessage) (n int) {
	for name := range fields {
		if pageFields[name] {
			n++
		}
	}
	return n
}
