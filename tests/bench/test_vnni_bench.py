"""What the emulated machine says is read as it says it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = {8: "8" * 64, 108: "a" * 64}
SAID = (
    "avx512_vnni\r\n"
    f"run avx512vnni 8\r\n3.54 0.00\r\n{HERE[8]}  -\r\n3.55 0.00\r\n"
    f"run avx512vnni 108\r\n3.55 0.00\r\n{HERE[108]}  -\r\n4.56 0.00\r\n"
    f"run avx2 8\r\n4.56 0.00\r\n{HERE[8]}  -\r\n4.66 0.00\r\n"
    f"run avx2 108\r\n4.66 0.00\r\n{'b' * 64}  -\r\n6.76 0.00\r\n"
)


def test_flows_are_compared_and_instructions_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    import vnni

    found = vnni.compared(SAID, HERE)
    assert found["same_flows"] == {"avx512vnni": True, "avx2": False}
    assert found["instructions_a_flow"] == {
        "avx512vnni": round(1.0 * vnni.HERTZ / 100),
        "avx2": round(2.0 * vnni.HERTZ / 100),
    }
    assert len(vnni.RUN.findall(SAID[:-5])) == 3
