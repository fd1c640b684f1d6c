"""The names of the OpenTelemetry semantic conventions that we use: in spans, in metrics and in records.

What has no name there begins with `extproc.`. A test holds each name against the package of the same release.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""What spans and metrics are written by."""
GEN_AI_SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
"""The conventions for generative AI are in development; records say by which version they were written."""
OURS: Final = "extproc."

CONVENTION_OPERATIONS: Final = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "text_completion": "text_completion",
    "generate": "text_completion",
    "embeddings": "embeddings",
}
"""`gen_ai.operation.name` of our operations that have one."""

# Resource.
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE: Final = "service.instance.id"

# HTTP and RPC.
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
ERROR_TYPE: Final = "error.type"
OTHER_METHOD: Final = "_OTHER"
"""What the conventions call a method, or an `error.type`, that has no name."""
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})

# Generative AI.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
STREAM: Final = "gen_ai.request.stream"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name

# Metrics, and the buckets that the conventions advise for them.
SERVER_DURATION: Final = "gen_ai.server.request.duration"
SERVER_FIRST_TOKEN: Final = "gen_ai.server.time_to_first_token"  # noqa: S105 - a name
SERVER_PER_TOKEN: Final = "gen_ai.server.time_per_output_token"  # noqa: S105 - a name
CLIENT_TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - a name
DURATION_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_BUCKETS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
PER_TOKEN_BUCKETS: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
TOKEN_BUCKETS: Final = tuple(float(4**power) for power in range(14))

CONVENTION_NAMES: Final = frozenset(
    {
        *(SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_VERSION, SERVICE_INSTANCE),
        *(HTTP_METHOD, HTTP_STATUS, RPC_SYSTEM, RPC_METHOD, ERROR_TYPE),
        *(OPERATION, PROVIDER, MODEL, STREAM, FINISH_REASONS, TIME_TO_FIRST_CHUNK),
        *(INPUT_TOKENS, OUTPUT_TOKENS, TOKEN_TYPE),
    }
)
"""Of attributes."""
CONVENTION_METRICS: Final = frozenset({SERVER_DURATION, SERVER_FIRST_TOKEN, SERVER_PER_TOKEN, CLIENT_TOKEN_USAGE})
