import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { get } from "node:https";
import { createInterface } from "node:readline";

const program = spawn("acrtest", ["-ca-file", "ca.pem"], { stdio: ["ignore", "pipe", "inherit"] });
try {
  const lines = createInterface({ input: program.stdout });
  const where = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
  const headers = { authorization: "Bearer " + where.control_token };
  const control = async (path, body) =>
    (await fetch(where.control_endpoint + path, { headers, ...(body && { method: "POST", body: JSON.stringify(body) }) })).json();
  const options = { ca: readFileSync(where.ca_file), auth: `${where.username}:${where.password}` };
  const call = (path) => new Promise((resolve, reject) => get(where.endpoint + path, options, (reply) => {
    reply.setEncoding("utf8");
    let text = "";
    reply.on("data", (part) => (text += part)).on("end", () => resolve(JSON.parse(text)));
  }).on("error", reject));

  await control("/seed", { image: { reference: "samples/app:v1" } });
  console.log((await call("/acr/v1/_catalog")).repositories);
  console.log((await control("/requests")).map((request) => request.operation));
} finally {
  program.kill();
}
