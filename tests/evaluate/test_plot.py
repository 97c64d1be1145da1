import random
import struct
from pathlib import Path

import pytest

from edgegen.errors import EdgegenError
from edgegen.evaluate import figures
from edgegen.evaluate.plot import plot_comparison
from edgegen.flow import Flow

pytest.importorskip("matplotlib")


def flows(labels: list[str]) -> list[Flow]:
    rng = random.Random(5)
    lengths = [rng.randint(1, 1_400) for _ in range(8)]
    return [Flow(label, lengths, [0, 1] * 4, [0.0, 0.0, 1e-5, 0.1, 1.0, 0.2, 0.3, 0.4]) for label in labels] * 5


@pytest.mark.parametrize("count", [1, 4])
def test_the_picture_is_a_png_with_a_panel_for_each_label(tmp_path: Path, count: int) -> None:
    names = [f"label {i}" for i in range(count)]
    picture = tmp_path / "comparison.png"
    plot_comparison(flows(names), flows(names), picture)
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack_from(">II", data, 16)
    # Three labels to a row, 5.2 inches each at 130 dots an inch.
    assert width == int(5.2 * 130 * min(3, count))
    assert height > 130 * 2 * -(-count // 3)


def test_flows_of_one_packet_can_be_drawn(tmp_path: Path) -> None:
    lone = [Flow("ntp", [48], [0], [0.0])]
    plot_comparison(lone, lone, tmp_path / "lone.png")
    assert (tmp_path / "lone.png").exists()


def test_dollars_in_a_name_are_dollars(tmp_path: Path) -> None:
    names = ["cost$_$x", "a$"]
    plot_comparison(flows(names), flows(names), tmp_path / "names.png")
    shown = figures.confusion({"confusion": [[1.0, 0.0], [0.0, 1.0]]}, names)
    assert "cost$_$x" in shown


def test_nothing_in_common_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EdgegenError, match="no label in common"):
        plot_comparison(flows(["a"]), flows(["b"]), tmp_path / "none.png")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EdgegenError, match="cannot write"):
        plot_comparison(flows(["a"]), flows(["a"]), tmp_path / "absent" / "a.png")
