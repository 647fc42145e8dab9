package wire

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// acrSuffixes are the domains whose first-level names are registries. A credential for ACR may go to these without being told so.
var acrSuffixes = []string{"azurecr.io", "azurecr.cn", "azurecr.us", "azurecr.de"}

// CheckEndpoint returns the login URL ("https://host[:port]", lower case, no path) of the registry at endpoint, which may be given without its scheme.
//
// Allowed are https hosts directly below an ACR domain (myregistry.azurecr.io), regional ones (myregistry.westeurope.geo.azurecr.io), both on port 443,
// and hosts that allowedHosts names exactly, as "host" (port 443) or "host:port", with or without https://. An IP address, a loopback one
// included, must be named.
// User information, path, query, fragment, a trailing dot and non-ASCII names are refused always.
// Errors: ErrEndpoint.
func CheckEndpoint(endpoint string, allowedHosts []string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) { return nil, Refuse(ErrEndpoint, why) }
	raw := endpoint
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return bad("it contains a blank, control or non-ASCII character: remove it")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return bad("it is not a URL: " + writeHost)
	}
	if u.User != nil {
		return bad("it contains user information: write the host alone, and pass the credential to the constructor")
	}
	switch {
	case u.Host == "" || u.Hostname() == "":
		return bad("it has no host: " + writeHost)
	case u.Scheme != "https":
		return bad("the scheme is " + u.Scheme + ", but only https is used: write " + u.Host)
	case u.Path != "" && u.Path != "/":
		return bad("it has a path: write " + u.Host + " alone; names of repositories are given to Client.Repository")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(raw, "#"):
		return bad("it has a query or fragment: write " + u.Host + " alone")
	}
	o := OriginOf(u)
	if p, err := strconv.ParseUint(o.Port, 10, 16); err != nil || p == 0 || strings.HasSuffix(u.Host, ":") {
		return bad("the port is not a number from 1 to 65535: an Azure Container Registry needs none")
	}
	if !validHost(o.Host) {
		return bad(o.Host + " is not a host name: " + writeHost)
	}
	host := strings.TrimPrefix(o.String(), "https://")
	if !(o.Port == "443" && isACRHost(o.Host)) && !named(o, allowedHosts) {
		if o.Port == "443" && registryName.MatchString(o.Host) && o.Host != "localhost" {
			return bad("it is the name of a registry without its domain: write " + o.Host + "." + acrSuffixes[0] + " (in China ." + acrSuffixes[1] + ", in US Government ." + acrSuffixes[2] + ")")
		}
		return bad(host + " is not a host of Azure Container Registry, such as myregistry." + acrSuffixes[0] + ": check the name, or list \"" + host +
			"\" in ClientOptions.AllowedHosts if the credential may be sent there")
	}
	return &url.URL{Scheme: "https", Host: host}, nil
}

// writeHost is what to do about an endpoint in which no host is found.
const writeHost = "write the login server, such as myregistry.azurecr.io"

// registryName is the form of a registry's name: 5 to 50 letters and digits, which a domain name label scope extends by a dash and a hash.
var registryName = regexp.MustCompile(`^[a-z0-9]{5,50}(-[a-z0-9]{1,12})?$`)

// isACRHost says whether host is NAME.azurecr.io or NAME.REGION.geo.azurecr.io, in any of the clouds.
func isACRHost(host string) bool {
	for _, s := range acrSuffixes {
		rest, ok := strings.CutSuffix(host, "."+s)
		if !ok {
			continue
		}
		labels := strings.Split(rest, ".")
		switch {
		case strings.Contains(rest, "xn--"): // no registry name is internationalised: names are alphanumeric and "-"
			return false
		case len(labels) == 1:
			return true
		case len(labels) == 3 && labels[2] == "geo":
			return true
		}
	}
	return false
}

// validHost says whether host is an address or a dotted name of letters, digits, "-" and "_" without a trailing dot.
func validHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// named says whether allowed has the origin. Its entries may be URLs, because those are what other functions return.
func named(o Origin, allowed []string) bool {
	for _, a := range allowed {
		if after, ok := strings.CutPrefix(strings.ToLower(a), "https://"); ok {
			a = strings.TrimSuffix(after, "/")
		}
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			host, port = strings.Trim(a, "[]"), "443"
		}
		if strings.EqualFold(host, o.Host) && port == o.Port {
			return true
		}
	}
	return false
}
