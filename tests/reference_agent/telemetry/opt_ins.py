"""What `OTEL_SEMCONV_STABILITY_OPT_IN` may hold: the values of OpenTelemetry, and those of Strands."""

from itertools import combinations

KNOWN = (
    *("", "http", "http/dup", "database", "database/dup", "gen_ai_latest_experimental"),
    *("gen_ai_tool_definitions", "gen_ai_use_latest_invocation_tokens", "gen_ai_span_attributes_only"),
    *("gen_ai_unredacted_attributes=", "gen_ai_unredacted_attributes=*", "no such value"),
    "gen_ai_unredacted_attributes=gen_ai.input.messages;gen_ai.output.*",
)
COMBINATIONS = [",".join(tokens) for size in (1, 2) for tokens in combinations(KNOWN, size)]
