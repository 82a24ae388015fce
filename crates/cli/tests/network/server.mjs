// HTTP/2 with TLS, on port 8443 of the other machine.
import fs from "node:fs";
import http2 from "node:http2";

const dir = process.argv[2];
const options = { key: fs.readFileSync(`${dir}/key.pem`), cert: fs.readFileSync(`${dir}/leaf.pem`), allowHTTP1: true };
const server = http2.createSecureServer(options, (request, response) => {
  response.end(`version ${request.httpVersion}\n`);
});
server.listen(8443, "93.184.216.34", () => fs.writeFileSync(`${dir}/ready2`, ""));
