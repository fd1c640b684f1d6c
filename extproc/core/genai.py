"""Names of the OpenTelemetry semantic conventions for generative AI, for spans and for records."""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
"""The conventions are in development; records say by which version they were written."""

CONVENTION_OPERATIONS: Final = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "text_completion": "text_completion",
    "generate": "text_completion",
    "embeddings": "embeddings",
}
"""`gen_ai.operation.name` of our operations that have one."""
