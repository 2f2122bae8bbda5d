package orgstoretest

import "testing"

// TestCases counts the cases that run on each database: those of every noun, of the Resolver, and the races.
func TestCases(t *testing.T) {
	t.Parallel()
	count := map[string]int{
		"Engine":      len(merged(allCases...)),
		"Races":       len(deletionRaces),
		"Resolver":    len(resolverCases),
		"Access":      len(accessCases()),
		"Idempotency": len(idempotencyTests),
	}
	for _, races := range allRaces {
		count["Races"] += len(races)
	}
	all := 0
	for suite, n := range count {
		t.Logf("%s: %d", suite, n)
		all += n
	}
	if all < 300 {
		t.Errorf("%d cases are fewer than there were", all)
	}
}
