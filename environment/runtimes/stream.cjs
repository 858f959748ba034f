'use strict';
// The stream that a handler made by awslambda.streamifyResponse writes its answer to.

const { Writable } = require('stream');
const { InvalidStreamingOperation, describe } = require('./log.cjs');

// responseStream posts the answer to an invocation in chunks on the client's socket. finished is
// a promise for the end of the stream, accepted for the Runtime API's answer; fail ends the
// stream with an error, behind what has been written.
function responseStream(client, id, highWaterMark) {
  const socket = client.socket;
  let contentType = 'application/octet-stream';
  let begun = false;
  let done = false;
  let failure;
  let settle;
  let end;
  const accepted = new Promise((resolve) => (settle = resolve));
  const finished = new Promise((resolve) => (end = resolve));

  const begin = () => {
    if (begun) return;
    begun = true;
    client.waiting.push(settle);
    socket.write(
      `POST /2018-06-01/runtime/invocation/${id}/response HTTP/1.1\r\nHost: runtime\r\nContent-Type: ${contentType}\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n'
    );
    if (stream._onBeforeFirstWrite) stream._onBeforeFirstWrite((piece) => chunk(Buffer.from(piece)));
  };
  const chunk = (data, then) => {
    if (data.length === 0) return then && then();
    socket.cork();
    socket.write(data.length.toString(16) + '\r\n');
    socket.write(data);
    socket.write('\r\n', then);
    socket.uncork();
  };
  const finish = (then) => {
    begin();
    done = true;
    socket.write('0\r\n' + trailer(failure) + '\r\n', then);
    end();
  };

  const stream = new Writable({
    highWaterMark,
    write(data, _encoding, then) {
      begin();
      chunk(data, then);
    },
    final: finish,
  });
  stream.on('error', () => {}); // the handler's promise tells
  const write = stream.write;
  stream.write = function (data, ...rest) {
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) data = JSON.stringify(data);
    return write.call(stream, data, ...rest);
  };
  stream.setContentType = (type) => {
    if (begun) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    contentType = type;
  };
  const fail = (error) => {
    if (done || stream.writableEnded) return;
    failure = describe(error);
    if (stream.destroyed) finish();
    else stream.end();
  };
  return { stream, finished, accepted, fail };
}

function trailer(failure) {
  if (!failure) return '';
  const type = String(failure.errorType).replace(/[^ -~]/g, '?');
  const body = Buffer.from(JSON.stringify(failure)).toString('base64');
  return `Lambda-Runtime-Function-Error-Type: ${type}\r\nLambda-Runtime-Function-Error-Body: ${body}\r\n`;
}

module.exports = { responseStream };
