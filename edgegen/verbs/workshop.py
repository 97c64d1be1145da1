"""The workshop: what trains, exports, signs, packages and judges a generator."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgegen.errors import UsageError
from edgegen.verbs.signed import CheckSignature, RequireSignature, open_bundle

LARGEST_SEED = 2**32 - 1  # of scikit-learn; torch takes the product of one and a million


def train(
    out: Annotated[Path, typer.Option("-o", help="The folder of the run, made here.")],
    arch: Annotated[str, typer.Option(help="llama, mamba or diffusion.")],
    flows: Annotated[Path | None, typer.Argument(metavar="FLOWS", help="Flow table; none: EdgeLab.")] = None,
    size: Annotated[
        str | None, typer.Option(help="tiny (0.2 M parameters) or base (2.0 M, a diffusion 1.8).", show_default="base")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the flows; none: 12, of few flows 10, Mamba 8; diffusion 120 or 40."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Time after which to be done.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="The same seed trains the same weights.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run after a kill.")] = False,
    init: Annotated[
        Path | None, typer.Option(help="A run, no diffusion, to adapt to these flows: a handful of a label or more.")
    ] = None,
    hold_out: Annotated[bool, typer.Option(help="Hold a fifth out, or train on all, where they are few.")] = True,
    max_packets: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Packets a flow is cut to.", show_default="16")
    ] = None,
    iat: Annotated[
        bool | None,
        typer.Option("--iat/--no-iat", help="Learn times, or sizes and directions only.", show_default="iat"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processor threads; all if nothing is said.")
    ] = None,
    distill: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A diffusion of that size to learn from, in fewer refinements."),
    ] = None,
    refinements: Annotated[
        int | None, typer.Option(help="Of a flow, for a diffusion. None: 8, and 2 where it is distilled.")
    ] = None,
    keep_repeats: Annotated[
        bool,
        typer.Option("--keep-repeats", help="Learn repeats of flows that nothing else is like: they come out again."),
    ] = False,
) -> None:
    """Train a generator on a table of flows."""
    from edgegen.checkpoint import read_config
    from edgegen.datasets import edgelab
    from edgegen.train import train as train_run

    source = edgelab() if flows is None else flows
    run = train_run(
        source,
        out,
        arch,
        size,
        epochs,
        minutes,
        seed,
        resume,
        init,
        max_packets,
        times=iat,
        threads=threads,
        hold_out=hold_out,
        distill=distill,
        refinements=refinements,
        keep_repeats=keep_repeats,
        say=_say,
    )
    config = read_config(run)
    loss, epoch, done = config["best"]["validation"], config["best"]["epoch"], len(config["history"])
    where = f"{'held-out' if hold_out else 'training'} flows"
    if config["model"].get("refinements"):
        where = "its teacher's flows" if distill else f"{where} under noise"
    print(f"{run}: {loss:.4f} nats a token on {where} (epoch {epoch} of {done})")


def export(
    out: Annotated[Path, typer.Option("-o", metavar="NAME.edgegen", help="The bundle to write; replaces one.")],
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A trained run; none: EdgeLab's LLaMA.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="The same as --precision int8.")] = False,
    precision: Annotated[
        str | None, typer.Option(help="int8, weights and activations in 8 bits, or fp32, as it was trained.")
    ] = None,
    target: Annotated[str, typer.Option(help="Targets with commas between; none: this machine's.")] = "",
    refinements: Annotated[
        int | None, typer.Option(help="Of a flow, where the run is a diffusion: fewer are faster. None: as trained.")
    ] = None,
    deb: Annotated[bool, typer.Option("--deb", help="Debian packages, too, as `edgegen package` makes them.")] = False,
    sign: Annotated[Path | None, typer.Option(metavar="NAME.key", help="Sign it with this private key.")] = None,
) -> None:
    """Compile a trained run into a bundle, checked against what was trained before it is written."""
    from edgegen import package as packages
    from edgegen.datasets import edgelab_llama
    from edgegen.export import export as export_run
    from edgegen.trust import signer

    asked = _precision(int8, precision)
    if deb:
        packages.check(out)
    source = edgelab_llama() if run is None else run
    signing = None if sign is None else signer(sign)
    made = export_run(source, out, _names(target), _say, signing, refinements, asked)
    for check in made.checks:
        print(check.line())
    print(f"{made.bundle.path}: {', '.join(made.bundle.manifest.targets)}")
    if deb:
        for path in packages.package(made.bundle, out.absolute().parent):
            print(path)


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

    opened = open_bundle(bundle, require_signature, check_signature)
    folder = bundle.absolute().parent if out is None else out
    for path in packages.package(opened, folder, _names(target), version, port):
        print(path)


def keygen(
    name: Annotated[Path, typer.Option("-o", metavar="NAME", help="Of the files NAME.key and NAME.pub.")],
) -> None:
    """Make a key pair to sign bundles with: NAME.key stays in the workshop, NAME.pub goes onto gateways."""
    from edgegen.trust import make_keys

    private, public = make_keys(name)
    print(f"{private} signs: keep it secret; {public} goes onto the gateways")


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


def evaluate(
    real: Annotated[Path | None, typer.Argument(metavar="REAL", help="Table of real flows; none: EdgeLab.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="The generator.")] = None,
    synthetic: Annotated[Path | None, typer.Option(help="In its place a table of flows that were generated.")] = None,
    out: Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Folder for report and results.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Of the split into training and held out, as in training.")
    ] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers trained on each set of flows.")] = 5,
    card: Annotated[bool, typer.Option(help="Write the summary into the bundle's card.md, or leave it.")] = True,
    baseline: Annotated[
        list[str] | None, typer.Option(help="To stand beside; none: all but ctgan, which is slow; all: all.")
    ] = None,
    beside: Annotated[list[Path] | None, typer.Option(help="Another bundle, to stand beside it: give several.")] = None,
    require_signature: RequireSignature = None,
    check_signature: CheckSignature = None,
) -> None:
    """Say whether generated flows can be trusted: fidelity, training on them alone, privacy, cost."""
    from edgegen.datasets import edgelab
    from edgegen.evaluate.command import run
    from edgegen.trust import Trust

    trust = Trust.asked(require_signature, check_signature)
    source, others = edgelab() if real is None else real, tuple(beside or ())
    run(source, bundle, synthetic, out, seed, seeds, tuple(baseline or ()), card, trust, others)


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
    """Add flows to a training set, marked `synthetic`, with weights that keep the real ones at half or more.

    A generator's flows are picked: of eight times as many, those that together are most like all of them.
    """
    from edgegen.datasets import edgelab
    from edgegen.evaluate.command import run_augment
    from edgegen.trust import Trust

    trust = Trust.asked(require_signature, check_signature)
    run_augment(edgelab() if flows is None else flows, bundle, transform, per_label, ratio, seed, out, trust)


def demo(
    out: Annotated[Path, typer.Option("-o", metavar="DIR", help="Folder for what it makes.")] = Path("edgegen-demo"),
    minutes: Annotated[float, typer.Option(help="Time to train for.")] = 1.5,
) -> None:
    """Train, export, generate and compare on the shipped data, in a few minutes."""
    from edgegen.demo import demo as run_demo

    run_demo(out, minutes)


def _say(text: str) -> None:
    """How far a long job is."""
    print(text, file=sys.stderr, flush=True)


def _precision(int8: bool, precision: str | None) -> str:
    """What --int8 and --precision ask for together."""
    from edgegen.bundle import INT8, STEP_GRAPHS

    if precision not in (None, *STEP_GRAPHS):
        raise UsageError(f"precision {precision!r} is none of {', '.join(STEP_GRAPHS)}")
    if int8 and precision not in (None, INT8):
        raise UsageError(f"--int8 and --precision {precision} contradict each other: give one of them")
    if not int8 and precision is None:
        raise UsageError(
            "say in what it is to compute: call `edgegen export --int8` or `edgegen export --precision fp32`"
        )
    return precision or INT8


def _names(commas: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in commas.split(",") if name.strip())
