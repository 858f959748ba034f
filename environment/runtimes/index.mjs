// weir's runtime for Node.js functions: it loads the handler, then takes one invocation after
// the other from the Runtime API and gives back what the handler returns, throws or calls back.
//
// It sends each answer together with the request for the next invocation. The names, texts and
// shapes a function can see are those of AWS's runtime: that of nodejs22.x, and from nodejs24.x
// on that without callbacks.

import { createRequire } from 'module';

const require = createRequire(import.meta.url);
const net = require('net');
const fs = require('fs');
const path = require('path');
const util = require('util');
const { Client, field, post } = require('./client.cjs');
const {
  REQUEST_ID,
  ImportModuleError,
  HandlerNotFound,
  MalformedHandlerName,
  UserCodeSyntaxError,
  MalformedStreamingHandler,
  CallbackHandlerDeprecated,
  JSONStringifyError,
  NodeJsExit,
  UnhandledPromiseRejection,
  findRoots,
  publicText,
  describe,
  patchConsole,
  logError,
} = require('./log.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const BEFORE_EXIT = Symbol.for('aws.lambda.beforeExit');

// Fields of an invocation's header.
const ID = '\r\nLambda-Runtime-Aws-Request-Id: ';
const TRACE = '\r\nLambda-Runtime-Trace-Id: ';
const DEADLINE = '\r\nLambda-Runtime-Deadline-Ms: ';
const ARN = '\r\nLambda-Runtime-Invoked-Function-Arn: ';
const CLIENT_CONTEXT = '\r\nLambda-Runtime-Client-Context: ';

const NODE_EXIT =
  'The Lambda runtime client detected an unexpected Node.js exit code. ' +
  'This is most commonly caused by a Promise that was never settled. ' +
  'For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes';

const NO_CALLBACKS =
  'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
  'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
  'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

// ---------------------------------------------------------------------------------------------
// What functions find in awslambda; the stream they write to is in stream.cjs.

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

function serialize(result, ErrorType = Error) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch {
    throw new ErrorType('Unable to stringify response body');
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
    const once = this.streaming ? this.handleOnceStreaming : this.handleOnceNonStreaming;
    this.handleOnce = once.bind(this);
    const env = process.env;
    this.function = {
      functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    };
  }

  // next asks for an invocation, behind the answer to the one before. Both go out in the next
  // turn of the event loop: a rejection that nobody handles ends the process before.
  next(answer) {
    this.id = undefined;
    this.answer = answer;
    global[BEFORE_EXIT] = () => {};
    setImmediate(() => {
      if (this.dying) return;
      this.answer = undefined;
      this.client.next(answer, this.handleOnce);
    });
  }

  fail(id, error) {
    logError('Invoke Error', error);
    const what = describe(error);
    this.next(post(`/invocation/${id}/error`, serialize(what), what.errorType));
  }

  // die ends the process; an invocation that has no answer yet gets the error.
  die(id, error, code) {
    if (this.dying) return;
    if (this.id === id) {
      const what = describe(error);
      this.answer = post(`/invocation/${id}/error`, serialize(what), what.errorType);
    }
    if (!this.answer) process.exit(code);
    this.dying = true;
    this.client.socket.ref();
    this.client.send(this.answer, () => process.exit(code));
  }

  begin(head) {
    const id = field(head, ID);
    this.id = global[REQUEST_ID] = id;
    const trace = field(head, TRACE);
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    onUncaught = (error) => this.die(id, error, 129);
    onRejection = (error) => this.die(id, error, 128);
    return id;
  }

  context(head, context) {
    const deadline = field(head, DEADLINE);
    Object.assign(context, this.function, {
      clientContext: parseJSON(field(head, CLIENT_CONTEXT), 'ClientContext'),
      identity: undefined, // weir has no Cognito identities and no tenants
      invokedFunctionArn: field(head, ARN),
      awsRequestId: this.id,
      tenantId: undefined,
      getRemainingTimeInMillis: () => deadline - Date.now(),
    });
    if (this.modern) context.xRayTraceId = field(head, TRACE);
    return context;
  }

  async handleOnceNonStreaming(head, event) {
    await undefined; // a stack trace ends here, as on AWS
    const id = this.begin(head);
    let finished = false;
    const once = (f) => (...args) => {
      if (finished) return;
      finished = true;
      global[BEFORE_EXIT] = () => {};
      f(...args);
    };
    const settle = (error, result) => {
      if (error !== undefined && error !== null) return this.fail(id, error);
      let answer;
      try {
        answer = post(`/invocation/${id}/response`, serialize(result, this.modern ? JSONStringifyError : Error));
      } catch (failure) {
        return this.fail(id, failure);
      }
      this.next(answer);
    };
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
      const context = this.context(head, this.modern ? {} : legacy);
      const result = this.handler(JSON.parse(event), context, this.modern ? undefined : callback);
      if (this.modern || isPromise(result)) {
        // Nothing is left that could settle the promise when the event loop runs empty.
        global[BEFORE_EXIT] = once(() => {
          const error = new NodeJsExit(NODE_EXIT);
          logError('Invoke Error', error);
          this.die(id, error, 13); // Node.js's own status for this
        });
        Promise.resolve(result).then(legacy.succeed, legacy.fail);
      } else if (!finished) {
        global[BEFORE_EXIT] = once(() => settle(null, null));
      }
    } catch (error) {
      done(error);
    }
  }

  async handleOnceStreaming(head, event) {
    await undefined;
    const id = this.begin(head);
    const { responseStream } = require('./stream.cjs');
    const { stream, finished, accepted, fail } = responseStream(this.client, id, this.handler[HIGH_WATER_MARK]);
    let waitForEmptyEventLoop = true;
    const legacy = {
      get callbackWaitsForEmptyEventLoop() {
        return waitForEmptyEventLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waitForEmptyEventLoop = value;
      },
    };
    const breakOff = (error) => {
      logError('Invoke Error', error);
      fail(error);
    };
    const die = (code) => (error) => {
      fail(error);
      accepted.then(() => process.exit(code));
    };
    onUncaught = die(129);
    onRejection = die(128);
    const unsettled = new Promise((_resolve, reject) => {
      global[BEFORE_EXIT] = () => reject(new NodeJsExit(NODE_EXIT));
    });
    try {
      const result = this.handler(JSON.parse(event), stream, this.context(head, this.modern ? {} : legacy));
      if (!isPromise(result)) throw 'Streaming does not support non-async handlers.';
      if ((await Promise.race([result, unsettled])) !== undefined) console.warn('Streaming handlers ignore return values.');
      // Something the handler has left running may still write to the stream.
      global[BEFORE_EXIT] = () => breakOff('Response stream is not finished.');
    } catch (error) {
      breakOff(error);
    }
    await finished;
    this.client.socket.ref();
    await accepted;
    this.client.socket.unref();
    if (this.modern || !waitForEmptyEventLoop) this.next();
    else global[BEFORE_EXIT] = () => this.next();
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
  process.chdir(process.env.LAMBDA_TASK_ROOT);
  require('module').Module._initPaths(); // NODE_PATH
}

// fitHeap makes V8 collect garbage before its heap outgrows the function's memory, which would
// end the process. AWS gives V8 nine tenths of that memory at its start; a process started ahead
// of time has V8's own limit of gigabytes, up to which it would let garbage pile up. What can be
// set in a running process is how much the heap may grow before the next collection.
function fitHeap() {
  if (/--(max|optimize)[-_]/.test(process.env.NODE_OPTIONS)) return; // the function's own choice
  const megabytes = Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE);
  const set = require('v8').setFlagsFromString;
  if (megabytes < 4096) set(`--heap-growing-percent=${megabytes < 1024 ? 30 : 50}`);
  if (megabytes < 512) set('--semi-space-growth-factor=1'); // three of them would grow to 48 MB
}

// prepare does, in a process started ahead of time, what costs time and is the same for all.
function prepare() {
  require('module');
  require('stream');
  require('v8');
  util.format('%s %o', 'a', { a: [1] });
  new Date().toISOString();
  JSON.parse(JSON.stringify({ a: [1, 2.5, 'b'] }));
  process.stdout; // opens it
  net.connect(9, '127.0.0.1').on('error', () => {}); // the first connection is slow
}

async function begin(client) {
  fitHeap();
  patchConsole();
  setUpGlobals();
  findRoots();
  client = client || new Client(process.env.AWS_LAMBDA_RUNTIME_API);
  const major = Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV || '')?.[1] ?? 0);
  const modern = major >= 24;
  if (modern) global[REQUEST_ID] = '-';
  setUpErrors(client, modern);
  try {
    const handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER, modern);
    if (modern && handler.length >= 3 && !isStreaming(handler)) throw new CallbackHandlerDeprecated(NO_CALLBACKS);
    const runtime = new Runtime(client, handler, modern);
    setImmediate(() => runtime.next()); // after what nobody handled while loading
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
