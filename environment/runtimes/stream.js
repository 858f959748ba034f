'use strict';
// The stream that a handler made by awslambda.streamifyResponse writes its answer to.

const { Writable } = require('stream');

class InvalidStreamingOperation extends Error {}
InvalidStreamingOperation.prototype.name = 'Runtime.InvalidStreamingOperation';

// responseStream posts the answer to an invocation in chunks on the client's socket. accepted is
// a promise for the Runtime API's answer; fail breaks the stream off with an error.
function responseStream(client, id, highWaterMark, describe) {
  const socket = client.socket;
  let contentType = 'application/octet-stream';
  let begun = false;
  let settle;
  const accepted = new Promise((resolve) => (settle = resolve));
  const begin = () => {
    if (begun) return;
    begun = true;
    client.waiting.push(settle);
    socket.write(
      `POST /2018-06-01/runtime/invocation/${id}/response HTTP/1.1\r\nHost: runtime\r\nContent-Type: ${contentType}\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n'
    );
  };
  const chunk = (data, then) => {
    if (data.length === 0) return then && then();
    socket.cork();
    socket.write(data.length.toString(16) + '\r\n');
    socket.write(data);
    socket.write('\r\n', then);
    socket.uncork();
  };
  const stream = new Writable({
    highWaterMark,
    decodeStrings: true,
    write(data, _encoding, then) {
      begin();
      chunk(data, then);
    },
    final(then) {
      begin();
      socket.write('0\r\n\r\n', then);
    },
  });
  const write = stream.write.bind(stream);
  stream.write = (data, encoding, then) => {
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) data = JSON.stringify(data);
    if (!begun && stream._onBeforeFirstWrite) {
      const first = stream._onBeforeFirstWrite;
      stream._onBeforeFirstWrite = undefined;
      first((piece) => write(piece));
    }
    return write(data, encoding, then);
  };
  stream.setContentType = (type) => {
    if (begun) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    contentType = type;
  };
  const fail = (error) => {
    const what = describe(error);
    if (stream.writableEnded) return;
    begin();
    const type = String(what.errorType).replace(/[^ -~]/g, '?');
    const body = Buffer.from(JSON.stringify(what)).toString('base64');
    stream.destroy();
    socket.write(`0\r\nLambda-Runtime-Function-Error-Type: ${type}\r\nLambda-Runtime-Function-Error-Body: ${body}\r\n\r\n`);
  };
  return { stream, accepted, fail };
}

module.exports = { responseStream };
