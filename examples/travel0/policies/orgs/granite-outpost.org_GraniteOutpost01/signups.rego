# Granite Outpost's own policy: freelancers guide, but not on adventures that are kept for staff.
package org

deny contains "staff_only" if {
	input.action == "create:signups"
	input.resource.staff_only
	input.member.kind == "freelancer"
}
