package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Source is where policies come from: Dir or FS. Its layout is
//
//	*.rego                               the product's policy
//	orgs/<label>.<organization id>/*.rego   an organization's own policy; the label is for readers, only the id counts
//
// Files that end in _test.rego, files that do not end in .rego and names that begin with a dot are ignored.
type Source interface {
	// open returns the files, and what to put before their names in messages.
	open() (fsys fs.FS, prefix string)
}

// Dir is a directory of the operating system. A symbolic link in it counts as what it points to.
func Dir(name string) Source { return dirSource(name) }

// FS is a file system, for example an embed.FS (fs.Sub takes a folder out of one).
func FS(fsys fs.FS) Source { return fsSource{fsys} }

type dirSource string

func (d dirSource) open() (fs.FS, string) { return os.DirFS(string(d)), string(d) }

type fsSource struct{ fsys fs.FS }

func (s fsSource) open() (fs.FS, string) { return s.fsys, "" }

const (
	orgsFolder   = "orgs"
	maxOrgSource = 64 << 10 // bytes of one organization's .rego files together
)

// entry is one policy file as a listing shows it. Two listings with equal entries are taken for the same content, unless
// one of them is recent.
type entry struct {
	path  string // inside the source
	org   string // organization id; empty for the product
	size  int64
	mtime int64 // nanoseconds since 1970; 0 when the file system does not know
}

// file is one policy file.
type file struct {
	name string // as messages show it
	org  string
	text string
}

// snapshot is the content of a source at one moment.
type snapshot struct {
	files []file
	hash  string // of all paths and texts, in hexadecimal
}

// list reads which policy files there are. It reports all misplaced ones at once.
func list(src Source) ([]entry, error) {
	fsys, prefix := src.open()
	var (
		entries  []entry
		problems []Problem
	)
	complain := func(name, format string, args ...any) {
		problems = append(problems, Problem{File: path.Join(prefix, name), Message: fmt.Sprintf(format, args...)})
	}
	folder := func(dir, org string) error {
		found, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return err
		}
		before := len(entries)
		for _, f := range found {
			name := path.Join(dir, f.Name())
			if !isPolicyFile(f.Name()) {
				continue
			}
			info, err := fs.Stat(fsys, name) // unlike f.Info, it follows links
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() {
				complain(name, "is not a regular file; rename it or move it away")
				continue
			}
			e := entry{path: name, org: org, size: info.Size()}
			if t := info.ModTime(); !t.IsZero() {
				e.mtime = t.UnixNano()
			}
			entries = append(entries, e)
		}
		if org != "" && len(entries) == before {
			complain(dir, "holds no .rego file; remove the folder, or add one (\"package org\" alone restricts nothing)")
		}
		return nil
	}

	if err := folder(".", ""); err != nil {
		if d, ok := src.(dirSource); ok {
			return nil, fmt.Errorf("%w: %s is no readable directory; create the directory, or correct Config.Source: %w",
				ErrInvalid, string(d), err)
		}
		return nil, unreadable(err)
	}
	folders, err := fs.ReadDir(fsys, orgsFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(err)
	}
	seen := map[string]string{}
	for _, f := range folders {
		name := path.Join(orgsFolder, f.Name())
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		info, err := fs.Stat(fsys, name)
		if err != nil {
			return nil, unreadable(err)
		}
		if !info.IsDir() {
			if isPolicyFile(f.Name()) {
				complain(name, "lies outside of an organization's folder; move it into orgs/<label>.<organization id>/")
			}
			continue
		}
		id := f.Name()[strings.LastIndexByte(f.Name(), '.')+1:]
		if !isOrganizationID(id) || id == f.Name() {
			complain(name, "does not end in an organization id; name it <label>.org_<16 letters or digits>")
			continue
		}
		if other, twice := seen[id]; twice {
			complain(name, "is a second folder for the organization of %s; merge them", path.Join(prefix, other))
			continue
		}
		seen[id] = name
		if err := folder(name, id); err != nil {
			return nil, unreadable(err)
		}
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		if e.org == "" {
			continue
		}
		if sizes[e.org] += e.size; sizes[e.org] > maxOrgSource && sizes[e.org]-e.size <= maxOrgSource {
			complain(seen[e.org], "holds more than %d bytes of policy, the most that an organization may have", maxOrgSource)
		}
	}
	if len(problems) > 0 {
		return nil, &InvalidError{Problems: problems}
	}
	return entries, nil
}

func unreadable(err error) error {
	return fmt.Errorf("%w: cannot read the source: %w", ErrInvalid, err)
}

func isPolicyFile(name string) bool {
	return strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego") && !strings.HasPrefix(name, ".")
}

// isOrganizationID reports whether s is "org_" and 16 letters or digits.
func isOrganizationID(s string) bool {
	s, ok := strings.CutPrefix(s, "org_")
	return ok && len(s) == 16 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// read reads the listed files.
func read(src Source, entries []entry) (*snapshot, error) {
	fsys, prefix := src.open()
	s := &snapshot{files: make([]file, 0, len(entries))}
	sizes := map[string]int{}
	h := sha256.New()
	var length [8]byte
	for _, e := range entries {
		text, err := fs.ReadFile(fsys, e.path)
		if err != nil {
			return nil, unreadable(err)
		}
		if sizes[e.org] += len(text); e.org != "" && sizes[e.org] > maxOrgSource { // it grew since the listing
			return nil, &InvalidError{Problems: []Problem{{File: path.Join(prefix, e.path), Message: "grows while it is read"}}}
		}
		s.files = append(s.files, file{name: path.Join(prefix, e.path), org: e.org, text: string(text)})
		for _, part := range []string{e.path, string(text)} {
			binary.LittleEndian.PutUint64(length[:], uint64(len(part)))
			h.Write(length[:])
			h.Write([]byte(part))
		}
	}
	s.hash = hex.EncodeToString(h.Sum(nil))
	return s, nil
}

// byOrg returns the files of each organization; the product's are under the empty id.
func (s *snapshot) byOrg() map[string][]file {
	m := map[string][]file{}
	for _, f := range s.files {
		m[f.org] = append(m[f.org], f)
	}
	return m
}

// racy reports whether a file may yet change without its size or time showing it: clocks of file systems are coarse.
func racy(entries []entry, now time.Time) bool {
	return slices.ContainsFunc(entries, func(e entry) bool {
		return e.mtime == 0 || now.Sub(time.Unix(0, e.mtime)) < 2*time.Second
	})
}

func byPosition(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Col, b.Col),
		cmp.Compare(a.Message, b.Message))
}

func sorted(problems []Problem) []Problem {
	slices.SortFunc(problems, byPosition)
	return slices.Compact(problems)
}
