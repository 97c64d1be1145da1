"""A diffusion that learns from another to go in fewer refinements."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edgegen import checkpoint
from edgegen.cli import app
from edgegen.codec import Codec
from edgegen.distill import Distillation, draw
from edgegen.errors import UsageError
from edgegen.export import export
from edgegen.flow import Flow
from edgegen.models.diffusion import Diffusion, noise
from edgegen.models.stepper import TorchStepper
from edgegen.readers import read_flows
from edgegen.sequences import PAD, encode
from edgegen.split import split
from edgegen.train import train
from edgegen.writers import write_flows


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packets of a flow are alike: in one step from noise, nothing says to one packet what the others are."""
    path = tmp_path_factory.mktemp("flows") / "small.jsonl"
    sizes = [(label, 100 * ((i + shift) % 8)) for i in range(100) for shift, label in enumerate(("dns", "web"))]
    flows = [
        Flow(label, [size] * 3, [0, 1, 0], [0.0] * 3, session=f"s{i // 20}") for i, (label, size) in enumerate(sizes)
    ]
    write_flows(flows, path)
    return path


def short(flows: Path, run: Path, **options: object) -> Path:
    usual: dict[str, object] = {"size": "tiny", "max_packets": 4, "times": False, "threads": 1}
    return train(flows, run, "diffusion", **usual | options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def teacher(flows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short(flows, tmp_path_factory.mktemp("teacher") / "run", epochs=90)


@pytest.fixture(scope="module")
def student(flows: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short(flows, tmp_path_factory.mktemp("student") / "run", epochs=20, distill=teacher, refinements=1)


def diffusion(run: Path) -> tuple[Diffusion, Codec]:
    model, codec, _ = checkpoint.load(run)
    assert isinstance(model, Diffusion)
    return model, codec


def test_a_student_makes_in_one_refinement_what_its_teacher_makes(
    student: Path, teacher: Path, flows: Path, tmp_path: Path
) -> None:
    model, codec = diffusion(student)
    assert (model.refinements, model.config.distilled) == (1, True)
    assert codec == diffusion(teacher)[1]
    config = checkpoint.read_config(student)
    losses = [record["validation"] for record in config["history"]]
    distillation = Distillation(teacher)
    tokens = torch.tensor([[codec.label_base], [codec.label_base + 1]]).repeat(200, 1)
    beginner = distillation.student().eval()
    beginner.refine_in(1)
    with torch.no_grad():
        begun, learned = (distillation(each, codec, tokens, 0.0)[0].mean() for each in (beginner, model))
    assert learned < 0.9 * begun
    assert losses[-1] < losses[0]
    assert config["provenance"]["distill"] == "run"
    # A student is what its teacher is, and says what that one has seen.
    provenance, taught = config["provenance"], checkpoint.read_config(teacher)["provenance"]
    assert (provenance["size"], provenance["max_packets"], provenance["times"]) == ("tiny", 4, False)
    seen = ("sha256", "split", "hold_out", "source")
    assert [provenance["source"][name] for name in seen] == [taught[name] for name in seen]
    assert taught["source"] is None
    for other in ({"size": "base"}, {"max_packets": 9}, {"times": True}):
        with pytest.raises(UsageError, match="is tiny, of 4 packets without times, and so is what learns"):
            train(flows, tmp_path / "asked", "diffusion", distill=teacher, **other)


def test_teacher_and_student_know_what_is_common(teacher: Path, student: Path, flows: Path) -> None:
    model, codec = diffusion(teacher)
    tokens = encode(codec, split(read_flows(flows), 0).train)
    expected = tokens[tokens != PAD].bincount(minlength=model.config.vocabulary).float()
    for each in (model, diffusion(student)[0]):
        found = each.kinds.get_buffer("frequencies")
        assert torch.equal(found[: codec.label_base], expected[: codec.label_base])
        assert found[codec.mode_base :].sum() == len(tokens)


def test_the_same_losses_again_unless_it_trains(teacher: Path) -> None:
    distillation = Distillation(teacher)
    model, codec = distillation.student(), distillation.codec
    tokens = torch.full((5, 1), codec.label_base)
    evaluated = [distillation(model.eval(), codec, tokens, 0.0)[0] for _ in range(2)]
    assert torch.equal(*evaluated)
    assert not torch.equal(evaluated[0], distillation(model.train(), codec, tokens, 0.0)[0])


@torch.no_grad()
def test_the_path_that_is_learned_is_the_path_that_is_taken(student: Path) -> None:
    model, codec = diffusion(student)
    start = noise((3, codec.steps * model.config.code), torch.Generator().manual_seed(1))
    mode = torch.full((3,), codec.size - 1)
    vectors, _ = model.path(mode, start)
    expected = vectors @ model.table().T
    model.fold()
    stepper = TorchStepper(model, 3)
    stepper.start(start.numpy())
    for position in range(model.refinements):
        logits = stepper.step(mode.numpy().astype(np.int32), np.full(3, position, np.int32))
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_is_drawn_are_legal_flows(teacher: Path) -> None:
    model, codec = diffusion(teacher)
    label = torch.arange(2).repeat(50) + codec.label_base
    vectors = 5 * torch.randn(100, codec.steps, model.config.d, generator=torch.Generator().manual_seed(2))
    lengths = set()
    for row in draw(model, codec, label, vectors, torch.Generator().manual_seed(3)):
        sequence = row[row != PAD].tolist()
        assert sequence[-1] == codec.end
        assert row[len(sequence) :].tolist() == [PAD] * (codec.length - len(sequence))
        lengths.add(len(codec.decode(sequence)))
    assert lengths <= set(range(1, 5))
    assert len(lengths) > 1


def test_resumed_it_is_the_same(flows: Path, teacher: Path, student: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgegen.trainer.Trainer.over", lambda trainer: len(trainer.history) == 2)
        short(flows, run, epochs=20, distill=teacher, refinements=1)
    short(flows, run, epochs=20, distill=teacher, refinements=1, resume=True)
    ours, theirs = (checkpoint.load_file(folder / checkpoint.MODEL) for folder in (run, student))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_number_of_refinements(flows: Path, teacher: Path, student: Path, tmp_path: Path) -> None:
    two, _ = diffusion(short(flows, tmp_path / "two", epochs=1, distill=teacher))
    assert (two.refinements, two.config.distilled) == (2, True)
    four, _ = diffusion(short(flows, tmp_path / "four", epochs=1, refinements=4))
    assert (four.refinements, four.config.distilled) == (4, False)
    with pytest.raises(UsageError, match="distilled to 1 refinements"):
        export(student, tmp_path / "x.edgegen", refinements=8)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--arch", "llama", "--refinements", "4"], "token by token"),
        (["--arch", "llama", "--distill", "RUN"], "--distill is for --arch diffusion"),
        (["--arch", "diffusion", "--distill", "RUN", "--init", "RUN"], "--init is for llama and mamba"),
        (["--arch", "diffusion", "--distill", "LLAMA"], "only a diffusion can be distilled"),
        (["--arch", "diffusion", "--refinements", "65"], "outside 1..64"),
    ],
)
def test_wrong_usage(flags: list[str], sentence: str, flows: Path, teacher: Path, tmp_path: Path) -> None:
    from edgegen.datasets import edgelab_llama

    places = {"RUN": str(teacher), "LLAMA": str(edgelab_llama())}
    command = ["train", str(flows), "-o", str(tmp_path / "run"), *(places.get(flag, flag) for flag in flags)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, UsageError)
    assert sentence in str(result.exception)
    assert not (tmp_path / "run").exists()
