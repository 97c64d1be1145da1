"""The training loop on small synthetic flows: it learns, it repeats, it goes on after a kill, it refuses."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from edgegen import checkpoint
from edgegen.cli import app
from edgegen.codec import MOST_PACKETS
from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate.command import run_augment
from edgegen.flow import Flow
from edgegen.kernels import native
from edgegen.likelihood import nats_per_token
from edgegen.models.adapt import learn_labels
from edgegen.readers import read_flows
from edgegen.resume import held
from edgegen.split import split
from edgegen.train import train
from edgegen.trainer import ADAPTED, FRESH, RECIPES, REFINED, Schedule

EPOCHS = 8


def test_the_help_names_the_epochs_of_the_recipes() -> None:
    said = " ".join(CliRunner().invoke(app, ["train", "--help"]).output.split())
    mamba, diffusion = RECIPES["mamba"], RECIPES["diffusion"]
    assert FRESH.epochs == mamba.epochs
    assert f"none: {FRESH.epochs}, of few flows {FRESH.few_epochs}, Mamba {mamba.few_epochs}; " in said
    assert f"diffusion {diffusion.epochs} or {diffusion.few_epochs}." in said


def write_flows(path: Path, labels: tuple[str, ...] = ("dns", "web"), count: int = 600) -> Path:
    """A table of flows with sizes and times that a model can learn."""
    draw = random.Random(0)
    with path.open("w") as file:
        for i in range(count):
            label = labels[i % len(labels)]
            size = 40 + 100 * (i % len(labels))
            n = draw.randint(2, 4)
            pl = [size + draw.randint(0, 3) for _ in range(n)]
            iat = [0.0] + [draw.choice((0.001, 0.1)) for _ in range(n - 1)]
            flow = Flow(label, pl, [k % 2 for k in range(n)], iat, session=f"s{i // 6}")
            file.write(json.dumps(flow.record()) + "\n")
    return path


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flows(tmp_path_factory.mktemp("flows") / "small.jsonl")


def short(flows: Path, run: Path, arch: str = "llama", epochs: int = EPOCHS, **options: object) -> Path:
    return train(flows, run, arch, "tiny", epochs=epochs, max_packets=4, threads=1, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(flows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short(flows, tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("arch", ["llama", "mamba", "diffusion"])
def test_it_learns(arch: str, flows: Path, tmp_path: Path) -> None:
    run = short(flows, tmp_path / "run", arch)
    model, codec, config = checkpoint.load(run)
    losses = [record["validation"] for record in config["history"]]
    assert len(losses) == EPOCHS
    assert losses[-1] < losses[0] - 1
    assert config["best"]["validation"] == min(losses)
    assert [label.name for label in codec.labels] == ["dns", "web"]
    assert config["provenance"]["data"] == "small.jsonl"
    assert config["provenance"]["split"]["train"] + config["provenance"]["split"]["test"] < 600
    assert str(tmp_path) not in json.dumps(config)
    assert model.config.arch == arch


def test_it_says_how_far_it_is(flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("edgegen.train.PAUSE", 1e9)
    config = checkpoint.read_config(short(flows, tmp_path / "quick", epochs=3, say=said.append))
    last = config["history"][-1]
    losses = f"loss {last['training']:.4f}, held out {last['validation']:.4f}, kept"
    assert said == [f"epoch 3 of 3: {losses}; {last['seconds']:.0f} s"], "before a pause is over no more than the last"
    monkeypatch.setattr("edgegen.train.PAUSE", 0.0)
    said.clear()
    short(flows, tmp_path / "all", epochs=2, hold_out=False, say=said.append)
    assert [re.sub(r"\d+\.\d+|\d+ s", "_", line) for line in said] == [f"epoch {n} of 2: loss _; _" for n in (1, 2)]


def test_a_flow_like_no_other_is_learned_once(flows: Path, tmp_path: Path) -> None:
    own = Flow("web", [7 * i * i + 100 for i in range(8)], [k % 2 for k in range(8)], [0.0] * 8)
    table = tmp_path / "more.jsonl"
    lines = [json.dumps(Flow(**own.record(), session=f"own{i}").record()) + "\n" for i in range(40)]
    table.write_text(flows.read_text() + "".join(lines))
    said: list[str] = []
    run = train(table, tmp_path / "run", "llama", "tiny", epochs=1, threads=1, say=said.append)
    repeats = checkpoint.read_config(run)["provenance"]["repeats_left_out"]
    assert repeats == sum(flow.pl == own.pl for flow in split(read_flows(table)).train) - 1
    assert repeats > 20
    assert said[0] == f"{repeats} flows repeat others that nothing else is like: each is learned once"
    for other in (
        train(table, tmp_path / "all", "llama", "tiny", epochs=1, threads=1, keep_repeats=True),
        short(flows, tmp_path / "none", epochs=1),
    ):
        assert checkpoint.read_config(other)["provenance"]["repeats_left_out"] == 0


def test_resumed_after_a_kill_the_weights_are_the_same(flows: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    program = (
        "import sys; from pathlib import Path; from edgegen.train import train; "
        f"train(Path(sys.argv[1]), Path(sys.argv[2]), 'llama', 'tiny', epochs={EPOCHS}, max_packets=4, threads=1)"
    )
    child = subprocess.Popen([sys.executable, "-P", "-c", program, str(flows), str(run)])
    while child.poll() is None and not (run / checkpoint.LAST).exists():
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    progress = checkpoint.read_progress(run)
    assert progress is not None
    assert 1 <= len(progress["history"]) < EPOCHS, "the kill came too late to test anything"
    short(flows, run, resume=True)
    for name in (checkpoint.MODEL, checkpoint.LAST):
        ours, theirs = (checkpoint.load_file(folder / name) for folder in (run, whole))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    histories = [checkpoint.read_config(folder)["history"] for folder in (run, whole)]
    assert [r["validation"] for r in histories[0]] == [r["validation"] for r in histories[1]]


def test_damaged_weights_of_a_finished_run_are_mended_or_named(
    flows: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    good = (run / checkpoint.MODEL).read_bytes()
    progress = checkpoint.read_progress(run)
    assert progress is not None
    assert progress["best"]["epoch"] == EPOCHS
    for damage in (b"", good[:1000]):
        (run / checkpoint.MODEL).write_bytes(damage)
        short(flows, run, resume=True)
        assert (run / checkpoint.MODEL).read_bytes() == good
    # The best epoch was an earlier one: its weights were nowhere else.
    monkeypatch.setattr(checkpoint, "read_progress", lambda run: progress | {"best": progress["history"][0]})
    (run / checkpoint.MODEL).unlink()
    with pytest.raises(EdgegenError, match="has lost the weights of its best epoch"):
        short(flows, run, resume=True)


def test_a_resumed_diffusion_knows_the_modes_of_its_labels(
    flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole = tmp_path / "run", short(flows, tmp_path / "whole", "diffusion", epochs=3)
    with monkeypatch.context() as patch:
        patch.setattr("edgegen.trainer.Trainer.over", lambda trainer: len(trainer.history) == 1)
        short(flows, run, "diffusion", epochs=3)
    short(flows, run, "diffusion", epochs=3, resume=True)
    (ours, codec, _), (theirs, known, _) = map(checkpoint.load, (run, whole))
    assert codec == known
    assert all(sum(label.modes) > 0 for label in codec.labels)
    others = theirs.state_dict()
    assert all(torch.equal(tensor, others[name]) for name, tensor in ours.state_dict().items())

    config = checkpoint.read_config(run)
    config["codec"]["labels"][0]["modes"][0] += 1
    checkpoint.save_config(run, config)
    with pytest.raises(EdgegenError, match="in another way than is found now"):
        short(flows, run, "diffusion", epochs=3, resume=True)


def test_a_kill_after_the_last_epoch_leaves_a_run_that_ends_well(
    flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file of the epoch was written last."""

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    for name in ("save", "save_config", "save_last"):
        run = tmp_path / name
        with monkeypatch.context() as broken:
            broken.setattr(checkpoint, name, killed)
            with pytest.raises(KeyboardInterrupt):
                train(flows, run, "llama", "tiny", epochs=1, max_packets=4, threads=1)
        train(flows, run, "llama", "tiny", epochs=1, max_packets=4, threads=1, resume=True)
        assert len(checkpoint.load(run)[2]["history"]) == 1


def test_resuming_a_finished_run_changes_nothing(flows: Path, whole: Path) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    short(flows, whole, resume=True)
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


def test_a_run_is_not_overwritten(flows: Path, whole: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        short(flows, whole)
    with pytest.raises(UsageError, match=r"other settings \(seed\)"):
        short(flows, whole, resume=True, seed=1)


@pytest.mark.parametrize("kept", [(checkpoint.CONFIG, checkpoint.MODEL), (checkpoint.CONFIG,), (checkpoint.MODEL,)])
def test_a_run_whose_state_is_lost_is_not_overwritten(
    flows: Path, whole: Path, tmp_path: Path, kept: tuple[str, ...]
) -> None:
    for name in kept:
        shutil.copy(whole / name, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match="already holds a run"):
        short(flows, tmp_path)
    if checkpoint.CONFIG in kept:
        with pytest.raises(UsageError, match=r"the last.safetensors .* is missing: choose another folder$"):
            short(flows, tmp_path, resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_after_a_kill_in_the_first_epoch_the_settings_are_the_same(
    flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(checkpoint, "save_last", killed)
        with pytest.raises(KeyboardInterrupt):
            short(flows, tmp_path)
    with pytest.raises(UsageError, match=r"other settings \(seed\)"):
        short(flows, tmp_path, resume=True, seed=1)


def test_two_trainings_do_not_share_a_folder(flows: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with held(run):
        with pytest.raises(EdgegenError, match=r"another process is training .*/run: wait for it, or choose another"):
            short(flows, run)
        with pytest.raises(EdgegenError, match="another process"):
            short(flows, run, resume=True)
    assert not run.exists()
    run.mkdir()
    with held(run):
        pass
    assert run.exists()


@pytest.mark.parametrize(("flag", "most"), [("--threads", 256), ("--max-packets", MOST_PACKETS)])
def test_more_than_a_machine_can_take_is_a_wrong_usage(flows: Path, tmp_path: Path, flag: str, most: int) -> None:
    words = ["train", str(flows), "--arch", "llama", "-o", str(tmp_path / "run"), flag, str(most + 1)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert f"'{flag}'" in done.output
    assert str(most) in done.output
    assert not (tmp_path / "run").exists()


def test_starting_from_a_run_keeps_what_it_knows(whole: Path, tmp_path: Path) -> None:
    other = write_flows(tmp_path / "other.jsonl", ("dns", "ntp", "web"))
    run = short(other, tmp_path / "run", epochs=1, init=whole)
    fresh = short(other, tmp_path / "fresh", epochs=1)
    adapted, started = (checkpoint.read_config(folder)["best"]["validation"] for folder in (run, fresh))
    assert adapted < started - 1
    with pytest.raises(UsageError, match="train with --max-packets 4 --iat"):
        short(other, tmp_path / "no", init=whole, times=False)
    with pytest.raises(UsageError, match="train with --arch llama --size tiny"):
        short(other, tmp_path / "no", "mamba", init=whole)


def test_a_handful_of_flows_is_enough_to_adapt(whole: Path, tmp_path: Path) -> None:
    few = write_flows(tmp_path / "few.jsonl", ("ntp", "web"), count=10)
    run = short(few, tmp_path / "run", epochs=3, init=whole, hold_out=False)
    model, codec, config = checkpoint.load(run)
    assert config["provenance"]["split"] | {"seed": None, "train": 10} == config["provenance"]["split"]
    parts = split(read_flows(write_flows(tmp_path / "more.jsonl", ("ntp", "web"), count=600)))
    fresh, own, _ = checkpoint.load(short(few, tmp_path / "fresh", epochs=3, hold_out=False))
    adapted, alone = (nats_per_token(*which, parts.test).per_token for which in ((model, codec), (fresh, own)))
    assert adapted < alone - 1


def test_learning_labels_changes_their_rows_alone(whole: Path, flows: Path) -> None:
    model, codec, _ = checkpoint.load(whole)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    learn_labels(model, codec, read_flows(flows)[:20], ["web"], 0)
    after = model.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["tokens"]
    changed = (before["tokens"] != after["tokens"]).any(1).nonzero().flatten().tolist()
    assert changed == [codec.label_token("web")]
    assert model.tokens.grad is None


def test_many_flows_are_trained_on_for_longer() -> None:
    assert [FRESH.epochs_of(flows) for flows in (100, 9_999, 10_000)] == [10, 10, 12]
    assert [RECIPES["mamba"].epochs_of(flows) for flows in (9_999, 10_000)] == [8, 12]
    assert ADAPTED.epochs_of(100) == ADAPTED.epochs_of(10**6) == 8
    assert [REFINED.epochs_of(flows) for flows in (9_999, 10_000)] == [40, 120]


def test_without_times(flows: Path, tmp_path: Path) -> None:
    _, codec, _ = checkpoint.load(short(flows, tmp_path / "run", epochs=1, times=False))
    assert not codec.has_iat


def test_minutes_end_a_run(flows: Path, tmp_path: Path) -> None:
    run = train(flows, tmp_path / "run", "llama", "tiny", minutes=0.02, threads=1)
    history = checkpoint.read_config(run)["history"]
    assert sum(record["seconds"] for record in history[:-1]) < 1.2


def test_too_few_flows(tmp_path: Path) -> None:
    few = write_flows(tmp_path / "few.jsonl", count=2)
    with pytest.raises(EdgegenError, match="too few flows"):
        short(few, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_changed_copies_are_not_held_out(flows: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    run_augment(flows, None, "edit", None, 0.1, 0, more)
    with pytest.raises(EdgegenError, match=r"generated flows \(column synthetic\): give the real ones, or --no-hold"):
        short(more, tmp_path / "run")
    assert short(more, tmp_path / "run", epochs=1, hold_out=False).is_dir()


def test_a_folder_that_cannot_be_made(flows: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgegenError, match="cannot make the folder"):
        short(flows, tmp_path / "file")


def test_schedule_warms_up_and_falls_to_nothing() -> None:
    schedule = Schedule(FRESH.learning_rate, epochs=10, minutes=None, steps_per_epoch=100)
    rates = [schedule.learning_rate(schedule.progress(step, 0.0)) for step in range(1000)]
    assert rates[1] < FRESH.learning_rate / 10
    assert FRESH.learning_rate * 0.95 < max(rates) <= FRESH.learning_rate
    assert rates[-1] < FRESH.learning_rate / 1000
    assert schedule.progress(1000, 0.0) == 1.0
    assert Schedule(1.0, epochs=10, minutes=2, steps_per_epoch=100).progress(100, 60) == 0.5


def test_verb(flows: Path, tmp_path: Path) -> None:
    words = ["train", str(flows), "--arch", "llama", "--size", "tiny", "--epochs", "1", "--threads", "1"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "nats a token on held-out flows (epoch 1 of 1)" in done.stdout


def test_a_mamba_without_a_compiler_says_so(
    flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native, "compiled", lambda: "no C compiler was found: install gcc")
    run = short(flows, tmp_path / "run", "mamba", epochs=1)
    said = capsys.readouterr().err
    assert said.startswith("edgegen: mamba trains several times slower, since no C compiler was found: install gcc")
    _, _, config = checkpoint.load(run)
    assert config["provenance"]["kernels"] == "torch"
