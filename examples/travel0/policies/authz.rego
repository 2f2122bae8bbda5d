# Travel0's own policy: a member may do what one of their roles permits.
package authz

default allow := false

allow if input.action in input.member.permissions
