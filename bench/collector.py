"""An OTLP collector that keeps nothing of what it takes: prints its port, serves until its standard input closes."""

import sys
from concurrent import futures
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Sink:
    """One service of it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's method
        return self._answer


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    spans = Sink(trace_service_pb2.ExportTraceServiceResponse())
    metrics = Sink(metrics_service_pb2.ExportMetricsServiceResponse())
    lines = Sink(logs_service_pb2.ExportLogsServiceResponse())
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(spans, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(metrics, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(lines, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0).wait()


if __name__ == "__main__":
    main()
