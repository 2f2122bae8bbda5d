package orgstoretest

// allCases lists the cases of every noun, each in the file of its noun.
var allCases = []cases{
	coreCases,
	feedCases,
	organizationRoleCases,
	domainCases,
	organizationCases,
	enabledCases,
	organizationClientCases,
	templateCases,
	teamCases,
	teamAccessCases,
	followCases,
	auditCases,
	connectionCases,
	clientCases,
	apiCases,
	clientGrantCases,
	userCases,
	sessionCases,
	apiKeyCases,
	groupCases,
	lifetimeCases,
	requestCases,
}

// allRaces lists the races of every noun, each in the file of its noun.
var allRaces = []map[string]race{
	coreRaces,
	organizationRoleRaces,
	domainRaces,
	organizationRaces,
	enabledRaces,
	organizationClientRaces,
	templateRaces,
	teamRaces,
	connectionRaces,
	clientRaces,
	apiRaces,
	clientGrantRaces,
	userRaces,
	sessionRaces,
	apiKeyRaces,
	groupRaces,
	requestRaces,
}
