package authz

default allow := false

allow if input.action in input.member.permissions

obligations := {"mask": ["phone"]} if input.member.kind == "guest"
