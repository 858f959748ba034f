'use strict';
// Errors and the log of weir's Node.js runtime, in the shapes of AWS's.

const util = require('util');

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
const InvalidStreamingOperation = named('InvalidStreamingOperation');
const CallbackHandlerDeprecated = named('CallbackHandlerDeprecated');
const JSONStringifyError = named('JSONStringifyError');
const NodeJsExit = named('NodeJsExit');

class UnhandledPromiseRejection extends named('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
}

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
// The console.

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

module.exports = {
  REQUEST_ID,
  ImportModuleError,
  HandlerNotFound,
  MalformedHandlerName,
  UserCodeSyntaxError,
  MalformedStreamingHandler,
  InvalidStreamingOperation,
  CallbackHandlerDeprecated,
  JSONStringifyError,
  NodeJsExit,
  UnhandledPromiseRejection,
  findRoots,
  publicText,
  describe,
  patchConsole,
  logError,
};
