package org

deny contains "staff_only" if {
	input.resource.staff_only
	input.member.metadata.employment == "freelance"
}
