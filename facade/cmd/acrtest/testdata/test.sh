acrtest -ca-file ca.pem -admin me:secret >acrtest.json &
until [ -s acrtest.json ]; do sleep 0.1; done
field() { sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/" acrtest.json; }
registry=$(field endpoint)
control() { curl -sf -H "Authorization: Bearer $(field control_token)" "$(field control_endpoint)$1" "${@:2}"; }
trap 'kill $(field pid)' EXIT

control /seed -d '{"image": {"reference": "samples/app:v1"}}'
curl -sf --cacert ca.pem -u me:secret "$registry/acr/v1/samples/app/_tags/v1"
control /clock -d '{"advance": "2160h"}'
control /faults -d '{"on": ["ListTags"], "first": 2, "status": 503, "retry_after": "1s"}'
curl -sf --cacert ca.pem -u me:secret --retry 3 "$registry/acr/v1/samples/app/_tags"
control "/requests?operation=ListTags"
