package auth

import "strings"

// What to do, by cause.
const (
	adviseFirewall   = "add it to the registry's firewall rules (az acr network-rule add), or come from an allowed network or by private link"
	adviseARM        = "use a credential that gives tokens for " + DefaultAudience + " (the default audience), or let the registry take ARM tokens again (az acr config authentication-as-arm update --status enabled)"
	adviseAudience   = "check that the credential is of the registry's tenant and cloud, and that the audience is " + DefaultAudience
	adviseRole       = "give the identity a role on the registry (AcrPull, AcrPush; with ABAC Container Registry Repository Reader, Writer, Contributor); it takes minutes to show"
	adviseABAC       = "the registry grants by repository: give the identity Container Registry Repository Reader, Writer or Contributor, with a condition that covers the repository"
	adviseCatalog    = "give the identity Container Registry Repository Catalog Lister (ABAC) or AcrPull; a repository token cannot list the catalog"
	adviseAnon       = "sign in, or allow anonymous pull where that is meant (Standard and Premium); it allows reading only"
	adviseName       = "check the registry's name, its cloud (azurecr.io, azurecr.cn, azurecr.us), and with private link the DNS zone"
	advisePassword   = "check both, that the admin user or token is enabled, and that the token's password has not expired"
	adviseClock      = "set the local clock"
	adviseRevoked    = "sign in again (az login), and check that the identity is enabled and of the registry's tenant and cloud"
	adviseRefresh    = "get a new refresh token (Login, or az acr login --expose-token)"
	adviseBearer     = "check that the endpoint is an Azure Container Registry"
	adviseTooLarge   = "use an identity that is a member of fewer groups, whose token is smaller, or raise the limit of the proxy in between"
	adviseNoEndpoint = "the server has no endpoint /oauth2/token, which this client needs: check that the endpoint is an Azure Container Registry, and look for a proxy or portal in between"
	adviseStranger   = "what answers is not a registry: check the endpoint, and look for a proxy or portal in between"
	adviseSilence    = "look for a firewall or proxy on the way that drops packets"
	adviseThrottle   = "wait, and let all calls share one client: its tokens serve them all"
	adviseLater      = "try again later"
	adviseSupport    = "try again later; if it persists, give the correlation id to Azure support"
	advisePerson     = "look at what the credential waits for; one that asks a person is best signed in beforehand (its method Authenticate)"

	// AdviseProxy and AdvisePortal are about statuses 407 and 511, which no registry answers with.
	AdviseProxy  = "a proxy asks for a user name and password: put them into the proxy's URL (HTTPS_PROXY)"
	AdvisePortal = "sign in to the network first: its portal answers in place of the registry"

	adviseAssertion   = "the federated, workload or pipeline token that the credential signs in with is outside its time: have a new one issued, and check the local clock"
	adviseInteractive = "sign in with a person at hand (az login --scope " + DefaultAudience + "/.default), or use an identity that needs none"
)

// Later is the advice on a failure of the registry itself.
func Later(correlationID string) string {
	if correlationID == "" {
		return adviseLater
	}
	return adviseSupport
}

// adviseActions names the smallest built-in role that allows what was needed.
func adviseActions(need *scopeSet) string {
	role := "AcrPull"
	for _, s := range need.scopes {
		for _, a := range s.actions {
			switch {
			case a == "delete":
				role = "AcrDelete"
			case (a == "push" || a == "metadata_write") && role == "AcrPull":
				role = "AcrPush"
			case strings.HasPrefix(a, "deleted_") && role != "AcrDelete":
				role = "Contributor"
			}
		}
	}
	return "give the identity " + role + " or more (for a repository token the action in its scope map); it takes minutes to show"
}
