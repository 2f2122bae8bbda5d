package middleware

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Problem is an answer as application/problem+json (RFC 9457), for a handler's own refusals to look like the Guard's.
type Problem struct {
	Status int    // 400 to 599; anything else is sent as 500
	Type   string // URI that names the kind of problem. Empty is left out, which means "about:blank"
	Title  string // short text of the kind. Default the status's text
	Detail string // what was wrong this time, and what to do. Empty is left out
	// Extra are extension members. The members that RFC 9457 defines cannot be set here. Values that have no JSON form are
	// left out, all of them.
	Extra map[string]any
}

// WriteProblem answers with p. Like every refusal it is not to be cached, unless the handler has set Cache-Control already.
func WriteProblem(w http.ResponseWriter, p Problem) {
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	writeProblem(w, p.Status, p.encode())
}

func writeProblem(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	// What a handler had prepared for its success does not describe this body.
	for _, name := range [...]string{"Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

func (p Problem) encode() []byte {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	head := struct {
		Type   string `json:"type,omitempty"`
		Title  string `json:"title,omitempty"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{p.Type, p.Title, p.Status, p.Detail}
	body, _ := json.Marshal(head) // strings and a number always have a JSON form

	extra := make(map[string]any, len(p.Extra))
	for name, v := range p.Extra {
		switch name {
		case "type", "title", "status", "detail", "instance":
		default:
			extra[name] = v
		}
	}
	if more, err := json.Marshal(extra); err == nil && len(extra) > 0 {
		body = append(append(body[:len(body)-1], ','), more[1:]...)
	}
	return append(body, '\n')
}

// Router is a mux that can say which pattern a request matches: *http.ServeMux and *Mux.
type Router interface {
	http.Handler
	// Handler returns the handler for r, and an empty pattern when none was registered for it.
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// Problems returns mux with its own 404 and 405 as application/problem+json. Answers of registered handlers reach the
// client through the server's own ResponseWriter; the mux's redirects are left alone, and a 405 keeps its Allow header.
// It costs matching each request twice.
func Problems(mux Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			w = &ownAnswer{ResponseWriter: w}
		}
		mux.ServeHTTP(w, r)
	})
}

// ownAnswer is the ResponseWriter of a request that no registered handler will see.
type ownAnswer struct {
	http.ResponseWriter
	replaced bool
}

// Unwrap lets http.ResponseController reach what the server can do.
func (w *ownAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *ownAnswer) WriteHeader(status int) {
	if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.replaced = true
	p := Problem{Status: status}
	if status == http.StatusNotFound {
		p.Type = problemTypePrefix + string(CodeNotFound)
	} else {
		p.Type = problemTypePrefix + "method_not_allowed"
	}
	WriteProblem(w.ResponseWriter, p)
}

func (w *ownAnswer) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}
