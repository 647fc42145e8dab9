package wire

import (
	"net/netip"
	"slices"
	"strings"
)

// StorageSuffixes are the hosts that blobs of an ACR are served from in the public and sovereign clouds: storage accounts and dedicated data endpoints.
func StorageSuffixes() []string {
	return []string{
		".blob.core.windows.net", ".blob.storage.azure.net", ".data.azurecr.io",
		".blob.core.chinacloudapi.cn", ".data.azurecr.cn",
		".blob.core.usgovcloudapi.net", ".data.azurecr.us",
		".blob.core.cloudapi.de", ".data.azurecr.de",
	}
}

// checkStorageHost refuses a host by its name or literal address. Names that resolve to a forbidden address are caught by the dial hook.
func checkStorageHost(host string, suffixes []string, loopback bool) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if IsForbidden(addr, loopback) {
			return Untrusted(ForbiddenAddress, addr.String())
		}
	} else if !loopback && isLocalhost(host) || numeric(host) {
		return Untrusted(ForbiddenAddress, host)
	}
	if len(suffixes) > 0 && !slices.ContainsFunc(suffixes, func(s string) bool { return len(host) > len(s) && strings.HasSuffix(host, s) }) {
		return Untrusted(ForeignOrigin, "blob redirect to "+host+", which is not Azure storage")
	}
	return nil
}

// numeric says whether the host is an address in one of the forms that some resolvers take for one, and netip does not: "2852039166", "0xa9.254.169.254", "169.254.169.254.". No
// name ends in a number (WHATWG URL standard, "ends in a number").
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func isLocalhost(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// IsLoopback says whether the host names this machine by itself.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return isLocalhost(host) || err == nil && addr.Unmap().IsLoopback()
}

var (
	// metadata are the well-known addresses that answer with credentials of the machine, beyond the link-local ones: Azure's host agent, AWS over IPv6, Oracle, Alibaba.
	metadata = []netip.Addr{
		netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("100.100.100.200"),
	}
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParseAddr("255.255.255.255")
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
	compatible  = netip.MustParsePrefix("::/96")
	sixToFour   = netip.MustParsePrefix("2002::/16")
)

// IsForbidden says whether no blob is ever to be fetched from the address. Private addresses are not forbidden: Private Link uses them.
func IsForbidden(addr netip.Addr, loopback bool) bool {
	addr = addr.WithZone("").Unmap()
	if b := addr.As16(); nat64.Contains(addr) || compatible.Contains(addr) && addr != netip.IPv6Loopback() {
		addr = netip.AddrFrom4([4]byte(b[12:16])) // an IPv4 address in disguise
	} else if sixToFour.Contains(addr) {
		addr = netip.AddrFrom4([4]byte(b[2:6]))
	}
	switch {
	case addr.IsLoopback():
		return !loopback
	case addr.IsUnspecified(), addr.IsLinkLocalUnicast(), addr.IsMulticast(), addr.IsInterfaceLocalMulticast(), thisNetwork.Contains(addr), addr == broadcast:
		return true
	}
	return slices.Contains(metadata, addr)
}
