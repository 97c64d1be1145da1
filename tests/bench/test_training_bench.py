"""The Markov chains that models are measured against, and the script that does it."""

import json
import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from edgegen.codec import Codec
from edgegen.flow import Flow


def flows_of(count: int) -> list[Flow]:
    """Sizes that follow from the size before, and ends that follow from nothing."""
    draw = random.Random(0)
    made = []
    for i in range(count):
        pl = [draw.choice((100, 200))]
        while len(pl) < 8 and draw.random() < 0.8:
            pl.append(pl[-1] + 1)
        iat = [0.0] + [0.01] * (len(pl) - 1)
        made.append(Flow("web", pl, [0] * len(pl), iat, session=f"s{i // 10}"))
    return made


@pytest.mark.parametrize("context", ["token", "packet"])
def test_a_chain_is_a_distribution(context: str) -> None:
    import markov

    flows = flows_of(40)
    codec = Codec.fit(flows, max_packets=8)
    chain = markov.fit(markov.events_of(codec, flows, context))
    for event in markov.events_of(codec, flows[:3], context):
        low, high = event.legal
        every = [markov.Event(event.label, event.context, event.legal, token) for token in range(low, high)]
        assert np.exp(-chain.nats(every, (1.0, 2.0, 3.0))).sum() == pytest.approx(1)


def test_events_are_the_choices_a_model_has() -> None:
    import markov
    from edgegen.sequences import PAD, choices, encode

    flows = flows_of(20)
    for times in (True, False):
        codec = Codec.fit(flows, max_packets=4, times=times)
        events = markov.events_of(codec, flows, "packet")
        chosen = [position for positions in choices(codec).values() for position in positions]
        assert len(events) == int((encode(codec, flows)[:, chosen] != PAD).sum())


def test_the_previous_packet_foretells_what_the_previous_token_hides() -> None:
    """The size follows from the size before; the token before is a time, which says nothing."""
    import markov

    flows = flows_of(400)
    codec = Codec.fit(flows, max_packets=8)
    loss = {}
    for context in ("token", "packet"):
        weights = markov.tune(codec, flows[:300], context)
        chain = markov.fit(markov.events_of(codec, flows[:300], context))
        loss[context] = chain.nats(markov.events_of(codec, flows[300:], context), weights).sum() / 100
    # Two first sizes, then whether the flow ends after each packet.
    ends = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2)) * (1 - 0.8**7) / 0.2
    assert loss["packet"] == pytest.approx(math.log(2) + ends, rel=0.1)
    assert loss["packet"] < loss["token"] - 0.5


def test_the_script_compares_a_run_with_the_chains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import training

    table, output = tmp_path / "small.jsonl", tmp_path / "result.json"
    table.write_text("".join(json.dumps(flow.record()) + "\n" for flow in flows_of(60)))
    words = ["--arch", "llama", "--size", "tiny", "--epochs", "1", "--threads", "1", "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["bench/training.py", str(table), *words, "-o", str(output)])
    training.main()
    result = json.loads(output.read_text())
    assert result == json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["model"].split()[0] for row in result["rows"]] == ["Markov", "Markov", "llama"]
    assert all(row[part]["per_token"] > 0 for row in result["rows"] for part in ("validation", "test"))
    assert result["rows"][2]["validation"]["per_token"] == pytest.approx(
        result["rows"][2]["history"][0]["validation"], rel=1e-5
    )
    assert result["rows"][2]["seconds_to_best"] == result["rows"][2]["history"][0]["seconds"]
    assert result["machine"]["cores"] >= 1
    monkeypatch.setattr(sys, "argv", ["training.py", str(table), "--run", str(tmp_path / "runs/small-llama-tiny")])
    training.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == result["rows"]
    assert str(tmp_path) not in output.read_text()
