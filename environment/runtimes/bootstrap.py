"""weir's runtime for Python functions: it imports the handler, then takes one invocation after
the other from the Runtime API and gives back what the handler returns or raises.

It speaks HTTP over a plain socket and sends each answer together with the request for the next
invocation. The names, texts and shapes a function can see are those of AWS's runtime. Modules
that a function may never need are imported when it does.
"""

import os
import sys
import time

import _socket
import json

API = "/2018-06-01/runtime"
NEXT = ("GET " + API + "/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n").encode()
LINE = "\r"  # AWS joins the lines of one event with carriage returns
INDENT = "\u00a0"
LOG_DATE = "%Y-%m-%dT%H:%M:%S"

# Fields of the header of an answer.
LENGTH = "\r\nContent-Length: "
REQUEST_ID = "\r\nLambda-Runtime-Aws-Request-Id: "
TRACE = "\r\nLambda-Runtime-Trace-Id: "
DEADLINE = "\r\nLambda-Runtime-Deadline-Ms: "
ARN = "\r\nLambda-Runtime-Invoked-Function-Arn: "
CLIENT_CONTEXT = "\r\nLambda-Runtime-Client-Context: "


class Fault(Exception):
    """An error of the runtime itself, with the type it is reported under."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.trace = trace


class Invocation:
    """The invocation in hand; log records carry its id."""

    request_id = None


# ---------------------------------------------------------------------------------------------
# The Runtime API.


class RuntimeClient:
    """One connection to the Runtime API."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.sock.connect((host, int(port)))
        self.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.rest = b""  # received, not yet parsed

    def answer(self):
        """Receives one answer: its status, its header, and its body."""
        data = self.rest
        end = data.find(b"\r\n\r\n")
        while end < 0:
            piece = self.sock.recv(65536)
            if not piece:
                sys.exit(0)  # the environment is gone
            data += piece
            end = data.find(b"\r\n\r\n")
        head = data[:end].decode("latin-1")
        length = int(field(head, LENGTH) or 0)
        body = data[end + 4 : end + 4 + length]
        self.rest = data[end + 4 + length :]
        if len(body) < length:
            body = self.receive(body, length)
        return head[9:12], head, body

    def receive(self, start, length):
        """Receives the rest of a body of which start is there."""
        body = bytearray(length)
        n = len(start)
        body[:n] = start
        view = memoryview(body)
        while n < length:
            got = self.sock.recv_into(view[n:])
            if got == 0:
                sys.exit(0)
            n += got
        return body

    def next(self):
        """Receives the invocation that was asked for: header and event."""
        while True:
            status, head, body = self.answer()
            if status == "200":
                return head, body
            if status == "202":
                continue  # the last answer has arrived
            what = "Failed to post handler success response"
            sys.stdout.write("[ERROR] [%d] LAMBDA_RUNTIME %s. Http response code: %s.\n" % (time.time() * 1000, what, status))

    def ask(self):
        self.sock.sendall(NEXT)

    def post(self, path, body, error_type, then=b""):
        head = "POST %s%s HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (
            API,
            path,
            len(body),
        )
        if error_type:
            head += "Lambda-Runtime-Function-Error-Type: " + header_value(error_type) + "\r\n"
        message = (head + "\r\n").encode("latin-1")
        if len(body) < 65536:
            self.sock.sendall(message + body + then)
            return
        self.sock.sendall(message)
        self.sock.sendall(body)
        self.sock.sendall(then)

    def reject(self, body, error_type):
        """Reports that there is no handler, and waits until that has been taken note of."""
        self.post("/init/error", body, error_type)
        self.answer()


def field(head, name):
    """Returns the value of a header's field, whose name comes with a line end before and a colon
    behind, just as weir writes it; or None."""
    at = head.find(name)
    if at < 0:
        return None
    at += len(name)
    end = head.find("\r\n", at)
    return head[at:] if end < 0 else head[at:end]


def header_value(text):
    return "".join(c if " " <= c < "\u007f" else "?" for c in text)[:1024]


# ---------------------------------------------------------------------------------------------
# JSON.


class Encoder:
    """Encodes what a handler returned, Decimal as a number of the same digits."""

    def __init__(self):
        # Since Python 3.12 AWS sends characters beyond ASCII as they are.
        minor = os.environ.get("AWS_EXECUTION_ENV", "").rpartition(".")[2]
        ascii_only = minor.isdigit() and int(minor) < 12
        self.decimals = []
        self.encoder = json.JSONEncoder(ensure_ascii=ascii_only, default=self.default)

    def default(self, value):
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(value, decimal.Decimal):
            raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)
        if value.is_nan():
            return float("nan")
        self.decimals.append(str(value))
        return "\u0000decimal %d %d\u0000" % (id(self), len(self.decimals) - 1)

    def encode(self, value):
        text = self.encoder.encode(value)
        if self.decimals:
            for i, digits in enumerate(self.decimals):
                text = text.replace('"\\u0000decimal %d %d\\u0000"' % (id(self), i), digits)
            self.decimals = []
        return text.encode()


# ---------------------------------------------------------------------------------------------
# Errors.


def roots():
    """What the directories of a function are called on this machine, and on AWS."""
    return [
        (os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), "/var/task"),
        (os.environ.get("LAMBDA_RUNTIME_DIR", "/var/runtime"), "/var/runtime"),
        (sys.base_prefix, "/var/lang"),
    ]


def public(path):
    """Returns a file's path as the function's author knows it."""
    for local, name in roots():
        if path == local or path.startswith(local + "/"):
            return name + path[len(local) :]
    return path


def frames(tb):
    """Returns the frames of a traceback from the first one that is not the runtime's own."""
    import linecache
    import traceback

    found = [(public(f.filename), f.lineno, f.name, f.line) for f in traceback.extract_tb(tb)]
    for i, frame in enumerate(found):
        if "/bootstrap.py" not in frame[0]:
            return traceback.format_list(found[i:])
    path, number, name, _ = found[-1]
    source = os.path.join(os.environ.get("LAMBDA_RUNTIME_DIR", "/var/runtime"), "bootstrap.py")
    return traceback.format_list([(path, number, name, linecache.getline(source, number).strip())])


def describe(error, request_id):
    """Returns an error as it is given to the caller."""
    if isinstance(error, Fault):
        kind, message, trace = error.kind, str(error), error.trace
    else:
        kind, message, trace = type(error).__name__, str(error), frames(error.__traceback__)
    return {
        "errorMessage": message or "",
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": trace or [],
    }


def encode_error(encode, error):
    """Encodes an error, whatever is in its message."""
    try:
        return encode(error)
    except UnicodeError:
        return json.dumps(error).encode()


def log_error(error):
    """Writes an error to the log as AWS does."""
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        stamp = time.strftime(LOG_DATE + "Z", time.gmtime())
        sys.stdout.write(json.dumps({"timestamp": stamp, "level": "ERROR", **error}) + "\n")
        return
    lines = ["[ERROR] " + error["errorType"]]
    if error["errorMessage"]:
        lines[0] += ": " + error["errorMessage"]
    lines.append("Traceback (most recent call last):")
    for entry in error["stackTrace"]:
        for line in entry.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append(INDENT * (len(line) - len(text)) + text)
    text = LINE.join("\n".join(lines).split("\n")) + "\n"
    # Half of a surrogate pair has no UTF-8 form; an error that tells of one must not end the process.
    sys.stdout.write(text.encode(errors="backslashreplace").decode())


# ---------------------------------------------------------------------------------------------
# Logging.


def logging_as_on_aws(logging):
    """Returns a function that gives the root logger the handler and the format it has on AWS."""

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            sys.stdout.write(self.format(record))

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = Invocation.request_id or ""
            record.tenant_id = None
            return True

    class TextFormatter(logging.Formatter):
        converter = time.gmtime

        def __init__(self):
            super().__init__("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", LOG_DATE)

        def format(self, record):
            return super().format(record).replace("\n", LINE) + "\n"

    class JsonFormatter(logging.Formatter):
        converter = time.gmtime
        known = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "tenant_id"}

        def format(self, record):
            entry = {
                "timestamp": self.formatTime(record, LOG_DATE + "Z"),
                "level": record.levelname,
                "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
                "logger": record.name,
                "requestId": record.aws_request_id,
            }
            if record.exc_info and record.exc_info[0]:
                import traceback

                kind, error, tb = record.exc_info
                entry["stackTrace"] = traceback.format_tb(tb)
                entry["errorType"] = kind.__name__
                entry["errorMessage"] = str(error)
                entry["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
            for name, value in vars(record).items():
                if name not in self.known and name not in entry:
                    entry[name] = value
            return json.dumps(entry, ensure_ascii=False, default=str) + "\n"

    def set_up():
        logging.Formatter.converter = time.gmtime
        as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
        handler = LambdaLoggerHandler()
        handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
        handler.addFilter(LambdaLoggerFilter())
        root = logging.getLogger()
        root.addHandler(handler)
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG").replace("FATAL", "CRITICAL")
        if level and isinstance(logging.getLevelName(level), int):
            root.setLevel(level)

    return set_up


class LoggingFinder:
    """Sets up logging at the moment a function imports it: most of a short start is imports."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(cls)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in sys.meta_path)))
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            logging_as_on_aws(module)()

        spec.loader.exec_module = exec_module
        return spec


# ---------------------------------------------------------------------------------------------
# The context object.


def fill(thing, values):
    for name in thing.__slots__:
        setattr(thing, name, values.get(name))
    return thing


class CognitoIdentity:
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]

    def __repr__(self):
        return "CognitoIdentity([cognito_identity_id=%s,cognito_identity_pool_id=%s])" % (
            self.cognito_identity_id,
            self.cognito_identity_pool_id,
        )


class Client:
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]

    def __repr__(self):
        return "Client([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in self.__slots__)


class ClientContext:
    __slots__ = ["custom", "env", "client"]

    def __repr__(self):
        return "ClientContext([custom=%s,env=%s,client=%s])" % (self.custom, self.env, self.client)


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, request_id, head, function):
        self.aws_request_id = request_id
        self.__dict__.update(function)
        self.invoked_function_arn = field(head, ARN)
        self.tenant_id = None  # weir has no tenants and no Cognito identities
        self._epoch_deadline_time_in_ms = int(field(head, DEADLINE))
        context = field(head, CLIENT_CONTEXT)
        self.client_context = client_context(context) if context else None
        self.identity = CognitoIdentity()
        self.identity.cognito_identity_id = self.identity.cognito_identity_pool_id = None

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        shown = ["aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb"]
        shown += ["function_version", "invoked_function_arn", "client_context", "identity", "tenant_id"]
        return "LambdaContext([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in shown)


def function_attributes():
    """Returns the attributes of a context that are the same for every invocation."""
    env = os.environ.get
    return {
        "log_group_name": env("AWS_LAMBDA_LOG_GROUP_NAME"),
        "log_stream_name": env("AWS_LAMBDA_LOG_STREAM_NAME"),
        "function_name": env("AWS_LAMBDA_FUNCTION_NAME"),
        "memory_limit_in_mb": env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        "function_version": env("AWS_LAMBDA_FUNCTION_VERSION"),
    }


def client_context(text):
    try:
        given = json.loads(text.encode("latin-1"))
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse Client Context JSON: %s" % error)
    if given is None:
        return None
    context = fill(ClientContext(), given)
    if context.client is not None:
        context.client = fill(Client(), context.client)
    return context


# ---------------------------------------------------------------------------------------------
# The handler.


def load(name):
    """Imports the module of a handler and returns the handler."""
    module, dot, function = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name,
        )
    if module.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module
        )
    import importlib

    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error))
    except SyntaxError as error:
        line = '  File "%s" Line %s\n    %s' % (public(error.filename or ""), error.lineno, error.text)
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error), [line])
    try:
        return getattr(loaded, function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module))


def run(client, handler):
    """Runs one invocation after the other."""
    encode = Encoder().encode
    environ = os.environ
    function = function_attributes()
    client.ask()
    while True:
        head, event = client.next()
        request_id = Invocation.request_id = field(head, REQUEST_ID)
        trace = field(head, TRACE)
        if trace is not None:
            environ["_X_AMZN_TRACE_ID"] = trace
        elif "_X_AMZN_TRACE_ID" in environ:
            del environ["_X_AMZN_TRACE_ID"]
        path = "/invocation/" + request_id
        try:
            body = handle_event_request(handler, LambdaContext(request_id, head, function), event, encode)
        except Exception as error:
            failure = describe(error, request_id)
            log_error(failure)
            client.post(path + "/error", encode_error(encode, failure), failure["errorType"], NEXT)
        else:
            client.post(path + "/response", body, None, NEXT)


def handle_event_request(request_handler, lambda_context, event, encode):
    try:
        event = json.loads(event.decode())
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
    response = request_handler(event, lambda_context)
    if isinstance(response, bytes):
        return response
    try:
        return encode(response)
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


# ---------------------------------------------------------------------------------------------
# The start.


def assigned():
    """Waits, in a process that was started ahead of time, for the variables of its function."""
    data = b""
    while True:
        piece = os.read(3, 65536)
        if not piece:
            break
        data += piece
    os.close(3)
    wanted = {}
    for entry in data.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals:
            wanted[name] = value
    for name in [n for n in os.environb if n not in wanted]:
        del os.environb[name]
    for name, value in wanted.items():
        if os.environb.get(name) != value:
            os.environb[name] = value
            if name == b"TZ":
                time.tzset()


def prepare():
    """Does, in a process started ahead of time, what costs time and is the same for all. Returns
    what remains to be done about logging."""
    import decimal, importlib.machinery, logging, traceback

    set_up_builtins()
    json.loads(b'{"a": [1, 2.5, "b"]}')
    json.JSONEncoder(ensure_ascii=False).encode({"a": [1, 2.5, "b"]})
    # Whatever is imported: the first time that anything is found, compiled and run costs a millisecond.
    finder = importlib.machinery.FileFinder(os.path.dirname(os.__file__), (importlib.machinery.SourceFileLoader, [".py"]))
    spec = finder.find_spec("keyword")
    if spec is not None:
        exec(spec.loader.source_to_code(spec.loader.get_data(spec.origin), spec.origin), {})
    return logging_as_on_aws(logging)


def set_up_paths():
    """Sets sys.path as on AWS: the function, layers, then the language's own packages."""
    task = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    version = "python%d.%d" % sys.version_info[:2]
    opt = "/opt/python"
    old = [p for p in sys.path if p and not p.startswith(os.path.dirname(os.path.abspath(__file__)))]
    given = [p for p in os.environ.get("PYTHONPATH", "").split(":") if p]
    packages = [
        "%s/lib/%s/site-packages" % (sys.base_prefix, version),
        "%s/local/lib/%s/dist-packages" % (sys.base_prefix, version),
        "%s/lib/python3/dist-packages" % sys.base_prefix,
    ]
    path = [task] + ["%s/lib/%s/site-packages" % (opt, version), opt] + given + old
    path += [p for p in packages if os.path.isdir(p)]
    sys.path[:] = list(dict.fromkeys(path))


def set_up_builtins():
    """Defines exit, quit and help, which come with the module that -S leaves out."""
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()


def main():
    client = None
    if "_HANDLER" not in os.environ:  # started ahead of time
        set_up_logging = prepare()
        if "AWS_LAMBDA_RUNTIME_API" in os.environ:
            client = RuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"])
        assigned()
        os.chdir(os.environ["LAMBDA_TASK_ROOT"])
        set_up_logging()
    else:
        sys.meta_path.insert(0, LoggingFinder)
        set_up_builtins()
    set_up_paths()
    if client is None:
        client = RuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load(os.environ.get("_HANDLER", ""))
    except Exception as error:
        failure = describe(error, "")
        log_error(failure)
        client.reject(encode_error(Encoder().encode, failure), failure["errorType"])
        sys.exit(1)
    run(client, handler)


if __name__ == "__main__":
    main()
