"""A run folder: what is saved is what is loaded, and damage is one sentence."""

import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen import checkpoint, models
from edgegen.codec import Codec, Label
from edgegen.errors import EdgegenError
from edgegen.models import Generator

CODEC = Codec((Label("dns", 0.4, 17), Label("web", 0.6)), max_packets=4)


@pytest.fixture
def model() -> Generator:
    torch.manual_seed(0)
    return models.create(models.configure("llama", "tiny", CODEC))


@pytest.fixture
def run(tmp_path: Path, model: Generator) -> Path:
    checkpoint.save(tmp_path, model)
    checkpoint.save_config(tmp_path, {"model": model.config.to_json(), "codec": CODEC.to_json(), "best": 1})
    return tmp_path


def test_loaded_is_saved(run: Path, model: Generator) -> None:
    loaded, codec, config = checkpoint.load(run)
    assert (codec, loaded.config, config["best"]) == (CODEC, model.config, 1)
    assert not loaded.training
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))
    assert sorted(path.name for path in run.iterdir()) == [checkpoint.CONFIG, checkpoint.MODEL]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in run.iterdir())


@pytest.mark.parametrize("name", [checkpoint.CONFIG, checkpoint.MODEL])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_damage_is_one_sentence(run: Path, name: str, damage: str) -> None:
    path = run / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"\xff" * 64}[damage])
    with pytest.raises(EdgegenError, match="train it") as caught:
        checkpoint.load(run)
    assert str(run) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_that_do_not_fit_the_weights(run: Path) -> None:
    config = checkpoint.read_config(run)
    config["model"]["layers"] += 1
    (run / checkpoint.CONFIG).write_text(json.dumps(config))
    with pytest.raises(EdgegenError, match="is damaged"):
        checkpoint.load(run)


def change(run: Path, place: tuple[str, ...], value: object) -> None:
    config = checkpoint.read_config(run)
    *above, last = place
    within = config
    for name in above:
        within = within[name]
    within[last] = value
    (run / checkpoint.CONFIG).write_text(json.dumps(config))


SENTENCE = r"^[^\n]+ is damaged \([^\n]+\): train it again$"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("heads", value) for value in (0, 7, -4, 48, "4", 4.0, True, None)],
        *[("d", value) for value in (10**12, 2**70, "48", [48])],
        *[("layers", value) for value in (0, 10**9)],
        *[("dropout", value) for value in (1.5, "0.1", float("nan"))],
        *[("size", 3), ("vocabulary", 64), ("steps", 2), ("packet_base", 0), ("max_pl", 0), ("ffn", -1)],
        *[("arch", ["llama"]), ("arch", "mamba"), ("a\nb", 1)],
    ],
)
def test_sizes_that_no_model_has(run: Path, name: str, value: object) -> None:
    change(run, ("model", name), value)
    with pytest.raises(EdgegenError, match=SENTENCE):
        checkpoint.load(run)


def test_a_config_that_is_too_deep(run: Path) -> None:
    (run / checkpoint.CONFIG).write_text('{"model": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(EdgegenError, match=SENTENCE):
        checkpoint.read_config(run)


LEAVES = st.none() | st.booleans() | st.integers() | st.integers(-2, 200) | st.floats() | st.text()
ANYTHING = st.recursive(LEAVES, lambda some: st.lists(some) | st.dictionaries(st.text(), some))
PLACES = [("model",), ("codec",), *(("codec", name) for name in CODEC.to_json())]
PLACES += [("model", name) for name in models.configure("llama", "tiny", CODEC).to_json()]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_a_config_says_it_loads_or_is_refused(run: Path, place: tuple[str, ...], value: object) -> None:
    whole = (run / checkpoint.CONFIG).read_bytes()
    change(run, place, value)
    said = None
    try:
        model, codec, _ = checkpoint.load(run)
        label = torch.tensor([codec.label_base])
        model.step(label, torch.zeros(1, dtype=torch.int64), *model.initial_state(1))
    except EdgegenError as error:
        said = str(error)
    assert said is None or re.fullmatch(SENTENCE, said)
    (run / checkpoint.CONFIG).write_bytes(whole)


def test_last_brings_back_weights_optimiser_and_progress(tmp_path: Path, model: Generator) -> None:
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
    optimiser.step()
    assert checkpoint.read_progress(tmp_path) is None
    checkpoint.save_last(tmp_path, model, [optimiser], {"history": [1.5]})
    other = models.create(model.config)
    other_optimiser = torch.optim.AdamW(other.parameters())
    checkpoint.load_last(tmp_path, other, [other_optimiser])
    assert checkpoint.read_progress(tmp_path) == {"history": [1.5]}
    for left, right in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)
        assert torch.equal(optimiser.state[left]["exp_avg_sq"], other_optimiser.state[right]["exp_avg_sq"])
    (tmp_path / checkpoint.LAST).write_bytes(b"\xff" * 64)
    with pytest.raises(EdgegenError, match="is damaged"):
        checkpoint.read_progress(tmp_path)
    with pytest.raises(EdgegenError, match="is damaged"):
        checkpoint.load_last(tmp_path, other, [other_optimiser])


def test_a_full_disk_leaves_the_old_weights(run: Path, model: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / checkpoint.MODEL).read_bytes()

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(EdgegenError, match=r"cannot write .*model.safetensors \(No space left on device\): free"):
        checkpoint.save(run, model)
    assert (run / checkpoint.MODEL).read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == [checkpoint.CONFIG, checkpoint.MODEL]
