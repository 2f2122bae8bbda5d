module github.com/orgauthz/orgauthz/bench

go 1.26.0

require github.com/orgauthz/orgauthz v0.0.0

replace github.com/orgauthz/orgauthz => ../
