'use strict';
// weir's runtime for Node.js functions: it loads the handler, then takes one invocation after
// the other from the Runtime API and gives back what the handler returns, throws or calls back.
//
// It speaks HTTP over a plain socket and sends each answer together with the request for the
// next invocation. The names, texts and shapes a function can see are those of AWS's runtime:
// that of nodejs22.x, and from nodejs24.x on that without callbacks.

const net = require('net');
const fs = require('fs');
const path = require('path');
const util = require('util');

const API = '/2018-06-01/runtime';
const NEXT = `GET ${API}/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n`;
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const BEFORE_EXIT = Symbol.for('aws.lambda.beforeExit');
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

// ---------------------------------------------------------------------------------------------
// Errors.

function named(name, Base = Error) {
  const kind = class extends Base {};
  kind.prototype.name = `Runtime.${name}`;
  return kind;
}

const ImportModuleError = named('ImportModuleError');
const HandlerNotFound = named('HandlerNotFound');
const MalformedHandlerName = named('MalformedHandlerName');
const UserCodeSyntaxError = named('UserCodeSyntaxError');
const MalformedStreamingHandler = named('MalformedStreamingHandler');
const CallbackHandlerDeprecated = named('CallbackHandlerDeprecated');
const NodeJsExit = named('NodeJsExit');

class UnhandledPromiseRejection extends named('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}

const NODE_EXIT =
  'The Lambda runtime client detected an unexpected Node.js exit code. ' +
  'This is most commonly caused by a Promise that was never settled. ' +
  'For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes';

const NO_CALLBACKS =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
  'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
  'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

// The directories of a function are called differently where nothing is mounted; roots are
// pairs of a name on this machine and the name on AWS.
let roots = [];

function findRoots() {
  const task = process.env.LAMBDA_TASK_ROOT;
  const runtime = process.env.LAMBDA_RUNTIME_DIR;
  roots = [
    [task, '/var/task'],
    [runtime, '/var/runtime'],
  ].filter(([local, name]) => local && local !== name);
}

function publicText(text) {
  for (const [local, name] of roots) {
    text = text.split(local + '/').join(name + '/');
  }
  return text;
}

function clean(text) {
  return typeof text === 'string' ? text.replace(/\x7F/g, '%7F') : text;
}

function isError(value) {
  return (
    util.types.isNativeError(value) ||
    (value && value.name && value.message && value.stack &&
      typeof value.name === 'string' && typeof value.message === 'string' && typeof value.stack === 'string')
  );
}

function describe(error) {
  try {
    if (isError(error)) {
      return {
        errorType: clean(error.name),
        errorMessage: clean(error.message),
        trace: clean(publicText(error.stack)).split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// errorLine is an error as it stands behind a message in the log.
function errorLine(error) {
  const members = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const all = Object.assign({ errorType: value.name, errorMessage: value.message, code: value.code }, value);
    if (typeof value.stack === 'string') all.stack = publicText(value.stack).split('\n');
    return all;
  };
  try {
    return '\t' + JSON.stringify(error, members);
  } catch {
    return '\t' + JSON.stringify(describe(error));
  }
}

// ---------------------------------------------------------------------------------------------
// Logging.

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
let jsonLog = false;

function patchConsole() {
  jsonLog = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const lowest = LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase());
  const method = (level) => {
    if (level !== 'FATAL' && LEVELS.indexOf(level) < lowest) return () => {};
    const format = jsonLog ? jsonEntry : textEntry;
    return (message, ...rest) => process.stdout.write(format(level, message, rest).replace(/\n/g, '\r') + '\n');
  };
  for (const level of LEVELS) console[level.toLowerCase()] = method(level);
  console.log = console.info;
}

function textEntry(level, message, rest) {
  return `${new Date().toISOString()}\t${global[REQUEST_ID]}\t${level}\t${util.format(message, ...rest)}`;
}

function jsonEntry(level, message, rest) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: global[REQUEST_ID] };
  const detail = (_key, value) => {
    if (!(value instanceof Error)) return value;
    return Object.assign(
      { errorType: value.constructor?.name ?? 'UnknownError', errorMessage: value.message, stackTrace: stackLines(value) },
      value
    );
  };
  if (rest.length === 0) {
    entry.message = message;
    try {
      return JSON.stringify(entry, detail);
    } catch {
      entry.message = util.format(message);
      return JSON.stringify(entry);
    }
  }
  entry.message = util.format(message, ...rest);
  const error = [message, ...rest].find((param) => param instanceof Error);
  if (error) {
    entry.errorType = error.constructor?.name ?? 'UnknownError';
    entry.errorMessage = error.message;
    entry.stackTrace = stackLines(error);
  }
  return JSON.stringify(entry);
}

function stackLines(error) {
  return typeof error.stack === 'string' ? publicText(error.stack).split('\n') : [];
}

function logError(message, error) {
  const known = error instanceof Error ? error : new Error(error);
  if (jsonLog) console.error(known);
  else console.error(message, errorLine(known));
}

// ---------------------------------------------------------------------------------------------
// The Runtime API.

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

  // next asks for an invocation, behind an answer to the one before, in one write.
  next(answer, handle) {
    if (answer) {
      this.waiting.push((status) => {
        if (status === 202) return;
        const what = 'Failed to post handler success response';
        process.stdout.write(`[ERROR] [${Date.now()}] LAMBDA_RUNTIME ${what}. Http response code: ${status}.\n`);
      });
    }
    this.waiting.push((status, head, body) => {
      this.socket.unref();
      handle(parseHeaders(head), body);
    });
    this.socket.ref();
    this.socket.write(answer ? answer + NEXT : NEXT);
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

function serialize(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

// ---------------------------------------------------------------------------------------------
// Streamed answers; the stream itself is in stream.js.

const HttpResponseStream = {
  // from puts the metadata of an HTTP answer in front of the first write.
  from(stream, prelude) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    const metadata = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(metadata);
      write(new Uint8Array(8));
    };
    return stream;
  },
};

function setUpGlobals() {
  const off = process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA;
  if (off === '1' || off === 'true') return;
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse(handler, options) {
      handler[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream,
  };
}

// ---------------------------------------------------------------------------------------------
// The handler.

function requireIfThere(file) {
  return fs.existsSync(file) ? require(file) : undefined;
}

async function importIfThere(file) {
  return fs.existsSync(file) ? await import(file) : undefined;
}

function isModuleFolder(folder) {
  while (!folder.endsWith('/node_modules')) {
    const manifest = path.join(folder, 'package.json');
    if (fs.existsSync(manifest)) {
      try {
        return JSON.parse(fs.readFileSync(manifest)).type === 'module';
      } catch (error) {
        console.warn(`${manifest} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (folder === '/') return false;
    folder = path.dirname(folder);
  }
  return false;
}

async function loadModule(root, folder, name, modern) {
  const file = path.resolve(root, folder, name);
  if (modern) {
    for (const extension of ['', '.js', '.mjs', '.cjs']) {
      const found = await importIfThere(file + extension);
      if (found) return found;
    }
  } else {
    const isModule = fs.existsSync(file + '.js') && isModuleFolder(path.dirname(file));
    const found =
      requireIfThere(file) ||
      (isModule ? undefined : requireIfThere(file + '.js')) ||
      (isModule && (await importIfThere(file + '.js'))) ||
      (await importIfThere(file + '.mjs')) ||
      requireIfThere(file + '.cjs');
    if (found) return found;
  }
  return require(require.resolve(name, { paths: [root, path.join(root, folder)] }));
}

async function load(root, name, modern) {
  if (name.includes('..')) {
    throw new MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`
    );
  }
  const base = path.basename(name);
  const folder = name.substring(0, name.indexOf(base));
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new MalformedHandlerName('Bad handler');
  let loaded;
  try {
    loaded = await loadModule(root, folder, match[1], modern);
  } catch (error) {
    if (error instanceof SyntaxError) {
      const known = new UserCodeSyntaxError(error);
      if (modern) known.stack = error.stack;
      throw known;
    }
    if (error && error.code === 'MODULE_NOT_FOUND') throw new ImportModuleError(publicText(String(error)));
    throw error;
  }
  const find = (from) => match[2].split('.').reduce((value, key) => value && value[key], from);
  const handler = find(loaded) || (modern && loaded.default && find(loaded.default));
  if (!handler) throw new HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new HandlerNotFound(`${name} is not a function`);
  return handler;
}

function isStreaming(handler) {
  if (!handler[STREAMING]) return false;
  if (handler[STREAMING] === 'response') return true;
  throw new MalformedStreamingHandler('Only response streaming is supported.');
}

// ---------------------------------------------------------------------------------------------
// Invocations.

function parseJSON(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(text, 'latin1').toString());
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error.toString()}`);
  }
}

function isPromise(value) {
  return value && value.then && typeof value.then === 'function';
}

class Runtime {
  constructor(client, handler, modern) {
    this.client = client;
    this.handler = handler;
    this.modern = modern;
    this.streaming = isStreaming(handler);
    this.handleOnce = this.streaming ? this.handleOnceStreaming : this.handleOnceNonStreaming;
    const env = process.env;
    this.function = {
      functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    };
  }

  // next asks for an invocation, behind the answer to the one before.
  next(answer) {
    this.id = undefined;
    global[BEFORE_EXIT] = () => {};
    this.client.next(answer, (headers, body) => this.handleOnce(headers, body));
  }

  succeed(id, result) {
    this.next(post(`/invocation/${id}/response`, serialize(result)));
  }

  fail(id, error) {
    logError('Invoke Error', error);
    const what = describe(error);
    this.next(post(`/invocation/${id}/error`, serialize(what), what.errorType));
  }

  // die reports an error as the answer to the invocation, if it has none, and ends the process.
  die(id, error, code) {
    if (this.id !== id) process.exit(code);
    this.id = undefined;
    const what = describe(error);
    this.client.socket.ref();
    this.client.send(post(`/invocation/${id}/error`, serialize(what), what.errorType), () => process.exit(code));
  }

  begin(headers) {
    const id = headers['lambda-runtime-aws-request-id'];
    this.id = global[REQUEST_ID] = id;
    const trace = headers['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    onUncaught = (error) => this.die(id, error, 129);
    onRejection = (error) => this.die(id, error, 128);
    return id;
  }

  context(headers, context) {
    const deadline = headers['lambda-runtime-deadline-ms'];
    return Object.assign(context, this.function, {
      clientContext: parseJSON(headers['lambda-runtime-client-context'], 'ClientContext'),
      identity: parseJSON(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      awsRequestId: headers['lambda-runtime-aws-request-id'],
      tenantId: headers['lambda-runtime-aws-tenant-id'],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    });
  }

  handleOnceNonStreaming(headers, body) {
    const id = this.begin(headers);
    let finished = false;
    const once = (f) => (...args) => {
      if (finished) return;
      finished = true;
      global[BEFORE_EXIT] = () => {};
      f(...args);
    };
    const settleNow = (error, result) => {
      if (error !== undefined && error !== null) return this.fail(id, error);
      let answer;
      try {
        answer = post(`/invocation/${id}/response`, serialize(result));
      } catch (failure) {
        return this.fail(id, failure);
      }
      this.next(answer);
    };
    // From Node.js 24 on what is due in the event loop comes before the answer.
    const settle = this.modern ? (...args) => setImmediate(() => this.id === id && settleNow(...args)) : settleNow;
    let waitForEmptyEventLoop = true;
    const callback = once((error, result) => {
      if (!waitForEmptyEventLoop || (error !== undefined && error !== null)) return settle(error, result);
      global[BEFORE_EXIT] = () => setImmediate(() => settle(null, result));
    });
    const done = once(settle);
    const legacy = {
      get callbackWaitsForEmptyEventLoop() {
        return waitForEmptyEventLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waitForEmptyEventLoop = value;
      },
      succeed: (result) => done(null, result),
      fail: (error) => done(error === undefined || error === null ? 'handled' : error, null),
      done,
    };
    try {
      const context = this.context(headers, this.modern ? {} : legacy);
      const result = this.handler(JSON.parse(body.toString()), context, this.modern ? undefined : callback);
      if (this.modern || isPromise(result)) {
        this.exitUnsettled(id, once);
        Promise.resolve(result).then(legacy.succeed, legacy.fail);
      } else if (!finished) {
        global[BEFORE_EXIT] = once(() => settle(null, null));
      }
    } catch (error) {
      done(error);
    }
  }

  // exitUnsettled makes an event loop that runs empty before the handler's promise is settled an
  // error: nothing is left that could settle it.
  exitUnsettled(id, once) {
    global[BEFORE_EXIT] = once(() => {
      const error = new NodeJsExit(NODE_EXIT);
      logError('Invoke Error', error);
      this.die(id, error, 1);
    });
  }

  async handleOnceStreaming(headers, body) {
    const id = this.begin(headers);
    const { responseStream } = require('./stream.js');
    const { stream, accepted, fail } = responseStream(this.client, id, this.handler[HIGH_WATER_MARK], describe);
    let waitForEmptyEventLoop = true;
    const legacy = {
      get callbackWaitsForEmptyEventLoop() {
        return waitForEmptyEventLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waitForEmptyEventLoop = value;
      },
    };
    this.exitUnsettled(id, (f) => f);
    const breakOff = async (error) => {
      logError('Invoke Error', error);
      fail(error);
      this.client.socket.ref();
      await accepted;
      this.next();
    };
    try {
      const result = this.handler(JSON.parse(body.toString()), stream, this.context(headers, this.modern ? {} : legacy));
      if (!isPromise(result)) {
        return await breakOff('Streaming does not support non-async handlers.');
      }
      if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
      if (!stream.writableEnded) {
        return await breakOff('Response stream is not finished.');
      }
      this.client.socket.ref();
      await accepted;
      this.client.socket.unref();
    } catch (error) {
      return await breakOff(error);
    }
    if (this.modern || !waitForEmptyEventLoop) this.next();
    else global[BEFORE_EXIT] = () => setImmediate(() => this.next());
  }
}

// ---------------------------------------------------------------------------------------------
// The start.

let onUncaught;
let onRejection;

// reject reports an error of INIT and ends the process.
function reject(client, error, code) {
  const what = describe(error);
  client.send(post('/init/error', serialize(what), what.errorType), () => process.exit(code));
}

function setUpErrors(client, modern) {
  global[BEFORE_EXIT] = () => {};
  process.on('beforeExit', () => global[BEFORE_EXIT]());
  if (modern) return; // Node.js itself reports what nobody handles, and exits
  onUncaught = (error) => reject(client, error, 129);
  onRejection = (error) => reject(client, error, 128);
  process.on('uncaughtException', (error) => {
    logError('Uncaught Exception', error);
    onUncaught(error);
  });
  process.on('unhandledRejection', (reason, promise) => {
    const error = new UnhandledPromiseRejection(reason, promise);
    logError('Unhandled Promise Rejection', error);
    onRejection(error);
  });
}

// assigned waits, in a process that was started ahead of time, for the variables of its function.
function assigned() {
  const wanted = {};
  for (const entry of fs.readFileSync(3).toString().split('\0')) {
    const equals = entry.indexOf('=');
    if (equals > 0) wanted[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  fs.closeSync(3);
  for (const name of Object.keys(process.env)) if (!(name in wanted)) delete process.env[name];
  for (const [name, value] of Object.entries(wanted)) {
    if (process.env[name] !== value) process.env[name] = value; // setting TZ alone costs 6 ms
  }
  require('module').Module._initPaths(); // NODE_PATH
}

// prepare does, in a process started ahead of time, what costs time and is the same for all.
function prepare() {
  require('module');
  require('stream');
  util.format('%s %o', 'a', { a: [1] });
  new Date().toISOString();
  JSON.parse(JSON.stringify({ a: [1, 2.5, 'b'] }));
  process.stdout; // opens it
  net.connect(9, '127.0.0.1').on('error', () => {}); // the first connection is slow
}

async function begin(client) {
  patchConsole();
  setUpGlobals();
  findRoots();
  client = client || new Client(process.env.AWS_LAMBDA_RUNTIME_API);
  const major = Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV || '')?.[1] ?? 0);
  const modern = major >= 24;
  setUpErrors(client, modern);
  try {
    const handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER, modern);
    if (modern && handler.length >= 3 && !isStreaming(handler)) throw new CallbackHandlerDeprecated(NO_CALLBACKS);
    new Runtime(client, handler, modern).next();
  } catch (error) {
    logError(modern ? 'Init Error' : 'Uncaught Exception', error);
    reject(client, error, modern ? 1 : 129);
  }
}

if (process.env._HANDLER !== undefined) {
  begin();
} else {
  prepare();
  const address = process.env.AWS_LAMBDA_RUNTIME_API;
  const client = address && new Client(address);
  // Once the connections above are done with: reading the assignment stops the event loop.
  setTimeout(() => {
    assigned();
    begin(client);
  }, 20);
}
