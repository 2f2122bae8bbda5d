package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var domainCases = cases{
	"DOM-1: the life of a domain":                         domainsLife,
	"DOM-1: form":                                         domainsForm,
	"DOM-1: bad input":                                    domainsRefused,
	"DOM-1: verification":                                 domainsVerify,
	"DOM-1: verification, answers out of order":           domainsVerifyOrder,
	"DOM-1: due for verification":                         domainsDue,
	"DOM-1: discovery by e-mail address":                  domainsDiscover,
	"DOM-1, AUTO-1: only a proven domain makes members":   domainsJoinable,
	"DOM-1, ORG-5: a deleted organization's are nobody's": domainsDeleted,
}

var domainRaces = map[string]race{
	"DOM-1: domains of an organization": {limits: orgstore.Limits{DiscoveryDomains: 5}, setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(i int) error {
			return third(t.DiscoveryDomains.Create(t.Context(), orgstore.DiscoveryDomain{Organization: o.ID, Domain: "a" + strconv.Itoa(i) + ".example"}))
		}
	}, most: 5, lost: limit("discovery domains", 5)},
	"DOM-1: domains of an organization, in transactions": {limits: orgstore.Limits{DiscoveryDomains: 5}, setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(i int) error {
			return second(t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
				if _, err := e.DiscoveryDomains.List(ctx, o.ID, orgstore.ListOptions{}); err != nil {
					return err
				}
				return third(e.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: o.ID, Domain: "a" + strconv.Itoa(i) + ".example"}))
			}))
		}
	}, most: 5, lost: limit("discovery domains", 5)},
	"DOM-1: one domain of an organization": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(int) error {
			return third(t.DiscoveryDomains.Create(t.Context(), orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example"}))
		}
	}, most: 1, lost: conflict("domain", "domain")},
}

// names is a DNS.
type names struct {
	mu    sync.Mutex
	texts map[string][]string
	err   error
	asked func() // called before each answer
}

func (n *names) LookupTXT(_ context.Context, host string) ([]string, error) {
	if n.asked != nil {
		n.asked()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if texts, ok := n.texts[host]; ok || n.err != nil {
		return texts, n.err
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (n *names) set(host string, texts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.texts == nil {
		n.texts = map[string][]string{}
	}
	if n.texts[host] = texts; len(texts) == 0 {
		delete(n.texts, host)
	}
}

// domain gives an organization a domain, or ends the test.
func (t *engineTest) domain(d orgstore.DiscoveryDomain) *orgstore.DiscoveryDomain {
	t.Helper()
	made, result, err := t.DiscoveryDomains.Create(t.Context(), d)
	t.changed(result, err)
	return made
}

// proven gives an organization a domain and proves it.
func (t *engineTest) proven(d orgstore.DiscoveryDomain) *orgstore.DiscoveryDomain {
	t.Helper()
	made, dns := t.domain(d), &names{}
	dns.set(made.VerificationHost, made.VerificationText)
	made, result, err := t.DiscoveryDomains.Verify(t.Context(), made.Organization, made.ID, dns)
	t.changed(result, err)
	return made
}

func domainsLife(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	d := t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "Acme.Example", Discovery: true, ID: "ignored", ProvenAt: time.Now()})
	if d.Domain != "acme.example" || d.Status != orgstore.DomainPending || !d.Discovery || d.Subdomains || !d.ProvenAt.IsZero() ||
		!regexp.MustCompile(`^ord_[a-zA-Z0-9]{16}$`).MatchString(d.ID) || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(d.VerificationText) ||
		d.VerificationHost != "_ss-verification."+o.ID+".acme.example" {
		t.Errorf("created %+v", d)
	}
	for name, get := range map[string]func() (*orgstore.DiscoveryDomain, error){
		"by id": func() (*orgstore.DiscoveryDomain, error) { return t.DiscoveryDomains.Get(ctx, o.ID, d.ID) },
		"by name": func() (*orgstore.DiscoveryDomain, error) {
			return t.DiscoveryDomains.GetByName(ctx, o.ID, "ACME.example")
		},
	} {
		if got, err := get(); err != nil || *got != *d {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, d)
		}
	}
	_, _, err := t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: o.ID, Domain: "ACME.example"})
	t.conflict(err, "domain", "domain")
	same := t.domain(orgstore.DiscoveryDomain{Organization: other.ID, Domain: "acme.example"})
	if same.VerificationText == d.VerificationText {
		t.Error("two organizations prove a domain with the same text")
	}
	_, err = t.DiscoveryDomains.Get(ctx, other.ID, d.ID)
	t.notFound(err, "domain")
	_, err = t.DiscoveryDomains.Update(ctx, other.ID, d.ID, orgstore.DiscoveryDomainUpdate{Discovery: new(false)})
	t.notFound(err, "domain")
	t.unchanged(t.DiscoveryDomains.Delete(ctx, other.ID, d.ID))

	t.unchanged(t.DiscoveryDomains.Update(ctx, o.ID, d.ID, orgstore.DiscoveryDomainUpdate{}))
	t.unchanged(t.DiscoveryDomains.Update(ctx, o.ID, d.ID, orgstore.DiscoveryDomainUpdate{Status: new(orgstore.DomainPending), Discovery: new(true), Subdomains: new(false)}))
	result, err := t.DiscoveryDomains.Update(ctx, o.ID, d.ID, orgstore.DiscoveryDomainUpdate{Status: new(orgstore.DomainVerified), Subdomains: new(true)})
	t.changed(result, err)
	if len(result.Revision) != 1 || result.Revision[0].Scope != (orgstore.Scope{Kind: orgstore.ScopeDomain, Org: o.ID, ID: d.ID}) || result.Revision[0].Revision != 2 {
		t.Errorf("raised %v", result.Revision)
	}
	if got, err := t.DiscoveryDomains.Get(ctx, o.ID, d.ID); err != nil || got.Status != orgstore.DomainVerified || !got.Subdomains || !got.ProvenAt.IsZero() {
		t.Errorf("updated: %+v, %v", got, err)
	}
	t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "a.example"})
	page, err := t.DiscoveryDomains.List(ctx, o.ID, orgstore.ListOptions{Sort: orgstore.SortName, Limit: 1, Total: true})
	if err != nil || len(page.Items) != 1 || page.Items[0].Domain != "a.example" || page.Total != 2 || page.Next == "" {
		t.Errorf("list: %+v, %v", page, err)
	}
	page, err = t.DiscoveryDomains.List(ctx, o.ID, orgstore.ListOptions{Sort: orgstore.SortName, After: page.Next})
	if err != nil || len(page.Items) != 1 || page.Items[0].Domain != "acme.example" || page.Next != "" {
		t.Errorf("list: %+v, %v", page, err)
	}
	t.changed(t.DiscoveryDomains.Delete(ctx, o.ID, d.ID))
	t.unchanged(t.DiscoveryDomains.Delete(ctx, o.ID, d.ID))
	_, err = t.DiscoveryDomains.Get(ctx, o.ID, d.ID)
	t.notFound(err, "domain")
	t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example"})
	var types []string
	for _, e := range t.events() {
		if e.Scope.Kind == orgstore.ScopeDomain && e.Scope.ID == d.ID {
			types = append(types, e.Type)
		}
	}
	if got := strings.Join(types, " "); got != "organization.domain.added organization.domain.updated organization.domain.removed" {
		t.Errorf("events: %s", got)
	}
}

func domainsForm(t *engineTest) {
	o := t.org("acme")
	for name, want := range map[string]string{
		"a.co":                       "a.co",
		"ACME.co.uk":                 "acme.co.uk",
		"bücher.example":             "xn--bcher-kva.example",
		"xn--bcher-kva.example2.com": "xn--bcher-kva.example2.com",
		"me.github.io":               "me.github.io",
		"a-b.c1.internal":            "a-b.c1.internal",
		"ａｃｍｅ.example":               "acme.example", // full width
		strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 57) + ".org": "",
	} {
		d := t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: name})
		if want != "" && d.Domain != want {
			t.Errorf("%q is %q, want %q", name, d.Domain, want)
		}
	}
}

func domainsRefused(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	before := len(t.events())
	for _, name := range []string{
		"", "a", "acme", "com", "co.uk", "github.io", "COM", "acme.", ".acme.com", "acme..com", "-acme.com", "acme-.com", "*.acme.com", "ac me.com",
		"acme.com ", "acme.com\x00", "acme\n.com", "\xff.com", "acme_x.com", "user@acme.com", "https://acme.com", "acme.com/", "acme.com:443",
		"192.0.2.1", "1.2.3", "[::1]", "acme.1", "xn--a.com", "acme\u2024com",
		strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 127) + "com", strings.Repeat("a", 100_000),
	} {
		_, _, err := t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: o.ID, Domain: name})
		t.invalid(err, "domain", name)
		_, err = t.DiscoveryDomains.GetByName(ctx, o.ID, name)
		t.notFound(err, "domain")
	}
	for _, status := range []orgstore.DomainStatus{"Verified", "proven", "verified\x00"} {
		_, _, err := t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.com", Status: status})
		t.invalid(err, "status", string(status))
		_, err = t.DiscoveryDomains.Update(ctx, o.ID, "ord_0000000000000000", orgstore.DiscoveryDomainUpdate{Status: &status})
		t.invalid(err, "status", string(status))
	}
	for _, org := range badIDs("org_") {
		_, _, err := t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: org, Domain: "acme.com"})
		t.notFound(err, "organization")
		_, err = t.DiscoveryDomains.List(ctx, org, orgstore.ListOptions{})
		t.notFound(err, "organization")
		_, err = t.DiscoveryDomains.GetByName(ctx, org, "acme.com")
		t.notFound(err, "domain")
	}
	for _, id := range badIDs("ord_") {
		_, err := t.DiscoveryDomains.Get(ctx, o.ID, id)
		t.notFound(err, "domain")
		_, err = t.DiscoveryDomains.Update(ctx, o.ID, id, orgstore.DiscoveryDomainUpdate{Discovery: new(true)})
		t.notFound(err, "domain")
		_, _, err = t.DiscoveryDomains.Verify(ctx, o.ID, id, &names{})
		t.notFound(err, "domain")
		t.unchanged(t.DiscoveryDomains.Delete(ctx, o.ID, id))
	}
	for _, email := range []string{"", "@", "user", "user@", "user@com ", "user@acme", "user@\xff.com", "user@acme.com\x00", "user@192.0.2.1", strings.Repeat("a", 100_000)} {
		_, err := t.DiscoveryDomains.Discover(ctx, email, orgstore.ListOptions{})
		t.invalid(err, "email", email)
		_, err = t.DiscoveryDomains.Joinable(ctx, email, orgstore.ListOptions{})
		t.invalid(err, "email", email)
	}
	for _, opts := range []orgstore.ListOptions{{Limit: -1}, {Limit: 1001}} {
		_, err := t.DiscoveryDomains.List(ctx, o.ID, opts)
		t.invalid(err, "Limit", "")
		_, err = t.DiscoveryDomains.Due(ctx, time.Now(), opts.Limit)
		t.invalid(err, "Limit", "")
	}
	_, err := t.DiscoveryDomains.List(ctx, o.ID, orgstore.ListOptions{After: "foreign"})
	t.invalid(err, "After", "foreign")
	_, err = t.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		_, _, err := e.DiscoveryDomains.Verify(ctx, o.ID, "ord_0000000000000000", &names{})
		return err
	})
	t.invalid(err, "engine", "")
	if after := len(t.events()); after != before {
		t.Errorf("refused operations wrote %d events", after-before)
	}
}

// badIDs are no ids with this prefix of anything that there is.
func badIDs(prefix string) []string {
	return []string{
		"", prefix, prefix + "0000000000000000", prefix + "000000000000000", prefix + "00000000000000000", prefix + "000000000000000\x00", "0000000000000000",
		prefix + "00000000000000\xff", prefix + "%", strings.ToUpper(prefix) + "0000000000000000", "' OR 1=1 --", strings.Repeat("0", 100_000), prefix + "０000000000000",
	}
}

func domainsVerify(t *engineTest) {
	ctx, dns := t.Context(), &names{}
	o := t.org("acme")
	d := t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example", Discovery: true})
	look := func() (*orgstore.DiscoveryDomain, orgstore.Result) {
		t.Helper()
		got, result, err := t.DiscoveryDomains.Verify(ctx, o.ID, d.ID, dns)
		t.ok(err)
		if stored, err := t.DiscoveryDomains.Get(ctx, o.ID, d.ID); err != nil || *stored != *got {
			t.Errorf("answered %+v, stored %+v, %v", got, stored, err)
		}
		return got, result
	}
	is := func(d *orgstore.DiscoveryDomain, result orgstore.Result, changed bool, status orgstore.DomainStatus, proven bool) {
		t.Helper()
		if result.Changed != changed || d.Status != status || d.ProvenAt.IsZero() == proven || d.CheckedAt.IsZero() {
			t.Errorf("verify: changed %v, %+v", result.Changed, d)
		}
	}
	got, result := look()
	is(got, result, false, orgstore.DomainPending, false)
	dns.set(d.VerificationHost, "v=spf1 -all", strings.ToUpper(d.VerificationText), d.VerificationText+"0")
	got, result = look()
	is(got, result, false, orgstore.DomainPending, false)
	// A status that somebody wrote is no proof, and stays without one.
	t.changed(t.DiscoveryDomains.Update(ctx, o.ID, d.ID, orgstore.DiscoveryDomainUpdate{Status: new(orgstore.DomainVerified)}))
	got, result = look()
	is(got, result, false, orgstore.DomainVerified, false)

	dns.set(d.VerificationHost, "v=spf1 -all", " "+d.VerificationText)
	got, result = look()
	is(got, result, true, orgstore.DomainVerified, true)
	first := got.ProvenAt
	got, result = look()
	is(got, result, false, orgstore.DomainVerified, true)
	if got.ProvenAt.Before(first) {
		t.Errorf("proven at %v, before that at %v", got.ProvenAt, first)
	}
	// No answer is no answer.
	dns.err = errors.New("timeout")
	_, _, err := t.DiscoveryDomains.Verify(ctx, o.ID, d.ID, dns)
	t.is(err, orgstore.ErrUnavailable)
	if kept, err := t.DiscoveryDomains.Get(ctx, o.ID, d.ID); err != nil || *kept != *got {
		t.Errorf("without an answer: %+v, %v", kept, err)
	}
	dns.err = nil
	dns.set(d.VerificationHost)
	got, result = look()
	is(got, result, true, orgstore.DomainPending, false)
	dns.set(d.VerificationHost, d.VerificationText)
	got, result = look()
	is(got, result, true, orgstore.DomainVerified, true)
	// Whoever writes pending withdraws the proof.
	t.changed(t.DiscoveryDomains.Update(ctx, o.ID, d.ID, orgstore.DiscoveryDomainUpdate{Status: new(orgstore.DomainPending)}))
	if got, err := t.DiscoveryDomains.Get(ctx, o.ID, d.ID); err != nil || !got.ProvenAt.IsZero() {
		t.Errorf("pending: %+v, %v", got, err)
	}
	var types []string
	for _, e := range t.events() {
		if e.Scope.Kind == orgstore.ScopeDomain {
			types = append(types, strings.TrimPrefix(e.Type, "organization.domain."))
		}
	}
	if got := strings.Join(types, " "); got != "added updated verified lost verified updated" {
		t.Errorf("events: %s", got)
	}
	t.consistent()
}

// domainsVerifyOrder: an answer that comes late says nothing about later.
func domainsVerifyOrder(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	d := t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example"})
	nothing, there := &names{}, &names{}
	there.set(d.VerificationHost, d.VerificationText)
	asked, found := make(chan struct{}), make(chan struct{})
	nothing.asked = func() { close(asked); <-found }
	late := make(chan error)
	go func() {
		_, _, err := t.DiscoveryDomains.Verify(ctx, o.ID, d.ID, nothing)
		late <- err
	}()
	<-asked
	_, result, err := t.DiscoveryDomains.Verify(ctx, o.ID, d.ID, there)
	close(found)
	t.ok(<-late)
	t.changed(result, err)
	if got, err := t.DiscoveryDomains.Get(ctx, o.ID, d.ID); err != nil || got.ProvenAt.IsZero() {
		t.Errorf("an old answer took the proof away: %+v, %v", got, err)
	}
	// What is deleted while the DNS is asked is not there any more.
	there.asked = func() { t.changed(t.DiscoveryDomains.Delete(ctx, o.ID, d.ID)) }
	_, _, err = t.DiscoveryDomains.Verify(ctx, o.ID, d.ID, there)
	t.notFound(err, "domain")
}

func domainsDue(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	a := t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "a.example"})
	b := t.proven(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "b.example"})
	due := func(before time.Time, limit int, want ...string) {
		t.Helper()
		list, err := t.DiscoveryDomains.Due(ctx, before, limit)
		t.ok(err)
		var ids []string
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		if strings.Join(ids, " ") != strings.Join(want, " ") {
			t.Errorf("due: %q, want %q", ids, want)
		}
	}
	due(b.CheckedAt, 0, a.ID)
	due(b.CheckedAt.Add(time.Microsecond), 0, a.ID, b.ID)
	due(b.CheckedAt.Add(time.Microsecond), 1, a.ID)
	_, _, err := t.DiscoveryDomains.Verify(ctx, o.ID, a.ID, &names{})
	t.ok(err)
	due(b.CheckedAt.Add(time.Microsecond), 0, b.ID)
	due(time.Now().Add(time.Hour), 0, b.ID, a.ID)
}

func (t *engineTest) matches(page orgstore.Page[orgstore.DomainMatch], err error) func(want ...string) {
	t.Helper()
	t.ok(err)
	var got []string
	for _, m := range page.Items {
		if m.Domain.Organization != m.Organization.ID {
			t.Errorf("match of %+v with %+v", m.Organization, m.Domain)
		}
		got = append(got, m.Organization.Name+"="+m.Domain.Domain)
	}
	return func(want ...string) {
		t.Helper()
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("matches are %q, want %q", got, want)
		}
	}
}

func domainsDiscover(t *engineTest) {
	ctx := t.Context()
	var orgs []string
	for i := range 4 {
		o, _, err := t.Organizations.Create(ctx, orgstore.Organization{ID: "org_000000000000000" + strconv.Itoa(i), Name: "o" + strconv.Itoa(i)})
		t.ok(err)
		orgs = append(orgs, o.ID)
	}
	for _, d := range []orgstore.DiscoveryDomain{
		{Organization: orgs[0], Domain: "acme.example", Status: "verified", Discovery: true, Subdomains: true},
		{Organization: orgs[1], Domain: "acme.example", Status: "verified", Discovery: true},
		{Organization: orgs[2], Domain: "acme.example", Discovery: true, Subdomains: true},
		{Organization: orgs[3], Domain: "acme.example", Status: "verified", Subdomains: true},
		{Organization: orgs[2], Domain: "eu.acme.example", Status: "verified", Discovery: true, Subdomains: true},
		{Organization: orgs[3], Domain: "de.eu.acme.example", Status: "verified", Discovery: true},
	} {
		t.domain(d)
	}
	t.changed(t.Organizations.Suspend(ctx, orgs[1]))
	for email, want := range map[string][]string{
		"user@acme.example":               {"o0=acme.example", "o1=acme.example"},
		"User@ACME.Example":               {"o0=acme.example", "o1=acme.example"},
		"acme.example":                    {"o0=acme.example", "o1=acme.example"},
		"odd@x@acme.example":              {"o0=acme.example", "o1=acme.example"},
		"user@us.acme.example":            {"o0=acme.example"},
		"user@a.b.c.us.acme.example":      {"o0=acme.example"},
		"user@eu.acme.example":            {"o2=eu.acme.example"},
		"user@fr.eu.acme.example":         {"o2=eu.acme.example"},
		"user@de.eu.acme.example":         {"o3=de.eu.acme.example"},
		"user@berlin.de.eu.acme.example":  {"o2=eu.acme.example"},
		"user@notacme.example":            nil,
		"user@acme.example.evil.example2": nil,
		"user@acme.com":                   nil,
	} {
		page, err := t.DiscoveryDomains.Discover(ctx, email, orgstore.ListOptions{})
		t.Log(email)
		t.matches(page, err)(want...)
	}
	page, err := t.DiscoveryDomains.Discover(ctx, "user@acme.example", orgstore.ListOptions{Limit: 1, Total: true})
	t.matches(page, err)("o0=acme.example")
	if page.Total != 2 {
		t.Errorf("total %d", page.Total)
	}
	_, err = t.DiscoveryDomains.Discover(ctx, "user@eu.acme.example", orgstore.ListOptions{After: page.Next})
	t.invalid(err, "After", page.Next)
	page, err = t.DiscoveryDomains.Discover(ctx, "user@acme.example", orgstore.ListOptions{After: page.Next})
	t.matches(page, err)("o1=acme.example")
	if page.Next != "" || page.Items[0].Organization.Status != orgstore.OrganizationSuspended {
		t.Errorf("second page: %+v", page)
	}
}

func domainsJoinable(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	t.domain(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example", Status: "verified", Discovery: true, Subdomains: true})
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{AutoJoin: new(orgstore.AutoJoinAutomatic)}))
	page, err := t.DiscoveryDomains.Joinable(ctx, "user@acme.example", orgstore.ListOptions{})
	t.matches(page, err)()
	t.proven(orgstore.DiscoveryDomain{Organization: other.ID, Domain: "acme.example", Subdomains: true})
	page, err = t.DiscoveryDomains.Joinable(ctx, "user@acme.example", orgstore.ListOptions{})
	t.matches(page, err)()
	t.changed(t.Organizations.Update(ctx, other.ID, orgstore.OrganizationUpdate{AutoJoin: new(orgstore.AutoJoinSuggest)}))
	for _, email := range []string{"user@acme.example", "user@eu.acme.example"} {
		page, err = t.DiscoveryDomains.Joinable(ctx, email, orgstore.ListOptions{})
		t.matches(page, err)("other=acme.example")
	}
}

func domainsDeleted(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	d := t.proven(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example", Discovery: true})
	t.changed(t.Organizations.Delete(ctx, o.ID))
	_, err := t.DiscoveryDomains.Get(ctx, o.ID, d.ID)
	t.notFound(err, "domain")
	_, err = t.DiscoveryDomains.GetByName(ctx, o.ID, d.Domain)
	t.notFound(err, "domain")
	_, err = t.DiscoveryDomains.List(ctx, o.ID, orgstore.ListOptions{})
	t.notFound(err, "organization")
	_, _, err = t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: o.ID, Domain: "b.example"})
	t.notFound(err, "organization")
	page, err := t.DiscoveryDomains.Discover(ctx, "user@acme.example", orgstore.ListOptions{})
	t.matches(page, err)()
	page, err = t.DiscoveryDomains.Joinable(ctx, "user@acme.example", orgstore.ListOptions{})
	t.matches(page, err)()
	if due, err := t.DiscoveryDomains.Due(ctx, time.Now().Add(time.Hour), 0); err != nil || len(due) != 0 {
		t.Errorf("due: %+v, %v", due, err)
	}
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows of a small organization, %v", n, err)
	}
}
