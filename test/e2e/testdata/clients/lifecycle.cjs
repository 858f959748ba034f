// The life of functions by the SDK for JavaScript. Prints what the Go test expects of every
// client.
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const { Lambda, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2 } = createRequire(process.env.MODULES + "/")("@aws-sdk/client-lambda");

const aws = new Lambda({}); // the endpoint comes from the environment
const say = (...words) => console.log(words.join(" "));
const fails = (call) => call.then(() => "", (e) => e.name);

const invoke = async (name) => {
  const answer = await aws.invoke({ FunctionName: name, Payload: JSON.stringify({ do: "who" }) });
  return [answer.ExecutedVersion, answer.Payload.transformToString()];
};

const soon = { client: aws, minDelay: 0.05, maxDelay: 0.2, maxWaitTime: 30 };

const functions = async () => {
  for (const pair of process.env.RUNTIMES.split(" ")) {
    const [f, runtime] = pair.split("=");
    const made = await aws.createFunction({
      FunctionName: f, Runtime: runtime, Handler: "app.handler", Timeout: 10,
      Role: "arn:aws:iam::000000000000:role/e2e", Code: { ZipFile: readFileSync(f + ".zip") },
    });
    say(f, "is created", made.State);
    await waitUntilFunctionActiveV2(soon, { FunctionName: f });
    const [version, answer] = await invoke(f);
    say(f, "answers", version, answer);
    say(f, "is published as", (await aws.publishVersion({ FunctionName: f })).Version);
  }
};

const alias = async () => {
  await aws.updateFunctionConfiguration({ FunctionName: "python", Description: "second" });
  await waitUntilFunctionUpdatedV2(soon, { FunctionName: "python" });
  say("python is published as", (await aws.publishVersion({ FunctionName: "python" })).Version);
  const live = { FunctionName: "python", Name: "live" };
  const made = await aws.createAlias({ ...live, FunctionVersion: "1", RoutingConfig: { AdditionalVersionWeights: { 2: 0.5 } } });
  say("alias of", made.FunctionVersion, made.RoutingConfig.AdditionalVersionWeights["2"]);
  const seen = new Set();
  for (let i = 0; i < 40 && seen.size < 2; i++) seen.add((await invoke("python:live"))[0]);
  say("alias runs", ...[...seen].sort());
  await aws.updateAlias({ ...live, FunctionVersion: "2", RoutingConfig: { AdditionalVersionWeights: {} } });
  say("alias runs", (await invoke("python:live"))[0]);
};

const reserved = async () => {
  const go = { FunctionName: "go" };
  say("reserved", (await aws.putFunctionConcurrency({ ...go, ReservedConcurrentExecutions: 7 })).ReservedConcurrentExecutions);
  say("reserved", (await aws.getFunctionConcurrency(go)).ReservedConcurrentExecutions);
  say("reserved", (await aws.getFunction(go)).Concurrency.ReservedConcurrentExecutions);
  say("unreserved", (await aws.getAccountSettings({})).AccountLimit.UnreservedConcurrentExecutions);
  await aws.putFunctionConcurrency({ ...go, ReservedConcurrentExecutions: 0 });
  say("turned off:", await fails(aws.invoke(go)));
  await aws.deleteFunctionConcurrency(go);
  say("on again:", (await invoke("go"))[0]);
  say("too much:", await fails(aws.putFunctionConcurrency({ ...go, ReservedConcurrentExecutions: 901 })));
};

const provisioned = async () => {
  const node = { FunctionName: "node", Qualifier: "1" };
  say("provisioned", (await aws.putProvisionedConcurrencyConfig({ ...node, ProvisionedConcurrentExecutions: 2 })).Status);
  let p;
  for (let i = 0; i < 4000; i++) {
    p = await aws.getProvisionedConcurrencyConfig(node);
    if (p.Status !== "IN_PROGRESS") break;
  }
  say("provisioned", p.Status, p.AvailableProvisionedConcurrentExecutions);
  say("provisioned in all", (await aws.listProvisionedConcurrencyConfigs({ FunctionName: "node" })).ProvisionedConcurrencyConfigs.length);
  await aws.deleteProvisionedConcurrencyConfig(node);
  say("provisioned:", await fails(aws.getProvisionedConcurrencyConfig(node)));
};

const end = async () => {
  const python = { FunctionName: "python" };
  say("functions", ...(await aws.listFunctions({})).Functions.map((f) => f.FunctionName).sort());
  say("versions", ...(await aws.listVersionsByFunction(python)).Versions.map((v) => v.Version));
  await aws.deleteFunction(python);
  say("deleted:", await fails(aws.getFunction(python)));
};

(async () => {
  for (const part of [functions, alias, reserved, provisioned, end]) await part();
})();
