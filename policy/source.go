package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"
)

// Source is where policies come from: Dir or FS. Its layout is
//
//	*.rego                               the product's policy; may be left out when there is an organization's
//	orgs/<label>.<organization id>/*.rego   an organization's own policy; the label is for readers, only the id counts
//
// It is a folder of its own: each look for changes goes through all of it, and a .rego file (in small or large letters) in any
// other place is refused, because a policy that nobody reads closes nothing. So is a source without any policy. Ignored are
// files that end in _test.rego or do not end in .rego, and whatever has a name that begins with a dot, with all below it.
type Source interface {
	// open returns the files, and what to put before their names in messages.
	open() (fsys fs.FS, prefix string)
}

// Dir is a directory of the operating system. A symbolic link in it counts as what it points to, as a ConfigMap that Kubernetes
// mounts needs it.
func Dir(name string) Source { return dirSource(name) }

// FS is a file system, for example an embed.FS (fs.Sub takes a folder out of one).
func FS(fsys fs.FS) Source { return fsSource{fsys} }

type dirSource string

func (d dirSource) open() (fs.FS, string) { return os.DirFS(string(d)), string(d) }

type fsSource struct{ fsys fs.FS }

func (s fsSource) open() (fs.FS, string) { return s.fsys, "" }

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
			return nil, unreadable(prefix, err)
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
