package auth

import "strings"

// What to do, by cause.
const (
	adviseFirewall   = "add it to the registry's firewall rules (az acr network-rule add), or come from an allowed network or by private link"
	adviseARM        = "use a credential that gives tokens for " + DefaultAudience + " (the default audience), or let the registry take ARM tokens again (az acr config authentication-as-arm update --status enabled)"
	adviseAudience   = "check that the credential is of the registry's tenant and cloud, and that the audience is " + DefaultAudience
	adviseRole       = "give the identity a role on the registry (AcrPull, AcrPush; with ABAC Container Registry Repository Reader, Writer, Contributor); the change takes some minutes to apply"
	adviseABAC       = "the registry grants by repository: give the identity Container Registry Repository Reader, Writer or Contributor, with a condition that covers the repository"
	adviseCatalog    = "give the identity Container Registry Repository Catalog Lister (ABAC) or AcrPull; a repository token cannot list the catalog"
	adviseAnon       = "sign in; anonymous pull, if the registry allows it (Standard and Premium), is for reading only"
	adviseName       = "check the registry's name, its cloud (azurecr.io, azurecr.cn, azurecr.us), and with private link the DNS zone"
	advisePassword   = "check both, that the admin user or token is enabled, and that the token's password has not expired"
	adviseClock      = "set the local clock"
	adviseRevoked    = "sign in again (az login), and check that the identity is enabled and of the registry's tenant and cloud"
	adviseRefresh    = "get a new refresh token (Login, or az acr login --expose-token)"
	adviseBearer     = "check that the endpoint is an Azure Container Registry"
	adviseTooLarge   = "use an identity that is a member of fewer groups, whose token is smaller, or raise the limit of the proxy in between"
	adviseNoEndpoint = "the server has no endpoint /oauth2/token, which this client needs: check that the endpoint is an Azure Container Registry, and look for a proxy or portal in between"
	adviseStranger   = "the response is not one of a registry: check the endpoint, and look for a proxy or portal in between"
	adviseSilence    = "look for a firewall or proxy on the way that drops packets"
	adviseThrottle   = "wait, and let all calls share one client, so that they share its tokens"
	adviseLater      = "try again later"
	adviseSupport    = "try again later; if it persists, give the correlation id to Azure support"
	advisePerson     = "find out what the credential waits for; if it prompts a user, call its method Authenticate before the first request"

	adviseCA       = "if the certificate is that of a proxy or emulator that you know, trust its CA in the system or in ClientOptions.Transport; it then sees the credential"
	adviseHost     = "look for a proxy or portal in between, which answers with a certificate of its own"
	adviseNoSignIn = "nothing here is signed in: run az login, set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, run where there is a managed identity, or pass another credential"

	// AdviseProxy and AdvisePortal are about statuses 407 and 511, which no registry answers with.
	AdviseProxy  = "a proxy asks for a user name and password: put them into the proxy's URL (HTTPS_PROXY)"
	AdvisePortal = "sign in to the network first: its portal answers in place of the registry"

	adviseAssertion   = "the federated, workload or pipeline token that the credential signs in with has expired or is not valid yet: get a new one, and check the local clock"
	adviseInteractive = "sign in interactively (az login --scope " + DefaultAudience + "/.default), or use an identity that does not need a user (managed identity, service principal)"
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
	return "give the identity " + role + " or more (for a repository token the action in its scope map); the change takes some minutes to apply"
}
