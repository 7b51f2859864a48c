"""The OpenAI SDK by OpenLLMetry."""

from common import provider, serve
from openai import AsyncOpenAI
from opentelemetry.instrumentation.openai import OpenAIInstrumentor

traces = provider()
OpenAIInstrumentor().instrument(tracer_provider=traces)
client = AsyncOpenAI(api_key="none")


async def handle(model: str) -> str:
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello."}]
    )
    return answer.choices[0].message.content or ""


serve(handle, traces)
