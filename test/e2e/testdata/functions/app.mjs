let count = 0;

export const handler = async (event, context) => {
  switch (event.do) {
    case "who":
      return { language: "node", version: context.functionVersion };
    case "context":
      return {
        request: context.awsRequestId, arn: context.invokedFunctionArn, function: context.functionName,
        version: context.functionVersion, memory: String(context.memoryLimitInMB),
        group: context.logGroupName, stream: context.logStreamName,
        remaining: context.getRemainingTimeInMillis(),
        client: context.clientContext && context.clientContext.custom,
      };
    case "environment":
      return { ...process.env };
    case "count":
      return ++count;
    case "log":
      console.log(event.text);
      return null;
    case "sleep":
      await new Promise((awake) => setTimeout(awake, event.ms));
      return "awake";
    case "fail":
      throw new RangeError(event.text);
    case "exit":
      process.exit(3);
  }
  throw new Error("do what? " + event.do);
};
