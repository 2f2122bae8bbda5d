package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

const (
	orgsFolder   = "orgs"
	maxOrgSource = 64 << 10 // bytes of one organization's .rego files together
	maxFolders   = 20       // how deep folders may lie in one another
)

// list reads which policy files there are. It reports all misplaced ones at once.
func list(src Source) ([]entry, error) {
	l := lister{orgs: map[string]string{}}
	l.fsys, l.prefix = src.open()
	found, err := fs.ReadDir(l.fsys, ".")
	if d, ok := src.(dirSource); ok && err != nil {
		return nil, fmt.Errorf("%w: %s is no readable directory; create the directory, or correct Config.Source: %w",
			ErrInvalid, string(d), withoutPath(err))
	}
	if err == nil {
		err = l.folder(".", "", found)
	}
	if err != nil {
		return nil, unreadable(l.prefix, err)
	}
	if len(l.problems) > 0 {
		return nil, &InvalidError{Problems: sorted(l.problems)}
	}
	if len(l.entries) == 0 {
		l.complain(".", "holds no .rego file; put the policies there, or leave Config.Source nil for the built-in policy")
		return nil, &InvalidError{Problems: l.problems}
	}
	return l.entries, nil
}

// lister is one look at a source.
type lister struct {
	fsys     fs.FS
	prefix   string // what to put before names in messages
	entries  []entry
	orgs     map[string]string // folders by organization id
	problems []Problem
}

func (l *lister) complain(name, format string, args ...any) {
	name = path.Join(l.prefix, name)
	if name == "." {
		name = "the source"
	}
	l.problems = append(l.problems, Problem{File: name, Message: fmt.Sprintf(format, args...)})
}

// folder adds the policy files directly in dir, which holds what was found, and complains of those below.
func (l *lister) folder(dir, org string, found []fs.DirEntry) error {
	for _, f := range found {
		name := path.Join(dir, f.Name())
		isDir, err := l.isDir(name, f)
		switch {
		case err != nil:
		case isHidden(f):
		case isPolicyFile(f.Name()):
			err = l.add(name, org)
		case name == orgsFolder:
			err = l.organizations()
		case isDir && org != "":
			err = l.strays(name, "move it up into "+path.Join(l.prefix, dir)+"/")
		case isDir && strings.EqualFold(f.Name(), orgsFolder):
			err = l.strays(name, "the folder of the organizations is "+orgsFolder+", in small letters")
		case isDir:
			err = l.strays(name, "move it up into the source's top folder, or into orgs/<label>.<organization id>/")
		case looksLikePolicy(f.Name()):
			l.complain(name, "is not read; let its name end in .rego, in small letters")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add adds a policy file.
func (l *lister) add(name, org string) error {
	info, err := fs.Stat(l.fsys, name) // unlike DirEntry.Info, it follows links
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		l.complain(name, "is not a regular file; rename it or move it away")
		return nil
	}
	e := entry{path: name, org: org, size: info.Size()}
	if t := info.ModTime(); !t.IsZero() {
		e.mtime = t.UnixNano()
	}
	l.entries = append(l.entries, e)
	return nil
}

// organizations adds the files of the organizations' own policies.
func (l *lister) organizations() error {
	found, err := fs.ReadDir(l.fsys, orgsFolder)
	if err != nil {
		return err
	}
	for _, f := range found {
		name := path.Join(orgsFolder, f.Name())
		isDir, err := l.isDir(name, f)
		switch {
		case err != nil:
		case isHidden(f):
		case isDir:
			err = l.organization(name)
		case looksLikePolicy(f.Name()):
			l.complain(name, "lies outside of an organization's folder; move it into orgs/<label>.<organization id>/")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// organization adds the files of one organization's folder.
func (l *lister) organization(dir string) error {
	id := dir[strings.LastIndexByte(dir, '.')+1:]
	if !isOrganizationID(id) {
		l.complain(dir, "does not end in an organization id; name it <label>.org_<16 letters or digits>")
		return nil
	}
	if other, twice := l.orgs[id]; twice {
		l.complain(dir, "is a second folder for the organization of %s; merge them", path.Join(l.prefix, other))
		return nil
	}
	l.orgs[id] = dir
	found, err := fs.ReadDir(l.fsys, dir)
	if err != nil {
		return err
	}
	before := len(l.entries)
	if err := l.folder(dir, id, found); err != nil {
		return err
	}
	if len(l.entries) == before {
		l.complain(dir, "holds no .rego file; remove the folder, or add one")
	}
	size := int64(0)
	for _, e := range l.entries[before:] {
		size += e.size
	}
	if size > maxOrgSource {
		l.complain(dir, "holds more than %d bytes of policy, the most that an organization may have", maxOrgSource)
	}
	return nil
}

// strays complains of all policy files in dir, which nothing reads, and those below.
func (l *lister) strays(dir, remedy string) error {
	if strings.Count(dir, "/") >= maxFolders {
		return &fs.PathError{Op: "look into", Path: dir,
			Err: fmt.Errorf("it lies more than %d folders deep, or a link leads back; move it away", maxFolders)}
	}
	found, err := fs.ReadDir(l.fsys, dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		name := path.Join(dir, f.Name())
		isDir, err := l.isDir(name, f)
		switch {
		case err != nil:
		case isHidden(f):
		case isDir:
			err = l.strays(name, remedy)
		case looksLikePolicy(f.Name()):
			l.complain(name, "is not read in this folder; %s", remedy)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isDir reports whether f, called name, is a directory or leads to one. A link that leads nowhere is an error, as a policy may
// be missing where it should lead.
func (l *lister) isDir(name string, f fs.DirEntry) (bool, error) {
	if f.Type()&fs.ModeSymlink == 0 || isHidden(f) {
		return f.IsDir(), nil
	}
	info, err := fs.Stat(l.fsys, name)
	return err == nil && info.IsDir(), err
}

// unreadable is the error for a file or folder of the source, with the whole path.
func unreadable(prefix string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = &fs.PathError{Op: p.Op, Path: path.Join(prefix, p.Path), Err: p.Err}
	}
	return fmt.Errorf("%w: cannot read the source: %w", ErrInvalid, err)
}

func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func isHidden(f fs.DirEntry) bool { return strings.HasPrefix(f.Name(), ".") }

func isPolicyFile(name string) bool {
	return strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego")
}

// looksLikePolicy reports whether the file is meant to be read, or was written to be.
func looksLikePolicy(name string) bool {
	return strings.HasSuffix(strings.ToLower(name), ".rego") && !strings.HasSuffix(name, "_test.rego")
}

// isOrganizationID reports whether s is "org_" and 16 letters or digits.
func isOrganizationID(s string) bool {
	s, ok := strings.CutPrefix(s, "org_")
	return ok && len(s) == 16 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
