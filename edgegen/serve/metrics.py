"""What Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from edgegen.flow import Flow

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """Counters of one server; the process's memory, processor time and open files come with them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.flows = Counter("edgegen_flows", "Flows generated", registry=self.registry)
        self.packets = Counter("edgegen_packets", "Packets of the flows generated", registry=self.registry)
        self.requests = Counter(
            "edgegen_requests", "Requests for flows by how they ended", ["end"], registry=self.registry
        )
        self.rejected = Counter(
            "edgegen_rejected", "Requests turned away, by status", ["status"], registry=self.registry
        )
        self.queue = Gauge("edgegen_queue", "Requests for flows under way", registry=self.registry)
        self.seconds = Histogram(
            "edgegen_request_seconds", "From request to last byte", buckets=LATENCY_BUCKETS, registry=self.registry
        )

    def made(self, flow: Flow) -> None:
        self.flows.inc()
        self.packets.inc(len(flow.pl))

    def text(self) -> bytes:
        return generate_latest(self.registry)
