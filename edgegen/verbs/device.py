"""The device: what a gateway does with a bundle."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgegen.verbs.signed import CheckSignature, RequireSignature, open_bundle


def generate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    n: Annotated[int, typer.Option("-n", help="Flows to generate.")],
    out: Annotated[str, typer.Option("-o", help=".jsonl, .csv, .parquet or .pcap; - for standard output.")] = "-",
    label: Annotated[list[str] | None, typer.Option(help="Labels in turn; none: by training share.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same flows.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first flow.")] = 0,
    batch: Annotated[int | None, typer.Option(help="Flows at a time; changes the speed only.")] = None,
    engine: Annotated[str, typer.Option(help="auto, native or onnxruntime.")] = "auto",
    temperature: Annotated[float, typer.Option(help="0 for the likeliest packets; 1 as trained.")] = 1.0,
    min_packets: Annotated[int, typer.Option(help="Packets that every flow has at least.")] = 1,
    threads: Annotated[int, typer.Option(help="Of the native engine; changes the speed only.")] = 1,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Generate labelled flows from a bundle."""
    from edgegen import runtime
    from edgegen.writers import write_flows

    opened = open_bundle(bundle, require_signature, check_signature)
    flows = runtime.generate(opened, n, label, seed, batch, engine, temperature, first, min_packets, threads)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        flows = iter(track(flows, "flows", n, console=Console(stderr=True), transient=True))
    write_flows(flows, out, {"generator": str(bundle), "seed": str(seed)})


def bench(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    on: Annotated[str, typer.Option(help="local, ssh://USER@HOST, or qemu:CPU, which counts instructions.")] = "local",
    out: Annotated[str, typer.Option("-o", help="md, json (with every sample), or a file named .md or .json.")] = "md",
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="Of each measurement.")] = 2,
    batch: Annotated[int | None, typer.Option(min=1, help="Flows at a time; none: the widest compiled.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="That share the flows between them.")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="Labels in turn; none: by training share.")] = None,
    temperature: Annotated[float, typer.Option(help="0 for the likeliest packets; 1 as trained.")] = 1.0,
    min_packets: Annotated[int, typer.Option(min=1, help="Packets that every flow has at least.")] = 1,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Measure latency, throughput and memory of a bundle's executable, here or where it will run."""
    from edgegen.measure import Workload, measure
    from edgegen.measure.report import markdown
    from edgegen.results import check_form, write

    check_form(out)
    workload = Workload(seconds, batch, threads, tuple(label or ()), temperature, min_packets)
    opened = open_bundle(bundle, require_signature, check_signature)
    write(measure(opened, on, workload), out, markdown)


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    engine: Annotated[str, typer.Option(help="auto or native: ONNX Runtime generates other flows.")] = "auto",
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Check every byte of a bundle, and that this machine generates the flows its export did."""
    from edgegen.bundle import Bundle
    from edgegen.runtime.engine import verify as verify_bundle
    from edgegen.trust import Trust

    trust = Trust.asked(require_signature, check_signature)
    opened = Bundle.open(bundle, trust)
    whose = f"signed with {trust.path}, " if trust and opened.signed else ""
    print(f"{bundle}: {whose}{verify_bundle(opened, engine)}")


def devices(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="none: the targets edgegen knows.")] = None,
    out: Annotated[str, typer.Option("-o", help="md, json, or a file named .md or .json.")] = "md",
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Show this machine, and which targets of a bundle run on it with which kernels."""
    from edgegen.devices import check, markdown
    from edgegen.devices import devices as find
    from edgegen.results import check_form, write

    check_form(out)
    result = find(open_bundle(bundle, require_signature, check_signature) if bundle else None)
    write(result, out, markdown)
    check(result)


def replay(
    source: Annotated[Path, typer.Argument(metavar="FLOWS|BUNDLE", help="A table of flows, or what generates them.")],
    interface: Annotated[str, typer.Option("--interface", help="The Ethernet interface to send out of.")],
    rate: Annotated[float, typer.Option(help="2 is twice as fast as the flows' own times.")] = 1.0,
    mbps: Annotated[float | None, typer.Option(help="Million bits a second at most; none: no bound.")] = None,
    n: Annotated[int | None, typer.Option("-n", help="Flows; none: all, of a bundle without end.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of a bundle; none: 0.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Labels, of a bundle in turn; none: all there are.")] = None,
    out: Annotated[str, typer.Option("-o", help="The report: md, json, or a file named .md or .json.")] = "md",
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Send flows out of an interface as Ethernet frames, each at its time, and say how well times were kept."""
    from edgegen.replay import Pace, Source
    from edgegen.replay import replay as send
    from edgegen.replay.report import markdown
    from edgegen.results import check_form, write
    from edgegen.signals import held_signals
    from edgegen.trust import Trust

    check_form(out)
    flows = Source(source, n, seed, tuple(label or ()), Trust.asked(require_signature, check_signature))
    with held_signals() as stop:
        write(send(flows, interface, Pace(rate, mbps), stop), out, markdown)


def serve(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.", envvar="EDGEGEN_BUNDLE")
    ],
    host: Annotated[
        str, typer.Option(help="Where to listen; any but this machine needs a token.", envvar="EDGEGEN_HOST")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any free one.", envvar="EDGEGEN_PORT")] = 8080,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Holds the bearer token; or EDGEGEN_TOKEN is the token itself.", envvar="EDGEGEN_TOKEN_FILE"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Threads that generate.", envvar="EDGEGEN_WORKERS")] = 1,
    queue: Annotated[
        int, typer.Option(help="Requests under way together; more are told 429.", envvar="EDGEGEN_QUEUE")
    ] = 64,
    most_flows: Annotated[int, typer.Option(help="Of one request.", envvar="EDGEGEN_MOST_FLOWS")] = 1_000_000,
    most_body: Annotated[int, typer.Option(help="Bytes of one request.", envvar="EDGEGEN_MOST_BODY")] = 65_536,
    seconds: Annotated[float, typer.Option(help="That a request may take.", envvar="EDGEGEN_SECONDS")] = 300.0,
    patience: Annotated[
        float, typer.Option(help="Seconds for a client to say what it wants.", envvar="EDGEGEN_PATIENCE")
    ] = 10.0,
    drain: Annotated[
        float, typer.Option(help="Seconds for requests under way after SIGTERM.", envvar="EDGEGEN_DRAIN")
    ] = 30.0,
    engine: Annotated[str, typer.Option(help="auto, native or onnxruntime.", envvar="EDGEGEN_ENGINE")] = "auto",
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Serve flows over HTTP: POST /v1/flows, a page at /, metrics for Prometheus."""
    from edgegen.serve.server import serve as serve_bundle
    from edgegen.serve.settings import Settings, read_token
    from edgegen.trust import Trust

    token = read_token(token_file)
    limits = Settings(host, port, token, workers, queue, most_flows, most_body, seconds, patience, drain)
    serve_bundle(bundle, limits, engine, Trust.asked(require_signature, check_signature))


def pipe(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    most_flows: Annotated[int, typer.Option(help="Of one request.")] = 1_000_000,
    batch: Annotated[int | None, typer.Option(help="Flows at a time; changes the speed only.")] = None,
    engine: Annotated[str, typer.Option(help="auto, native or onnxruntime.")] = "auto",
    threads: Annotated[int, typer.Option(help="Of the native engine; changes the speed only.")] = 1,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Answer requests, those of `edgegen serve`, one a line on standard input, with JSON lines."""
    from edgegen.runtime.engine import How
    from edgegen.serve.pipe import pipe as answer

    answer(open_bundle(bundle, require_signature, check_signature), most_flows, How(engine, batch, threads))
