// Package policy decides by Rego policies (Open Policy Agent) whether a subject may do an action: the product's own policy,
// and that of the organization that the request is about.
//
//	rules, err := policy.Open(ctx, policy.Config{Source: policy.Dir("policies")})
//	…
//	decision, err := rules.Decide(ctx, &policy.Input{Action: "read:adventures", Subject: subject})
//
// # For authors of policies
//
// The product's policy is package authz, or below it, in the .rego files of the source's top folder. It may use all built-in
// functions of OPA but http.send, net.lookup_ip_addr and opa.runtime. The engine asks it for
//
//	data.authz.allow         boolean
//	data.authz.deny          set of strings and objects, the reasons; optional
//	data.authz.obligations   object for the handler, read only after an allow; optional
//
// Without a source, and where only organizations have policies, this policy takes its place:
//
//	package authz
//
//	default allow := false
//
//	allow if input.action in input.member.permissions
//
// An organization's own policy is package org, or below it, in the folder orgs/<label>.<organization id>. Only the id counts:
// the label is for readers. The engine asks it for
//
//	data.org.deny            as data.authz.deny; it always restricts
//
// and the product's policy may ask it for more, such as data.org.allow, which counts exactly as far as the product's policy
// makes it count. An organization's policy defines at least one of the two; deny := set() restricts nothing. This product's
// policy lets organizations open one action, and passes on their obligations beside its own (see the example Organization):
//
//	allow if {
//		input.action == "read:adventures"
//		data.org.allow
//	}
//
//	default theirs := {}
//
//	theirs := data.org.obligations
//
//	obligations := object.union(theirs, {"mask": ["phone"]})
//
// The default matters: where an organization has no policy of its own, data.org is undefined, and so is what is made of it. An
// evaluation that reads data.org while a with replaces some other part of data fails.
//
// What would silently decide nothing is refused when the source is read: a .rego file in a place that is not read (see Source);
// a product's policy without allow; allow, deny or obligations as a rule that cannot have the type above, such as deny if …,
// which is a boolean, or deny["x"] if …, which is an object (write deny contains "x" if …); a rule that nothing in its policy
// reads and that has one of these names but for one slip, such as dney.
//
// The input of both is described at Input. The answers combine to
//
//	authz.allow     authz.deny   org.deny    decision
//	true            empty        empty       Allowed, with the obligations
//	false           empty        empty       Denied, without reasons
//	undefined       empty        empty       Undefined, a denial
//	any boolean     either has members       Denied, the members are the reasons
//	or undefined
//	anything that fails                      Failed, a denial
//
// An undefined deny is an empty one. An evaluation fails when a value has another type than above, when rules conflict, when
// a built-in function reports an error (none is swallowed as undefined), when input.resource is no JSON, or on a panic; the log
// says which. One that takes longer than Config.Timeout is stopped: TimedOut, a denial. What fails in an organization's own
// policy denies this organization's requests only.
//
// # The sandbox of an organization's own policy
//
// It reads input and data.org (and data.orgauthz, reserved for a library of helpers), each written out, and nothing else. It
// calls only built-in functions whose answer depends on their arguments alone and that stop soon after they are told to:
//
//	numbers     + - * / % abs ceil floor round, == != < <= > >=, numbers.range to_number
//	lists       in some every, count max min sum, array.slice array.reverse, & | - union intersection
//	objects     object.get object.keys object.subset
//	texts       contains startswith endswith indexof lower upper substring
//	            trim trim_left trim_right trim_prefix trim_suffix trim_space
//	            strings.any_prefix_match strings.any_suffix_match
//	types       is_array is_boolean is_null is_number is_object is_set is_string type_name
//	addresses   net.cidr_contains net.cidr_intersects net.cidr_is_valid
//	versions    semver.compare semver.is_valid
//	times       time.parse_rfc3339_ns time.parse_duration_ns time.clock time.date time.weekday time.diff time.add_date
//	debugging   print, which prints nothing
//
// What builds texts, such as sprintf and concat, is not among them: a reason is a fixed text or an object. An organization has
// at most 64 KB of files, 1,000 rules with 200 statements and calls each, and brackets 100 deep. Its policy is compiled by itself
// when the source is read (about 1 ms and 120 KB each), without type checks: a call with a wrong type fails when it is evaluated.
//
// The product's policy is trusted. Some built-in functions that it may call, such as bits.lsh, graph.reachable_paths and regular
// expressions on long texts, do not notice that the time is up.
//
// # Changes of the source
//
// The source is looked at once a second. A changed one is read, compiled beside the active revision, and takes its place at
// once and as a whole. If anything in it is refused, the last good revision stays for everybody; the log says why, with file
// and line, and so does Engine.Health until the source is mended: an ErrDegraded, which is for an alarm and no reason to take the
// node out of service. The same goes for a source that has vanished, a product's policy without files, an organization's folder
// without files, and the disappearance of all organizations' policies: an accident must not open what a policy closed. One
// organization's folder may be removed. Policies that are not in order when the engine is opened are an error of Open, and so is
// a source without any: it may be a volume that was not mounted.
//
// # Decisions are cached
//
// A decision without error is kept, with the whole input that led to it, in a cache bounded by bytes; the same input to
// the same policies is answered from there. Policies that call a non-deterministic built-in function, such as time.now_ns,
// are always evaluated.
//
// # What it does not do
//
// It fetches no policies over the network, holds no data beside the policies, and knows nothing of how fresh the subject
// is: the age of an answer is the age of the membership that was put in.
package policy
