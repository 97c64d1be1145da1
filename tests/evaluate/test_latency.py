import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgegen import models  # noqa: E402
from edgegen.codec import Codec, Label  # noqa: E402
from edgegen.evaluate.latency import _run, _same  # noqa: E402
from edgegen.models import Generator  # noqa: E402
from edgegen.models.stepper import TorchStepper  # noqa: E402
from edgegen.runtime.engine import StepperEngine, collect  # noqa: E402
from edgegen.runtime.request import Request  # noqa: E402

CODEC = Codec((Label("dns", 0.5, 17), Label("web", 0.5, 6)), max_packets=4)


@pytest.fixture(scope="module")
def model() -> Generator:
    torch.manual_seed(1)
    return models.create(models.configure("llama", "tiny", CODEC)).eval()


def test_the_stepper_gives_the_logits_of_the_whole_sequence(model: Generator) -> None:
    tokens = np.array([[CODEC.label_base, 100, 0, 200], [CODEC.label_base + 1, 300, 0, 400]], np.int32)
    stepper = TorchStepper(model, 2)
    with torch.no_grad():
        whole = model(torch.from_numpy(tokens).long()).numpy()
    for position in range(tokens.shape[1]):
        logits = stepper.step(tokens[:, position], np.full(2, position, np.int32))
        np.testing.assert_allclose(logits, whole[:, position], atol=1e-4)


def test_flows_made_one_at_a_time_are_those_of_one_call(model: Generator) -> None:
    engine = StepperEngine("pytorch", CODEC, TorchStepper(model, 1))
    median, made = _run(engine, CODEC, 3, seed=3)
    together = collect(engine, CODEC, Request(4, 3)).tokens
    assert median > 0.0
    assert len(made) == 3
    np.testing.assert_array_equal(np.concatenate([one.tokens for one in made]), together[1:])
    assert _same(made, made) == 1.0
    other = collect(engine, CODEC, Request(4, 4))
    assert _same(made, [type(other)(other.tokens[i : i + 1], other.places[i : i + 1]) for i in (1, 2, 3)]) < 1.0
