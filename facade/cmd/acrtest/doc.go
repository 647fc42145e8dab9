// Command acrtest runs an emulated Azure Container Registry until it is interrupted.
//
//	acrtest -listen 127.0.0.1:0 -ca-file ca.pem
//
// When the registry is ready, the program prints one line of JSON with everything a client in any
// language needs. Option -h lists the options; each is an option of package facade/acrtest and is
// described there. With -dir the content survives the end of the program, even if it is killed; with
// -sync also a power failure. An interrupt or SIGTERM stops the program, a second one at once.
//
// The exit status is 0 after an interrupt, 1 if the registry cannot run (such as when a port is in
// use), and 2 if an option is invalid. Errors are written to the standard error.
//
// # What it prints
//
//	endpoint, login_server          URL of the registry; its host and port, as used in image names
//	ca_file                         PEM certificate to trust
//	username, password              admin user, for Basic authentication and docker login
//	entra_token                     Entra access token, to be exchanged for an ACR refresh token
//	authority, tenant, client_id, client_secret   where and how a service principal signs in
//	storage_endpoint                origin that blob downloads are redirected to
//	anonymous                       whether pulls need no credential
//	control_endpoint, control_token the control API, see below
//	regional_endpoints              with -replicas: the URL of each replica, by region
//	pid                             process ID
//
// Azure SDKs look for the certificate where their HTTP stack does (SSL_CERT_FILE for Go on Linux,
// REQUESTS_CA_BUNDLE for Python, NODE_EXTRA_CA_CERTS for JavaScript). Go on macOS and Windows
// ignores SSL_CERT_FILE: give the client a transport whose TLSClientConfig.RootCAs has the
// certificate. The simplest client in Go is acr.NewClientWithPassword with endpoint, username and
// password, and login_server in ClientOptions.AllowedHosts; facade/guides/testing.md has it in full.
// For Entra credentials use authority, tenant, client_id and client_secret. Their credentials must be told
// not to verify the authority with Microsoft (DisableInstanceDiscovery, disable_instance_discovery,
// disableInstanceDiscovery).
//
// # Control API
//
// The control API does over HTTP what a Go test does with the methods of acrtest.Server. It uses
// plain HTTP on the loopback interface. Every request needs the header "Authorization: Bearer TOKEN"
// with the control_token; requests that a browser sends for a web page are rejected.
//
//	POST /seed      {"image": {"reference": "samples/app:v1", "layers": ["BASE64"]}}, or one of
//	                {"index": {"reference": "samples/app:v1", "architectures": ["amd64", "arm64"]}},
//	                {"referrer": {"repository": "samples/app", "subject": "sha256:...", "artifact_type": "application/vnd.example.sbom"}},
//	                {"blob": {"repository": "samples/app", "content": "BASE64"}}, {"tags": {"repository": "samples/app", "n": 1000}},
//	                {"manifests": {"repository": "samples/app", "n": 1000}}, {"layout": {"repository": "samples/app", "directory": "PATH"}}
//	POST /clock     {"advance": "2160h"} moves the registry's clock; GET returns its time
//	POST /faults    {"on": ["UploadChunk"], "nth": 2, "drop_reply": true} adds a line to the fault script, see below;
//	                GET lists the lines and how often each was hit, DELETE removes all
//	GET /requests   the ledger; ?operation=ListTags for one operation; DELETE empties it
//	POST /revoke    {"access_tokens": true, "refresh_tokens": true} invalidates the tokens issued so far
//	POST /collect   {"grace": "1h"} deletes what has been unreferenced for that time
//
// A line of the fault script selects requests with on (operation IDs; all if absent), path (part of
// the path), and one of nth, first, from and always. Its actions are: status with retry_after, code,
// message, body, content_type, early; redirect, raw, lag, revoke, stall; delay, delay_reply,
// informational, drop_reply, slow, close_idle, stall_after, stall_request_after, reset_after,
// reset_request_after, accept, truncate, truncate_clean; reply_status, reply_body, header,
// without_header, digest, location, link, content_length, flip_byte, endless, ignore_range. Each is
// the method of that name of acrtest.Fault. Durations are strings such as "50ms", or seconds.
//
// # With curl
//
//	acrtest -ca-file ca.pem -admin me:secret >acrtest.json &
//	until [ -s acrtest.json ]; do sleep 0.1; done
//	field() { sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/" acrtest.json; }
//	registry=$(field endpoint)
//	control() { curl -sf -H "Authorization: Bearer $(field control_token)" "$(field control_endpoint)$1" "${@:2}"; }
//	trap 'kill $(field pid)' EXIT
//
//	control /seed -d '{"image": {"reference": "samples/app:v1"}}'
//	curl -sf --cacert ca.pem -u me:secret "$registry/acr/v1/samples/app/_tags/v1"
//	control /clock -d '{"advance": "2160h"}'
//	control /faults -d '{"on": ["ListTags"], "first": 2, "status": 503, "retry_after": "1s"}'
//	curl -sf --cacert ca.pem -u me:secret --retry 3 "$registry/acr/v1/samples/app/_tags"
//	control "/requests?operation=ListTags"
//
// # With Python
//
//	import base64, json, ssl, subprocess, urllib.request
//
//	registry = subprocess.Popen(["acrtest", "-ca-file", "ca.pem"], stdout=subprocess.PIPE)
//	try:
//	    where = json.loads(registry.stdout.readline())
//	    trust = ssl.create_default_context(cafile=where["ca_file"])
//	    basic = base64.b64encode(f"{where['username']}:{where['password']}".encode()).decode()
//
//	    def control(path, body=None):
//	        data = None if body is None else json.dumps(body).encode()
//	        token = {"Authorization": "Bearer " + where["control_token"]}
//	        request = urllib.request.Request(where["control_endpoint"] + path, data, headers=token)
//	        with urllib.request.urlopen(request) as reply:
//	            return json.load(reply)
//
//	    def get(path):
//	        request = urllib.request.Request(where["endpoint"] + path, headers={"Authorization": "Basic " + basic})
//	        with urllib.request.urlopen(request, context=trust) as reply:
//	            return json.load(reply)
//
//	    control("/seed", {"tags": {"repository": "samples/app", "n": 3}})
//	    control("/faults", {"on": ["ListTags"], "delay_reply": "50ms"})
//	    print([tag["name"] for tag in get("/acr/v1/samples%2Fapp/_tags")["tags"]])
//	    print([request["status"] for request in control("/requests?operation=ListTags")])
//	finally:
//	    registry.terminate()
//	    registry.wait()
//
// # With JavaScript
//
//	import { spawn } from "node:child_process";
//	import { readFileSync } from "node:fs";
//	import { get } from "node:https";
//	import { createInterface } from "node:readline";
//
//	const program = spawn("acrtest", ["-ca-file", "ca.pem"], { stdio: ["ignore", "pipe", "inherit"] });
//	try {
//	  const lines = createInterface({ input: program.stdout });
//	  const where = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
//	  const headers = { authorization: "Bearer " + where.control_token };
//	  const control = async (path, body) =>
//	    (await fetch(where.control_endpoint + path, { headers, ...(body && { method: "POST", body: JSON.stringify(body) }) })).json();
//	  const options = { ca: readFileSync(where.ca_file), auth: `${where.username}:${where.password}` };
//	  const call = (path) => new Promise((resolve, reject) => get(where.endpoint + path, options, (reply) => {
//	    reply.setEncoding("utf8");
//	    let text = "";
//	    reply.on("data", (part) => (text += part)).on("end", () => resolve(JSON.parse(text)));
//	  }).on("error", reject));
//
//	  await control("/seed", { image: { reference: "samples/app:v1" } });
//	  console.log((await call("/acr/v1/_catalog")).repositories);
//	  console.log((await control("/requests")).map((request) => request.operation));
//	} finally {
//	  program.kill();
//	}
package main
