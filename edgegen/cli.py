"""The command line: its verbs, and how one ends badly."""

import os
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from edgegen.errors import EdgegenError, UsageError
from edgegen.signals import ENDING
from edgegen.streams import open_streams
from edgegen.verbs import data, device, workshop

# Which extra brings a package of the workshop, for who has only the device side.
EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "tvm": "export",
    "tvm_ffi": "export",
    "ziglang": "export",
    "matplotlib": "eval",
    "imblearn": "eval",
    "ctgan": "ctgan",
    "pandas": "ctgan",
    "scipy": "eval",
    "sklearn": "eval",
    "pyarrow": "data",
    "prometheus_client": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "cryptography": "trust",
}

READER_GONE = 141

# How often a thread of OpenMP looks whether the others are ready before it sleeps, where torch brings GNU's. That looks
# 300,000 times: beside two other jobs on two cores a short training then took 150 to 180 s, and so 70. On an idle
# machine no difference stood out of a noise of 20 %; with 1,000 it would be 34 s, but 25 % more on an idle machine.
SPINS = "10000"


class _ReaderGone(BaseException):
    """Whoever reads standard output has gone (`| head`, a closed connection)."""


class _Verbs(TyperGroup):
    """Keeps a broken pipe from typer, which makes exit status 1 of it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _ReaderGone from error


app = typer.Typer(
    name="edgegen",
    cls=_Verbs,
    help="Learn small generators of network traffic, compile them, and run them on a gateway.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help=data.__doc__, no_args_is_help=True)
data_app.command("import")(data.data_import)
data_app.command("info")(data.data_info)
data_app.command("pick")(data.data_pick)
app.add_typer(data_app, name="data")
# In the order of --help.
for verb in (
    workshop.train,
    workshop.export,
    workshop.package,
    workshop.keygen,
    workshop.sign,
    device.generate,
    workshop.evaluate,
    workshop.augment,
    device.bench,
    device.verify,
    device.devices,
    device.replay,
    device.serve,
    device.pipe,
    workshop.demo,
):
    app.command()(verb)


class _Signal(BaseException):
    """A signal that asks the process to end; what is half written is cleaned up on the way out.

    No KeyboardInterrupt, which typer makes an exit status of its own from.
    """

    def __init__(self, number: int) -> None:
        self.number = number


def _end(number: int, frame: object) -> None:
    raise _Signal(number)


def main() -> None:
    """Run a verb; an error is one sentence on stderr and exit status 1 (the job) or 2 (its usage)."""
    for number in ENDING:
        # What whoever started us wants ignored (nohup) stays so.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    open_streams()
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except UsageError as error:
        print(f"edgegen: {error}", file=sys.stderr)
        sys.exit(2)
    except EdgegenError as error:
        print(f"edgegen: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        if extra is None:
            raise
        needed = f"this needs {package}, which is not installed: pip install 'edgegen[{extra}]'"
        print(f"edgegen: {needed}", file=sys.stderr)
        sys.exit(1)
    except _Signal as error:
        print(f"edgegen: interrupted by signal {error.number}", file=sys.stderr)
        sys.exit(128 + error.number)
    except (_ReaderGone, BrokenPipeError, ConnectionResetError):
        _end_at_once(READER_GONE)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        # Most files have sentences of their own; standard output has no name.
        what = f"write standard output ({reason}): free space or choose another place"
        if error.filename is not None:
            name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
            what = f"read or write {name} ({reason}): check the path, its permissions and the free space"
        print(f"edgegen: cannot {what}", file=sys.stderr)
        _end_at_once(1)


def _end_at_once(status: int) -> None:
    """Without what Python does at the end: what is still in a buffer would be written again, and fail again."""
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
