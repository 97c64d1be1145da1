"""Train the models on a flow table and compare them with Markov chains of the same tokens.

    python bench/training.py FLOWS --arch llama --arch mamba -o bench/results/training-NAME.json

A run that is already there, whole or broken off, is gone on with; `--run` measures one without training it.
Every figure but the seconds is of flows held out by session. Prints a table, then one line of JSON, which it also
writes with `-o`. On a machine that does other things too, the seconds of processor time say more than the clock's.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from rich.table import Table

import machine
import markov
from edgegen import checkpoint
from edgegen.codec import Codec
from edgegen.flow import Flow
from edgegen.likelihood import nats_per_token
from edgegen.models.diffusion import Diffusion
from edgegen.modes import Modes
from edgegen.readers import read_flows
from edgegen.sequences import encode
from edgegen.split import Split, split
from edgegen.train import train
from publish import publish


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--arch", action="append", default=[])
    parser.add_argument("--size", default="base")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--max-packets", type=int, default=16)
    parser.add_argument("--iat", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--run", action="append", default=[], type=Path, help="measure this run, trained before")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()

    facts = machine.facts("edgegen", "torch", "numpy", "pyarrow")
    flows = read_flows(options.flows)
    parts = split(flows, options.seed)
    codec = Codec.fit(parts.train, options.max_packets, options.iat)
    rows = [chain_row(codec, parts, context) for context in ("token", "packet")]
    for arch in options.arch:
        run = options.runs / f"{options.flows.stem}-{arch}-{options.size}"
        train(
            options.flows,
            run,
            arch,
            options.size,
            epochs=options.epochs,
            minutes=options.minutes,
            seed=options.seed,
            max_packets=options.max_packets,
            times=options.iat,
            threads=options.threads,
            resume=(run / checkpoint.LAST).exists(),
        )
        rows.append(model_row(run, codec, parts))
    rows += [model_row(run, codec, parts) for run in options.run]

    result = {"data": options.flows.name, "split": parts.to_json(), "machine": facts, "rows": rows}
    publish(result, options.output, table_of(result))


def chain_row(codec: Codec, parts: Split, context: markov.Context) -> dict[str, Any]:
    """Smoothing is tuned inside the training part; the chain is then fitted to all of it."""
    weights = markov.tune(codec, parts.train, context)
    chain = markov.fit(markov.events_of(codec, parts.train, context))

    def figures(flows: list[Flow]) -> dict[str, float]:
        losses = chain.nats(markov.events_of(codec, flows, context), weights)
        packets = sum(min(len(flow), codec.max_packets) for flow in flows)
        return {"per_token": float(losses.mean()), "per_packet": float(losses.sum() / packets)}

    return {
        "model": f"Markov chain, previous {context}",
        "weights": weights,
        "validation": figures(parts.validation),
        "test": figures(parts.test),
    }


def model_row(run: Path, codec: Codec, parts: Split) -> dict[str, Any]:
    """The best epoch of a run, measured anew from its weights."""
    model, trained_codec, config = checkpoint.load(run)
    reading = encode
    if isinstance(model, Diffusion):
        modes = Modes(codec, parts.train)
        codec, reading = modes.codec, modes.encode
    if trained_codec != codec:
        raise SystemExit(f"{run} was trained with another codec: its figures cannot be compared")

    def figures(flows: list[Flow]) -> dict[str, float]:
        likelihood = nats_per_token(model, codec, flows, encode=reading)
        return {"per_token": likelihood.per_token, "per_packet": likelihood.per_packet}

    return {
        "model": f"{config['arch']} {config['size']}",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "validation": figures(parts.validation),
        "test": figures(parts.test),
        "epochs": len(config["history"]),
        "seconds_per_epoch": statistics.median(record["seconds"] for record in config["history"]),
        "cpu_seconds_per_epoch": statistics.median(record["cpu_seconds"] for record in config["history"]),
        "seconds_to_best": sum(record["seconds"] for record in config["history"][: config["best"]["epoch"]]),
        "history": config["history"],
        "provenance": config["provenance"],
    }


def table_of(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['data']}: nats on flows of held-out sessions")
    table.add_column("model")
    for name in (
        "validation, a token",
        "a packet",
        "test, a token",
        "a packet",
        "epochs",
        "s an epoch",
        "s of CPU",
        "min to best",
    ):
        table.add_column(name, justify="right")
    for row in result["rows"]:
        parts = (row["validation"], row["test"])
        losses = [f"{part[unit]:.3f}" for part in parts for unit in ("per_token", "per_packet")]
        cost = []
        if "epochs" in row:
            cost = [
                str(row["epochs"]),
                f"{row['seconds_per_epoch']:.1f}",
                f"{row['cpu_seconds_per_epoch']:.1f}",
                f"{row['seconds_to_best'] / 60:.1f}",
            ]
        table.add_row(row["model"], *losses, *cost)
    return table


if __name__ == "__main__":
    main()
