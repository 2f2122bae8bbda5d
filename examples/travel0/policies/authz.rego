# Travel0's own policy: a member may do what one of their roles permits, and what is the member's own.
package authz

default allow := false

own := {"read:my_organizations", "switch:organization", "accept:invitation"}

allow if input.action in input.member.permissions

allow if input.action in own
