"""boto3 by OpenTelemetry's botocore instrumentation: one span a call, whatever attempts it took."""

import asyncio

import boto3
from common import provider, serve
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

traces = provider()
BotocoreInstrumentor().instrument(tracer_provider=traces)
client = boto3.client("bedrock-runtime", region_name="us-east-1")


async def handle(model: str) -> str:
    messages = [{"role": "user", "content": [{"text": "Hello."}]}]
    answer = await asyncio.to_thread(client.converse, modelId=model, messages=messages)
    return answer["output"]["message"]["content"][0]["text"]


serve(handle, traces)
