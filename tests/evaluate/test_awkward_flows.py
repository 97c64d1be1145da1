"""Whatever tables of flows come in, an evaluation ends with numbers or with one sentence."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.errors import EdgegenError
from edgegen.evaluate import augmentation, axes
from edgegen.evaluate.baselines import USUAL
from edgegen.evaluate.evaluation import Settings, evaluate
from edgegen.evaluate.report import page, write_report
from edgegen.flow import Flow
from edgegen.writers import write_flows

LABELS = st.sampled_from(["a", "b", "<b>", "\N{LATIN SMALL LETTER O WITH DIAERESIS}"])
PACKET = st.tuples(
    st.sampled_from([0, 1, 1472, 65_535]) | st.integers(0, 65_535),
    st.integers(0, 1),
    st.sampled_from([0.0, 1e-9, 3e7]) | st.floats(0, 100),
)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    packets = draw(st.lists(PACKET, min_size=1, max_size=5))
    pl, turn, iat = (list(column) for column in zip(*packets, strict=True))
    return Flow(draw(LABELS), pl, turn, [0.0, *iat[1:]], None, draw(st.sampled_from(["", "s", "t", "u"])))


# Few different flows, each several times over: labels of any size, and all flows of a label may be the same.
TABLES = st.lists(st.tuples(flows(), st.integers(1, 30)), min_size=1, max_size=6).map(
    lambda several: [flow for flow, times in several for _ in range(times)]
)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(real=TABLES, made=TABLES)
def test_numbers_or_one_sentence(real: list[Flow], made: list[Flow]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        # The network alone takes seconds, and trees are alike.
        patch.setattr(axes, "find_spec", lambda name: None)
        patch.setattr("edgegen.evaluate.classifiers.TREES", 3)
        patch.setattr(augmentation, "ADDED", (5, 10))
        patch.setattr(augmentation, "EDITED", 10)
        folder = Path(name)
        for table, there in (("real.jsonl", real), ("made.jsonl", made)):
            write_flows(there, folder / table)
        quick = Settings(draws=1, seeds=1, baselines=USUAL)
        try:
            result = evaluate(folder / "real.jsonl", synthetic=folder / "made.jsonl", settings=quick)
        except EdgegenError:
            return
        json.dumps(result, allow_nan=False)
        assert "<b>:" not in page(result)
        write_report(result, folder)
