acrtest -ca-file ca.pem -admin me:secret >acrtest.json &
until [ -s acrtest.json ]; do sleep 0.1; done
field() { sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/" acrtest.json; }
registry=$(field endpoint) control=$(field control_endpoint)
trap 'kill $(field pid)' EXIT

curl -sf "$control/seed" -d '{"image": {"reference": "samples/app:v1"}}'
curl -sf --cacert ca.pem -u me:secret "$registry/acr/v1/samples/app/_tags/v1"
curl -sf "$control/clock" -d '{"advance": "2160h"}'
curl -sf "$control/faults" -d '{"on": ["ListTags"], "first": 2, "status": 503, "retry_after": "1s"}'
curl -sf --cacert ca.pem -u me:secret --retry 3 "$registry/acr/v1/samples/app/_tags"
curl -sf "$control/requests?operation=ListTags"
