'use strict';
// The Runtime API's client of weir's Node.js runtime: HTTP over one plain socket. It reads the
// answers of weir alone, so it looks for the names of their fields just as weir writes them.

const net = require('net');

const API = '/2018-06-01/runtime';
const NEXT = `GET ${API}/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n`;
const NONE = Buffer.alloc(0);
const ROOM = 64 << 10; // bytes that are read at a time

class Client {
  // The socket keeps the process alive only while an invocation is awaited.
  constructor(address) {
    const [host, port] = address.split(':');
    this.received = []; // the pieces of an answer that is not complete
    this.size = 0; // of them
    this.needed = 0; // bytes to make it complete, as far as that is known
    this.waiting = []; // for answers, in order: functions of status, header, bytes, and where the body begins and ends in them
    // Without the machinery of streams: each function's process compiles that anew.
    const onread = { buffer: Buffer.allocUnsafeSlow(ROOM), callback: (size, buffer) => this.take(buffer.subarray(0, size)) };
    this.socket = net.connect({ host, port: Number(port), onread });
    this.socket.setNoDelay(true);
    this.socket.on('error', () => process.exit(0)); // the environment is gone
    this.socket.on('close', () => process.exit(0));
  }

  // take handles what has arrived; it is overwritten by what arrives next.
  take(data) {
    if (this.size > 0) {
      this.received.push(Buffer.from(data));
      this.size += data.length;
      if (this.size < this.needed) return true;
      data = Buffer.concat(this.received, this.size);
    }
    let used;
    while (data.length > 0 && (used = this.parse(data)) > 0) data = used === data.length ? NONE : data.subarray(used);
    this.received = data.length > 0 ? [Buffer.from(data)] : [];
    this.size = data.length;
    return true;
  }

  // parse handles the first answer and returns its length, or 0 if it is not complete.
  parse(data) {
    this.needed = 0;
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) return 0;
    const head = data.latin1Slice(0, end);
    const total = end + 4 + Number(field(head, '\r\nContent-Length: ') || 0);
    if (data.length < total) {
      this.needed = total;
      return 0;
    }
    const then = this.waiting.shift();
    if (then) then(Number(head.slice(9, 12)), head, data, end + 4, total);
    return total;
  }

  send(message, then) {
    this.waiting.push(then);
    this.socket.write(message);
  }

  // next asks for an invocation, behind an answer to the one before, in one write. The function
  // gets the invocation's header and event.
  next(answer, then) {
    if (answer) this.waiting.push(accepted);
    this.waiting.push((_status, head, data, from, to) => {
      this.socket.unref();
      then(head, data.utf8Slice(from, to));
    });
    this.socket.ref();
    this.socket.write(answer ? answer + NEXT : NEXT);
  }
}

function accepted(status) {
  if (status === 202) return;
  const what = 'Failed to post handler success response';
  process.stdout.write(`[ERROR] [${Date.now()}] LAMBDA_RUNTIME ${what}. Http response code: ${status}.\n`);
}

// field returns the value of a header's field; its name comes with a line end before and a colon behind.
function field(head, name) {
  const at = head.indexOf(name);
  if (at < 0) return undefined;
  const from = at + name.length;
  const to = head.indexOf('\r\n', from);
  return head.slice(from, to < 0 ? undefined : to);
}

function post(target, body, errorType) {
  const type = errorType ? `Lambda-Runtime-Function-Error-Type: ${String(errorType).replace(/[^ -~]/g, '?').slice(0, 1024)}\r\n` : '';
  return (
    `POST ${API}${target} HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${type}\r\n${body}`
  );
}

module.exports = { Client, field, post };
