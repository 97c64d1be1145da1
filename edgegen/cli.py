"""The command line. A verb parses and prints; another module does the job, imported when the verb runs."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgegen.errors import EdgegenError, UsageError
from edgegen.signals import ENDING

# Which extra brings a package of the workshop, for who has only the device side.
EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "tvm": "export",
    "tvm_ffi": "export",
    "ziglang": "export",
    "matplotlib": "eval",
    "imblearn": "eval",
    "ctgan": "ctgan",
    "pandas": "ctgan",
    "scipy": "eval",
    "sklearn": "eval",
    "pyarrow": "data",
    "dpkt": "data",
    "prometheus_client": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "cryptography": "trust",
}

READER_GONE = 141


class _ReaderGone(BaseException):
    """Whoever reads standard output has gone (`| head`, a closed connection)."""


class _Verbs(TyperGroup):
    """Keeps a broken pipe from typer, which makes exit status 1 of it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _ReaderGone from error


app = typer.Typer(
    name="edgegen",
    cls=_Verbs,
    help="Learn small generators of network traffic, compile them, and run them on a gateway.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Captures and data sets in, and what is in them.", no_args_is_help=True)
app.add_typer(data_app, name="data")

# Of every verb that opens a bundle.
RequireSignature = Annotated[
    Path | None,
    typer.Option(
        metavar="KEY.pub", help="Refuse a bundle that this key has not signed.", envvar="EDGEGEN_REQUIRE_SIGNATURE"
    ),
]
CheckSignature = Annotated[
    Path | None,
    typer.Option(
        metavar="KEY.pub", help="The same, with a warning for one not signed at all.", envvar="EDGEGEN_CHECK_SIGNATURE"
    ),
]


@data_app.command("import")
def data_import(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Captures, data sets, or folders.")],
    out: Annotated[Path, typer.Option("-o", help="The table to write: .parquet, .jsonl or .csv.")],
    format: Annotated[str, typer.Option(help="auto, pcap, mirage, cesnet, tcbench or table.")] = "auto",
    label: Annotated[str | None, typer.Option(help="Label of every flow.")] = None,
    label_by: Annotated[str, typer.Option(help="Label captures by file name or by nDPI: file, ndpi.")] = "file",
    idle_timeout: Annotated[float, typer.Option(help="Seconds of silence that end a flow.")] = 120.0,
    max_packets: Annotated[int, typer.Option(help="Packets kept of a flow.")] = 32,
    keep_empty: Annotated[bool, typer.Option("--keep-empty", help="Keep packets without payload.")] = False,
    keep_background: Annotated[
        bool,
        typer.Option("--keep-background/--drop-background", help="Flows of other apps in a MIRAGE file."),
    ] = True,
) -> None:
    """Turn captures and data sets into one table of flows."""
    from edgegen.dataset import import_table
    from edgegen.readers.options import Options

    options = Options(label, label_by, idle_timeout, max_packets, keep_empty, keep_background)
    report = import_table(sources, out, options, format)
    print(f"{out}: {report.flows:,} flows from {report.records:,} packets or rows", file=sys.stderr)
    for line in report.lines():
        print(f"  {line}", file=sys.stderr)


@data_app.command("info")
def data_info(flows: Annotated[Path, typer.Argument(metavar="FLOWS", help="A table of flows.")]) -> None:
    """Show what is in a table: labels, flows, packets, sessions, lengths, times, duplicates."""
    from edgegen.dataset import summarise
    from edgegen.readers import read_flows
    from edgegen.readers.report import Report
    from edgegen.tables import info_table, print_table

    report = Report()
    print_table(info_table(flows.name, *summarise(read_flows(flows, report))))
    for line in report.lines():
        print(f"  {line}", file=sys.stderr)


@app.command()
def train(
    out: Annotated[Path, typer.Option("-o", help="The folder of the run, made here.")],
    arch: Annotated[str, typer.Option(help="llama, mamba or diffusion.")],
    flows: Annotated[Path | None, typer.Argument(metavar="FLOWS", help="Flow table; none: EdgeLab.")] = None,
    size: Annotated[str, typer.Option(help="tiny (0.2 M parameters) or base (2.0 M).")] = "base",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the flows; none: 18, few flows 12; diffusion 40 or 90.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Time after which to be done.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed trains the same weights.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run after a kill.")] = False,
    init: Annotated[
        Path | None, typer.Option(help="A run to adapt to these flows, a handful of a label or more.")
    ] = None,
    hold_out: Annotated[bool, typer.Option(help="Hold a fifth out, or train on all, where they are few.")] = True,
    max_packets: Annotated[int, typer.Option(min=1, help="Packets a flow is cut to.")] = 16,
    iat: Annotated[bool, typer.Option("--iat/--no-iat", help="Learn times, or sizes and directions only.")] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; all if nothing is said.")] = None,
) -> None:
    """Train a generator on a table of flows."""
    from edgegen.checkpoint import read_config
    from edgegen.datasets import edgelab
    from edgegen.train import train as train_run

    source = edgelab() if flows is None else flows
    run = train_run(source, out, arch, size, epochs, minutes, seed, resume, init, max_packets, iat, threads, hold_out)
    config = read_config(run)
    loss, epoch, done = config["best"]["validation"], config["best"]["epoch"], len(config["history"])
    where = "held-out" if hold_out else "training"
    noisy = " under noise" if config["model"].get("refinements") else ""
    print(f"{run}: {loss:.4f} nats a token on {where} flows{noisy} (epoch {epoch} of {done})")


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", metavar="NAME.edgegen", help="The bundle to write.")],
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A trained run; none: EdgeLab's LLaMA.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Weights and activations in 8 bits.")] = False,
    target: Annotated[str, typer.Option(help="Targets with commas between; none: this machine's.")] = "",
    refinements: Annotated[
        int | None, typer.Option(help="Of a flow, where the run is a diffusion: fewer are faster. None: 8.")
    ] = None,
    deb: Annotated[bool, typer.Option("--deb", help="Debian packages, too, as `edgegen package` makes them.")] = False,
    sign: Annotated[Path | None, typer.Option(metavar="NAME.key", help="Sign it with this private key.")] = None,
) -> None:
    """Compile a trained run into a bundle, checked against its fp32 form before it is written."""
    from edgegen import package as packages
    from edgegen.datasets import edgelab_llama
    from edgegen.export import export as export_run
    from edgegen.trust import signer

    if not int8:
        raise UsageError("only int8 bundles are compiled so far: call `edgegen export --int8`")
    if deb:
        packages.check(out)
    source = edgelab_llama() if run is None else run
    signing = None if sign is None else signer(sign)
    made = export_run(source, out, _names(target), lambda text: print(text, file=sys.stderr), signing, refinements)
    for check in made.checks:
        print(check.line())
    print(f"{made.bundle.path}: {', '.join(made.bundle.manifest.targets)}")
    if deb:
        for path in packages.package(made.bundle, out.absolute().parent):
            print(path)


@app.command()
def package(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    out: Annotated[
        Path | None, typer.Option("-o", metavar="DIR", help="Folder for the packages; none: the bundle's.")
    ] = None,
    target: Annotated[str, typer.Option(help="Targets with commas between; none: all of the bundle.")] = "",
    version: Annotated[str | None, typer.Option(help="Of the packages; none: edgegen's and the day of export.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the socket, once it is enabled.")] = 8585,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Make Debian packages of a bundle: executable, manual, and a socket that is not enabled."""
    from edgegen import package as packages
    from edgegen.bundle import Bundle
    from edgegen.trust import Trust

    opened = Bundle.open(bundle, Trust.asked(require_signature, check_signature))
    folder = bundle.absolute().parent if out is None else out
    for path in packages.package(opened, folder, _names(target), version, port):
        print(path)


@app.command()
def keygen(
    name: Annotated[Path, typer.Option("-o", metavar="NAME", help="Of the files NAME.key and NAME.pub.")],
) -> None:
    """Make a key pair to sign bundles with: NAME.key stays in the workshop, NAME.pub goes onto gateways."""
    from edgegen.trust import make_keys

    private, public = make_keys(name)
    print(f"{private} signs: keep it secret; {public} goes onto the gateways")


@app.command()
def sign(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    key: Annotated[Path, typer.Option(metavar="NAME.key", help="The private key that `edgegen keygen` made.")],
) -> None:
    """Sign a bundle and its executables, in place of older signatures."""
    from edgegen.bundle import Bundle
    from edgegen.trust import sign as sign_bundle
    from edgegen.trust import signer

    signed = sign_bundle(Bundle.open(bundle), signer(key))
    names = ["manifest.sig", *(name for name in signed.files if name.endswith(".sig"))]
    print(f"{bundle}: {', '.join(names)}")


@app.command()
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
    from edgegen.bundle import Bundle
    from edgegen.trust import Trust
    from edgegen.writers import write_flows

    opened = Bundle.open(bundle, Trust.asked(require_signature, check_signature))
    flows = runtime.generate(opened, n, label, seed, batch, engine, temperature, first, min_packets, threads)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        flows = iter(track(flows, "flows", n, console=Console(stderr=True), transient=True))
    write_flows(flows, out, {"generator": str(bundle), "seed": str(seed)})


@app.command()
def evaluate(
    real: Annotated[Path | None, typer.Argument(metavar="REAL", help="Table of real flows; none: EdgeLab.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="The generator.")] = None,
    synthetic: Annotated[Path | None, typer.Option(help="In its place a table of flows that were generated.")] = None,
    out: Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Folder for report and results.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split into training and held out, as in training.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers trained on each set of flows.")] = 5,
    card: Annotated[bool, typer.Option(help="Write the summary into the bundle's card.md, or leave it.")] = True,
    baseline: Annotated[
        list[str] | None, typer.Option(help="To stand beside; none: all but ctgan, which is slow; all: all.")
    ] = None,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Say whether generated flows can be trusted: fidelity, training on them alone, privacy, cost."""
    from edgegen.datasets import edgelab
    from edgegen.evaluate.command import run
    from edgegen.trust import Trust

    trust = Trust.asked(require_signature, check_signature)
    run(edgelab() if real is None else real, bundle, synthetic, out, seed, seeds, tuple(baseline or ()), card, trust)


@app.command()
def augment(
    out: Annotated[Path, typer.Option("-o", help="The table to write: .parquet, .jsonl or .csv.")],
    flows: Annotated[Path | None, typer.Argument(metavar="FLOWS", help="Table of real flows; none: EdgeLab.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="The generator of the flows to add.")] = None,
    transform: Annotated[str | None, typer.Option(help="In its place: payload, direction, time or edit.")] = None,
    per_label: Annotated[int | None, typer.Option(help="Flows that every label is to have.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Flows to add for each real one; 1 if nothing is said.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed adds the same flows.")] = 0,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Add flows to a training set, marked `synthetic`, with weights that keep the real ones at half."""
    from edgegen.datasets import edgelab
    from edgegen.evaluate.command import run_augment
    from edgegen.trust import Trust

    trust = Trust.asked(require_signature, check_signature)
    run_augment(edgelab() if flows is None else flows, bundle, transform, per_label, ratio, seed, out, trust)


@app.command()
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
    from edgegen.bundle import Bundle
    from edgegen.measure import Workload, measure
    from edgegen.measure.report import markdown
    from edgegen.results import check_form, write
    from edgegen.trust import Trust

    check_form(out)
    workload = Workload(seconds, batch, threads, tuple(label or ()), temperature, min_packets)
    trust = Trust.asked(require_signature, check_signature)
    write(measure(Bundle.open(bundle, trust), on, workload), out, markdown)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `edgegen export` made.")],
    engine: Annotated[str, typer.Option(help="auto, native or onnxruntime.")] = "auto",
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


@app.command()
def devices(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="none: the targets edgegen knows.")] = None,
    out: Annotated[str, typer.Option("-o", help="md, json, or a file named .md or .json.")] = "md",
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Show this machine, and which targets of a bundle run on it with which kernels."""
    from edgegen.bundle import Bundle
    from edgegen.devices import check, markdown
    from edgegen.devices import devices as find
    from edgegen.results import check_form, write
    from edgegen.trust import Trust

    check_form(out)
    trust = Trust.asked(require_signature, check_signature)
    result = find(Bundle.open(bundle, trust) if bundle else None)
    write(result, out, markdown)
    check(result)


@app.command()
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


@app.command()
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


@app.command()
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
    from edgegen.bundle import Bundle
    from edgegen.runtime.engine import How
    from edgegen.serve.pipe import pipe as answer
    from edgegen.trust import Trust

    answer(
        Bundle.open(bundle, Trust.asked(require_signature, check_signature)), most_flows, How(engine, batch, threads)
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", metavar="DIR", help="Folder for what it makes.")] = Path("edgegen-demo"),
    minutes: Annotated[float, typer.Option(help="Time to train for.")] = 1.5,
) -> None:
    """Train, export, generate and compare on the shipped data, in a few minutes."""
    from edgegen.demo import demo as run_demo

    run_demo(out, minutes)


def _names(commas: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in commas.split(",") if name.strip())


class _Signal(BaseException):
    """A signal that asks the process to end; what is half written is cleaned up on the way out.

    No KeyboardInterrupt, which typer makes an exit status of its own from.
    """

    def __init__(self, number: int) -> None:
        self.number = number


def _end(number: int, frame: object) -> None:
    raise _Signal(number)


def main() -> None:
    """Run a verb; an error is one sentence on stderr and exit status 1 (the job) or 2 (its usage)."""
    for number in ENDING:
        # What whoever started us wants ignored (nohup) stays so.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    try:
        app()
    except UsageError as error:
        print(f"edgegen: {error}", file=sys.stderr)
        sys.exit(2)
    except EdgegenError as error:
        print(f"edgegen: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        if extra is None:
            raise
        needed = f"this needs {package}, which is not installed: pip install 'edgegen[{extra}]'"
        print(f"edgegen: {needed}", file=sys.stderr)
        sys.exit(1)
    except _Signal as error:
        print(f"edgegen: interrupted by signal {error.number}", file=sys.stderr)
        sys.exit(128 + error.number)
    except _ReaderGone:
        # At once: what is still in a buffer would be written again, and fail again.
        os._exit(READER_GONE)


if __name__ == "__main__":
    main()
