import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("torch", "train", "demo"),
        ("safetensors", "train", "demo"),
        # A signature that cannot be checked is no good signature.
        ("cryptography", "trust", "generate lab.edgegen -n 1 --require-signature lab.pub"),
    ],
)
def test_a_missing_extra_is_one_sentence_with_the_command(package: str, extra: str, command: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = {['edgegen', *command.split()]!r}\n"
        "from edgegen.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (f"edgegen: this needs {package}, which is not installed: pip install 'edgegen[{extra}]'\n")


def test_another_missing_module_is_not_taken_for_an_extra() -> None:
    code = (
        "import sys; sys.modules['edgegen.demo'] = None; sys.argv = ['edgegen', 'demo']\n"
        "from edgegen.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr
