// Streams its answer: a part, a pause, another part.
export const handler = awslambda.streamifyResponse(async (event, out) => {
  out.write("first");
  await new Promise((awake) => setTimeout(awake, event.ms));
  out.write("second");
  out.end();
});
