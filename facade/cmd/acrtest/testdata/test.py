import base64, json, ssl, subprocess, urllib.request

registry = subprocess.Popen(["acrtest", "-ca-file", "ca.pem"], stdout=subprocess.PIPE)
try:
    where = json.loads(registry.stdout.readline())
    trust = ssl.create_default_context(cafile=where["ca_file"])
    basic = base64.b64encode(f"{where['username']}:{where['password']}".encode()).decode()

    def control(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        token = {"Authorization": "Bearer " + where["control_token"]}
        request = urllib.request.Request(where["control_endpoint"] + path, data, headers=token)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def get(path):
        request = urllib.request.Request(where["endpoint"] + path, headers={"Authorization": "Basic " + basic})
        with urllib.request.urlopen(request, context=trust) as reply:
            return json.load(reply)

    control("/seed", {"tags": {"repository": "samples/app", "n": 3}})
    control("/faults", {"on": ["ListTags"], "delay_reply": "50ms"})
    print([tag["name"] for tag in get("/acr/v1/samples%2Fapp/_tags")["tags"]])
    print([request["status"] for request in control("/requests?operation=ListTags")])
finally:
    registry.terminate()
    registry.wait()
