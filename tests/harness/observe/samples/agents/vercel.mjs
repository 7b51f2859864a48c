// Vercel's AI SDK, by its own telemetry; the server's span is made by hand, as an HTTP instrumentation would.
import { createOpenAI } from "@ai-sdk/openai";
import { SpanKind, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText } from "ai";

const named = Object.fromEntries(process.env.OTEL_RESOURCE_ATTRIBUTES.split(",").map((pair) => pair.split("=")));
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes(named),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "none" });
const tracer = trace.getTracer("sample");

for (const model of ["fine", "throttled", "refused"]) {
  const attributes = { "http.request.method": "POST", "url.path": "/invocations", "http.route": "/invocations" };
  await tracer.startActiveSpan("POST /invocations", { kind: SpanKind.SERVER, attributes }, async (span) => {
    let status = 200;
    try {
      await generateText({
        model: openai.chat(model),
        prompt: "Hello.",
        experimental_telemetry: { isEnabled: true },
      });
    } catch (error) {
      console.log(model, error.name);
      status = 500;
    }
    span.setAttribute("http.response.status_code", status);
    span.end();
    console.log(model, status);
  });
}
await provider.forceFlush();
await provider.shutdown();
