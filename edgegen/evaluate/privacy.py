"""Whether generated flows give away training flows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgegen.codec import Codec
from edgegen.evaluate.arrays import Arrays, Floats, some
from edgegen.evaluate.edits import nearest
from edgegen.evaluate.fidelity import MOST, scaled
from edgegen.evaluate.real import counts
from edgegen.flow import Flow
from edgegen.runtime.loop import Stepper

FALSE_POSITIVES = 0.01
SAME = 1e-4  # distances below are none, but for rounding: a byte is twenty times as far
TRACED = 2_000  # generated flows that are led back: more would not help, since which flows are held out says more


def copies(training: Arrays, held_out: Arrays, generated: Arrays) -> dict[str, float | None]:
    """Shares of flows whose lengths and directions are, packet by packet, a training flow's.

    Real flows repeat each other, so the generator's share says something only beside the held-out flows', which count
    as much as their label does among the generated ones: of some labels nearly all flows repeat, of others none. The
    same of lengths alone (`lengths_...`): whoever changes a training flow's directions or times still hands out its
    lengths. And of whoever changes anything else: see `traced`.
    """
    found: dict[str, float | None] = {"traced": traced(training, held_out, generated)}
    weights = mixed_as(generated, held_out)
    for prefix, directions in (("", True), ("lengths_", False)):
        known = set(training.patterns(directions))
        repeats = [np.array([p in known for p in side.patterns(directions)]) for side in (generated, held_out)]
        made, held = float(repeats[0].mean()), float(np.average(repeats[1], weights=weights))
        found |= {f"{prefix}copy_rate": made, f"{prefix}holdout_copy_rate": held}
        found[f"{prefix}copy_excess_points"] = 100 * (made - held)
    return found


def traced(training: Arrays, held_out: Arrays, generated: Arrays, seed: int = 0) -> float | None:
    """Share of generated flows that lead back to a training flow of their label; 0 where those are nothing special.

    Of each, whether the nearest real flow is one of training or a held-out one; among several as near, their shares.
    Beyond what would be by the numbers of both, over the most that could be. Copies of real flows that repeat each
    other lead back to held-out ones, too, so even they do not reach 1: look at it beside the baseline `copy`. And who
    has learned from the training flows leans towards them: not even a Markov chain of them is at 0. Which flows were
    held out makes 0.05 of difference where they are 500.
    None where no label has flows of all three kinds.
    """
    made = generated[np.random.default_rng(seed).permutation(len(generated))[:TRACED]]
    found = by_number = 0.0
    flows = 0
    for label in np.unique(made.label):
        those, seen, unseen = (each[each.label == label] for each in (made, training, held_out))
        if not len(seen) or not len(unseen):
            continue
        (near, n), (far, m) = (nearest(those, each) for each in (seen, unseen))
        found += float(np.where(near == far, n / (n + m), near < far).sum())
        by_number += len(those) * len(seen) / (len(seen) + len(unseen))
        flows += len(those)
    return (found - by_number) / (flows - by_number) if flows else None


def distance_ratio(training: Arrays, held_out: Arrays, generated: Arrays, seed: int = 0) -> float | None:
    """Median distance of generated flows to the nearest training flow over that to the nearest held-out one.

    Of those that are nobody's copy, and as many training flows of a label as held-out ones; None where all are
    copies or no label has both. 1 where training flows are nothing special.
    """
    from sklearn.neighbors import NearestNeighbors

    random = np.random.default_rng(seed)
    made = generated[random.permutation(len(generated))[:MOST]]
    alike = np.minimum(counts(training), counts(held_out))
    chosen = random.permutation(alike.sum())[:MOST]
    if not len(chosen):
        return None
    distances = []
    for side in (training, held_out):
        near = NearestNeighbors(n_neighbors=1).fit(scaled(some(side, alike, seed)[chosen], held_out))
        distances.append(near.kneighbors(scaled(made, held_out))[0][:, 0])
    one, two = distances
    known = (one > SAME) & (two > SAME)
    return float(np.median(one[known]) / np.median(two[known])) if known.any() else None


def mixed_as(like: Arrays, flows: Arrays) -> Floats:
    """(n,) what each of `flows` counts, so that their labels have the shares that they have in `like`.

    What differs by label alone, as how often flows repeat others does, then does not tell the two apart.
    """
    weights: Floats = (counts(like) / np.maximum(counts(flows), 1))[flows.label]
    return weights if weights.any() else np.ones(len(flows))


def membership(training: Floats, held_out: Floats, weights: Floats | None = None) -> dict[str, Any]:
    """An attacker who knows the model's nats of a flow and says "it was trained on" where they are few.

    training, held_out: nats per token of flows that were and that were not trained on; weights: what each of training
    counts, None: as much as the others. membership_auc: 0.5 where the attack is no better than chance; true_positives:
    at one false positive in a hundred, None where there are not as many held-out flows. (Yeom et al. 2018)
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    member = np.repeat([1, 0], (len(training), len(held_out)))
    score = -np.concatenate([training, held_out])
    weight = np.concatenate([np.ones(len(training)) if weights is None else weights, np.ones(len(held_out))])
    enough = FALSE_POSITIVES * len(held_out) >= 1
    false, true, _ = roc_curve(member, score, sample_weight=weight)
    return {
        "membership_auc": float(roc_auc_score(member, score, sample_weight=weight)),
        "membership_true_positives": float(np.interp(FALSE_POSITIVES, false, true)) if enough else None,
    }


def nats_of_flows(stepper: Stepper, codec: Codec, flows: Sequence[Flow]) -> Floats:
    """(flows,) mean -log p of each flow's tokens, where the grammar left a choice, under a generator's steps."""
    made = np.zeros(len(flows))
    for start in range(0, len(flows), stepper.width):
        part = [codec.encode(flow) for flow in flows[start : start + stepper.width]]
        tokens = np.full((stepper.width, codec.length), -1, np.int32)
        for row, sequence in enumerate(part):
            tokens[row, : len(sequence)] = sequence
        total, count = np.zeros(stepper.width), np.zeros(stepper.width)
        # What stands beyond the last step is an <end> that the grammar forces.
        for position in range(1, min(max(map(len, part)), codec.steps + 1)):
            before = np.full(stepper.width, position - 1, np.int32)
            logits = stepper.step(np.maximum(tokens[:, position - 1], 0), before)
            low, high = codec.legal(position)
            there = np.flatnonzero(tokens[:, position] >= 0)
            if high - low > 1:
                legal = logits[there, low:high].astype(np.float64)
                top = legal.max(1)
                chosen = legal[np.arange(len(there)), tokens[there, position] - low]
                total[there] += top + np.log(np.exp(legal - top[:, None]).sum(1)) - chosen
                count[there] += 1
        made[start : start + len(part)] = (total / np.maximum(count, 1))[: len(part)]
    return made
