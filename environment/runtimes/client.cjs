'use strict';
// The Runtime API's client of weir's Node.js runtime: HTTP over one plain socket.

const net = require('net');

const API = '/2018-06-01/runtime';
const NEXT = `GET ${API}/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n`;

class Client {
  // The socket keeps the process alive only while an invocation is awaited.
  constructor(address) {
    const [host, port] = address.split(':');
    this.received = [];
    this.size = 0;
    this.waiting = []; // for answers, in order: functions of status, headers and body
    this.socket = net.connect(Number(port), host);
    this.socket.setNoDelay(true);
    this.socket.on('data', (data) => this.take(data));
    this.socket.on('error', () => process.exit(0)); // the environment is gone
    this.socket.on('close', () => process.exit(0));
  }

  take(data) {
    this.received.push(data);
    this.size += data.length;
    while (this.size > 0 && this.parse());
  }

  // parse handles one answer if it is complete.
  parse() {
    if (this.size < this.needed) return false;
    let data = this.received.length === 1 ? this.received[0] : Buffer.concat(this.received, this.size);
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) {
      this.received = [data];
      return false;
    }
    const head = data.latin1Slice(0, end);
    const match = /\r\ncontent-length: (\d+)/i.exec(head);
    const total = end + 4 + (match ? Number(match[1]) : 0);
    if (data.length < total) {
      this.received = [data];
      this.needed = total;
      return false;
    }
    const body = data.subarray(end + 4, total);
    data = data.subarray(total);
    this.received = data.length ? [data] : [];
    this.size = data.length;
    this.needed = 0;
    const then = this.waiting.shift();
    if (then) then(Number(head.slice(9, 12)), head, body);
    return true;
  }

  send(message, then) {
    this.waiting.push(then);
    this.socket.write(message);
  }

  // next asks for an invocation, behind an answer to the one before, in one write. It returns a
  // promise for the invocation's headers and event.
  next(answer) {
    if (answer) {
      this.waiting.push((status) => {
        if (status === 202) return;
        const what = 'Failed to post handler success response';
        process.stdout.write(`[ERROR] [${Date.now()}] LAMBDA_RUNTIME ${what}. Http response code: ${status}.\n`);
      });
    }
    this.socket.ref();
    this.socket.write(answer ? answer + NEXT : NEXT);
    return new Promise((resolve) => {
      this.waiting.push((status, head, body) => {
        this.socket.unref();
        resolve({ headers: parseHeaders(head), body });
      });
    });
  }
}

function parseHeaders(head) {
  const headers = {};
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(': ');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
  }
  return headers;
}

function post(target, body, errorType) {
  const type = errorType ? `Lambda-Runtime-Function-Error-Type: ${String(errorType).replace(/[^ -~]/g, '?').slice(0, 1024)}\r\n` : '';
  return (
    `POST ${API}${target} HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${type}\r\n${body}`
  );
}

module.exports = { Client, post };
