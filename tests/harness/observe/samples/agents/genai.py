"""The OpenAI SDK by OpenTelemetry's own instrumentations: GenAI names, and httpx below."""

from common import provider, serve
from openai import AsyncOpenAI
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

traces = provider()
OpenAIInstrumentor().instrument(tracer_provider=traces)
client = AsyncOpenAI(api_key="none")
HTTPXClientInstrumentor.instrument_client(client._client, tracer_provider=traces)


async def handle(model: str) -> str:
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello."}]
    )
    return answer.choices[0].message.content or ""


serve(handle, traces)
