"""The gate before a bundle is written: four forms of one model take the same steps and must agree.

torch fp32 -> ONNX fp32 -> ONNX int8 -> the compiled engine. The first arrow and the last change nothing but the order
of sums, so their bounds are tight; the middle one is what int8 costs, and a bundle in fp32 goes without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgegen.bundle import FP32, INT8
from edgegen.codec import Codec
from edgegen.export.choices import agreement_of, count_choices, divergence, largest
from edgegen.export.follow import Follower
from edgegen.models import Generator
from edgegen.models.stepper import TorchStepper
from edgegen.runtime.engine import collect
from edgegen.runtime.loop import Stepper
from edgegen.runtime.native import NativeEngine
from edgegen.runtime.onnxruntime import OnnxStepper
from edgegen.runtime.request import Request
from edgegen.runtime.sampling import draw_modes, noise

# Flows that ONNX Runtime takes at a time: the states of more leave the processor's caches in every step.
ROWS = 128
FLOWS = 512  # of up to 32 steps each: over 10,000 steps, however short the flows of some labels are

# Across int8 a bound is on a share or a mean, never on the single worst logit: where a sum that differs in its last bit
# falls on the edge between two levels, one activation moves by a whole level, and the logits of its row with it.
LARGEST_DIFFERENCE = 1e-3  # between two forms in fp32, in logits
MEDIAN_DIFFERENCE = 1e-5  # ONNX against the engine, in logits: most steps have no activation on such an edge
# The same, nats per token: a kernel that is wrong at a few steps only shows here, however few they are.
ENGINE_DIVERGENCE = 1e-4
# The same, share of steps, each of them taken from the engine's states. Two tokens whose logits lie within the noise of
# one moved activation may change places.
GREEDY_AGREEMENT = 0.999
# The same where each goes on from its own states, so that an activation moved once stays moved: ONNX Runtime with and
# without its own graph optimisations is no closer to itself. A kernel that spoils a state is far below it.
OWN_STATES_AGREEMENT = 0.995
# The same after all refinements of a flow, each of which passes on what the one before has moved.
OWN_PATH_AGREEMENT = 0.98
# Fp32 against int8, nats per token of divergence. What int8 moves makes a path of refinements turn elsewhere here and
# there, into another flow that is as likely, so that after all of them only what is broken shows; the bound as for one
# token is on the last refinement, from the codes that fp32 has there.
INT8_COST = 0.02
INT8_PATH_COST = 0.3


@dataclass(frozen=True)
class Check:
    """One comparison: what, the figure, its bound, whether it holds."""

    name: str
    figure: float
    bound: float
    holds: bool

    def line(self) -> str:
        return f"{'ok ' if self.holds else 'RED'} {self.name}: {self.figure:.6g} (bound {self.bound:g})"


def compare(
    model: Generator, codec: Codec, graphs: Mapping[str, Path], engine: NativeEngine, request: Request
) -> list[Check]:
    """Runs every form over the engine's flows and compares the logits of legal tokens, wherever there was a choice.

    graphs: FP32 and, where the engine is that, INT8
    """
    precision = INT8 if INT8 in graphs else FP32
    prompts = collect(engine, codec, request)
    tokens = prompts.tokens

    def logits_of(stepper: Stepper) -> NDArray[np.float32]:
        if model.refinements:
            return refined_logits(stepper, codec, tokens, request, model.refinements)
        return step_logits(stepper, codec, tokens)

    width = min(ROWS, len(tokens))
    torch_logits = logits_of(TorchStepper(model, width)) if model.refinements else _read_logits(model, tokens)
    onnx = {name: logits_of(OnnxStepper(str(path), width)) for name, path in graphs.items()}
    compiled = logits_of(engine)
    # What a refinement moves, the path makes larger: forms are judged by one refinement from the same codes.
    plain = logits_of(Follower(TorchStepper(model, width), graphs[FP32])) if model.refinements else onnx[FP32]
    checks = [
        _at_most(
            "largest logit difference, torch fp32 to ONNX fp32",
            largest(codec, torch_logits, plain, tokens),
            LARGEST_DIFFERENCE,
        )
    ]
    if model.refinements:
        # What moves the codes, no logits of one refinement show.
        cost = divergence(codec, torch_logits, onnx[FP32], tokens)
        checks.append(
            _at_most("divergence per token, torch fp32 to ONNX fp32, after a path of its own", cost, ENGINE_DIVERGENCE)
        )
    if precision == INT8:
        what = "divergence per token, ONNX fp32 to ONNX int8"
        cost = divergence(codec, onnx[FP32], onnx[INT8], tokens)
        if model.refinements:
            checks.append(_at_most(f"{what}, after a path of its own", cost, INT8_PATH_COST))
            last = logits_of(Follower(OnnxStepper(str(graphs[FP32]), width), graphs[INT8]))
            what, cost = f"{what}, at the last refinement", divergence(codec, onnx[FP32], last, tokens)
        checks.append(_at_most(what, cost, INT8_COST))
    stepwise = logits_of(Follower(engine, graphs[precision]))
    same_states, _ = agreement_of(codec, stepwise, compiled, tokens)
    own_states, _ = agreement_of(codec, onnx[precision], compiled, tokens)
    judged = stepwise if model.refinements else onnx[precision]
    _, median = agreement_of(codec, judged, compiled, tokens)
    if precision == FP32:
        # Nothing is rounded to levels, so that the worst logit tells, too.
        worst = largest(codec, judged, compiled, tokens)
        checks.append(_at_most("largest logit difference, ONNX fp32 to the compiled engine", worst, LARGEST_DIFFERENCE))
    steps = f"ONNX {precision} and the compiled engine, {count_choices(codec, tokens):,} steps"
    return [
        *checks,
        _at_most(
            f"divergence per token, ONNX {precision} to the compiled engine",
            divergence(codec, judged, compiled, tokens),
            ENGINE_DIVERGENCE,
        ),
        _at_most(f"median logit difference, ONNX {precision} to the compiled engine", median, MEDIAN_DIFFERENCE),
        _at_least(f"same greedy token, {steps}", same_states, GREEDY_AGREEMENT),
        _at_least(
            f"same greedy token from states of their own, {steps}",
            own_states,
            OWN_PATH_AGREEMENT if model.refinements else OWN_STATES_AGREEMENT,
        ),
    ]


def _at_most(name: str, figure: float, bound: float) -> Check:
    return Check(name, figure, bound, bool(figure <= bound))


def _at_least(name: str, figure: float, bound: float) -> Check:
    return Check(name, figure, bound, bool(figure >= bound))


def _read_logits(model: Generator, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    """The logits of all positions at once: the form that was trained."""
    with torch.inference_mode():
        hidden, _ = model.eval().read(torch.from_numpy(tokens.astype(np.int64)))
        logits: NDArray[np.float32] = F.linear(hidden, model.table()).numpy()
    return logits


def step_logits(stepper: Stepper, codec: Codec, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    """Logits (flows, steps, vocabulary) of the given tokens; a stepper narrower than the flows takes them in turns."""
    made: NDArray[np.float32] | None = None
    for start in range(0, len(tokens), stepper.width):
        rows = np.zeros((stepper.width, codec.steps), np.int32)
        part = tokens[start : start + stepper.width, : codec.steps]
        rows[: len(part)] = np.maximum(part, 0)
        for position in range(codec.steps):
            logits = stepper.step(rows[:, position], np.full(stepper.width, position, np.int32))
            if made is None:
                made = np.empty((len(tokens), codec.steps, logits.shape[1]), np.float32)
            made[start : start + len(part), position] = logits[: len(part)]
    assert made is not None
    return made


def refined_logits(
    stepper: Stepper, codec: Codec, tokens: NDArray[np.int32], request: Request, refinements: int
) -> NDArray[np.float32]:
    """Logits (flows, steps, vocabulary) after the last refinement of the flows that `request` asked for."""
    made = []
    for start in range(0, len(tokens), stepper.width):
        numbers = np.arange(start, start + stepper.width, dtype=np.uint64) + np.uint64(request.first)
        labels = np.resize(tokens[start : start + stepper.width, 0], stepper.width)
        modes, _ = draw_modes(codec, request.seed, numbers, labels)
        stepper.start(noise(request.seed, numbers, stepper.noise_size))
        for position in range(refinements):
            logits = stepper.step(modes, np.full(stepper.width, position, np.int32))
        made.append(logits[: len(tokens) - start])
    return np.concatenate(made)
