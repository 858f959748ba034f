// A runtime of Node.js for benchmarks: asks for an invocation. With the argument "preboot" it
// starts and connects first, then takes its assignment from file descriptor 3.
const fs = require("fs");
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const s = require("net").connect(+port, host);
s.on("error", () => {});
s.on("data", () => {});

function next() {
  s.write("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
}

if (process.argv[2] === "preboot") {
  s.on("connect", () => {
    const chunk = Buffer.alloc(65536);
    let text = "";
    for (let n; (n = fs.readSync(3, chunk, 0, chunk.length, null)) > 0; ) text += chunk.toString("utf8", 0, n);
    for (const kv of text.split("\0").slice(0, -1)) {
      const i = kv.indexOf("=");
      process.env[kv.slice(0, i)] = kv.slice(i + 1);
    }
    process.chdir(process.env.LAMBDA_TASK_ROOT);
    next();
  });
} else {
  next();
}
