const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const s = require("net").connect(+port, host);
s.write("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
