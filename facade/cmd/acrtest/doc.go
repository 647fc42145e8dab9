// Command acrtest runs an emulated Azure Container Registry until it is interrupted.
//
//	acrtest -listen 127.0.0.1:0 -ca-file ca.pem
//
// prints one line of JSON with everything a client in any language needs, then serves. -h lists the options; each is an option of
// package facade/acrtest, where it is described. With -dir the content outlives the program, also one that is killed; with -sync as
// well, the loss of power too. An interrupt or SIGTERM ends it, a second one at once.
//
// The exit status is 0 after an interrupt, 1 when the registry cannot serve, such as with a port in use, and 2 for options that make no
// sense; what is wrong is on the standard error.
//
// # What it prints
//
//	endpoint, login_server          the registry's URL, and its host and port: what image names begin with
//	ca_file                         the certificate to trust, in PEM
//	username, password              the admin user, good for Basic and for docker login
//	entra_token                     an Entra access token, to be exchanged for a refresh token of the registry
//	authority, tenant, client_id, client_secret   where a service principal signs in: an Azure credential with these gets such tokens
//	storage_endpoint                the origin that blobs are redirected to
//	anonymous                       whether pulls need no credential
//	control_endpoint                see below
//	regional_endpoints              with -replicas: the URL of each replica, by region
//	pid                             the process
//
// Azure's client libraries want the certificate where their HTTP stack looks for it (SSL_CERT_FILE for Go, REQUESTS_CA_BUNDLE for
// Python, NODE_EXTRA_CA_CERTS for JavaScript), and a credential that is told not to look its authority up at Microsoft's
// (DisableInstanceDiscovery, disable_instance_discovery, disableInstanceDiscovery).
//
// # Control
//
// What a Go test does by methods, others do by JSON over plain HTTP, from the same machine only:
//
//	POST /seed      {"image": {"reference": "samples/app:v1", "layers": ["BASE64"]}}, or one of
//	                {"index": {"reference": "samples/app:v1", "architectures": ["amd64", "arm64"]}},
//	                {"referrer": {"repository": "samples/app", "subject": "sha256:...", "artifact_type": "application/vnd.example.sbom"}},
//	                {"blob": {"repository": "samples/app", "content": "BASE64"}}, {"tags": {"repository": "samples/app", "n": 1000}},
//	                {"manifests": {"repository": "samples/app", "n": 1000}}, {"layout": {"repository": "samples/app", "directory": "PATH"}}
//	POST /clock     {"advance": "2160h"} moves the registry's clock; GET says what it shows
//	POST /faults    {"on": ["UploadChunk"], "nth": 2, "drop_reply": true}: a line of the fault script, see below; GET lists the script
//	                with how often each line was met, DELETE empties it
//	GET /requests   the ledger, ?operation=ListTags that of one operation; DELETE forgets it
//	POST /revoke    {"access_tokens": true, "refresh_tokens": true} makes those that were issued worthless
//	POST /collect   {"grace": "1h"} frees what nothing refers to
//
// A line of the script says which requests: on (operation ids, none for all), path (a part of it), and nth, first, from or always.
// And what happens: status with retry_after, code, message, body, content_type, early; redirect, raw, lag, revoke, stall; delay,
// delay_reply, informational, drop_reply, slow, close_idle, stall_after, stall_request_after, reset_after, reset_request_after,
// accept, truncate, truncate_clean; reply_status, reply_body, header, without_header, digest, location, link, content_length,
// flip_byte, endless, ignore_range. Each is the method of the same name of acrtest.Fault. Times are spans such as "50ms", or seconds.
//
// # With curl
//
//	acrtest -ca-file ca.pem -admin me:secret >acrtest.json &
//	until [ -s acrtest.json ]; do sleep 0.1; done
//	field() { sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/" acrtest.json; }
//	registry=$(field endpoint) control=$(field control_endpoint)
//	trap 'kill $(field pid)' EXIT
//
//	curl -sf "$control/seed" -d '{"image": {"reference": "samples/app:v1"}}'
//	curl -sf --cacert ca.pem -u me:secret "$registry/acr/v1/samples/app/_tags/v1"
//	curl -sf "$control/clock" -d '{"advance": "2160h"}'
//	curl -sf "$control/faults" -d '{"on": ["ListTags"], "first": 2, "status": 503, "retry_after": "1s"}'
//	curl -sf --cacert ca.pem -u me:secret --retry 3 "$registry/acr/v1/samples/app/_tags"
//	curl -sf "$control/requests?operation=ListTags"
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
//	        with urllib.request.urlopen(where["control_endpoint"] + path, data) as reply:
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
//	  const control = async (path, body) =>
//	    (await fetch(where.control_endpoint + path, body && { method: "POST", body: JSON.stringify(body) })).json();
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
