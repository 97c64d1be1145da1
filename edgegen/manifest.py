"""What a bundle says about itself: its manifest, as an object and as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from edgegen.codec import Codec

FORMAT = 1
AUTOREGRESSIVE, REFINEMENT = "autoregressive", "refinement"
INT8, FP32 = "int8", "fp32"
# precision -> the step graph that the engine of such a bundle computes
STEP_GRAPHS = {INT8: "model.int8.onnx", FP32: "model.onnx"}


@dataclass(frozen=True)
class Target:
    """The compiled engine for one processor family.

    executable, library: names inside the bundle
    widths:   compiled batch widths, rising
    variants: kernel variants, the one to run being chosen at start
    """

    executable: str
    library: str
    widths: tuple[int, ...]
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Golden:
    """Flows first .. first + count - 1 under `seed`, and their sha256 by engine."""

    seed: int
    first: int
    count: int
    sha256: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    kind:    architecture of the model, e.g. "llama"
    loop:    how flows come out of it: "autoregressive", a token a step, or "refinement", all of a flow in some steps
    model:   sizes, for people: parameters, layers, ...; the precision; and refinements, where the loop is one of them
    targets: by target name, as `edgegen export --target` spells it
    provenance: where the model comes from: run, training data, versions
    """

    kind: str
    codec: Codec
    golden: Golden
    targets: dict[str, Target]
    model: dict[str, Any]
    provenance: dict[str, Any]
    loop: str = AUTOREGRESSIVE

    @property
    def refinements(self) -> int:
        """Steps that make a whole flow; 0 where each makes one token."""
        return int(self.model["refinements"]) if self.loop == REFINEMENT else 0

    @property
    def precision(self) -> str:
        """INT8 or FP32; a bundle that does not say is int8."""
        precision: str = self.model.get("precision", INT8)
        return precision

    @property
    def step_graph(self) -> str:
        """The name of the step graph that the engine computes."""
        return STEP_GRAPHS[self.precision]

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "codec": self.codec.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Manifest":
        """The manifest that `to_json` wrote; KeyError, TypeError or ValueError where `data` is not one."""
        for name, kind in (("kind", str), ("targets", dict), ("model", dict), ("provenance", dict), ("golden", dict)):
            _expect(isinstance(data[name], kind), name)
        _expect(isinstance(data["provenance"].get("training", {}), dict), "provenance.training")
        targets = {name: _target(name, target) for name, target in data["targets"].items()}
        made = cls(
            data["kind"],
            Codec.from_json(data["codec"]),
            _golden(data["golden"]),
            targets,
            data["model"],
            data["provenance"],
            data["loop"],
        )
        # Asked as values of a tuple: a list has no hash.
        if made.precision not in tuple(STEP_GRAPHS):
            raise KeyError("precision")
        if made.loop == REFINEMENT:
            _expect(_is_whole(made.model["refinements"], 1), "refinements")
        return made


def _target(name: str, data: dict[str, Any]) -> Target:
    widths, variants = data["widths"], data["variants"]
    _expect(isinstance(widths, list) and all(_is_whole(width, 1) for width in widths), f"widths of {name!r}")
    _expect(isinstance(variants, list) and all(isinstance(v, str) for v in variants), f"variants of {name!r}")
    return Target(str(data["executable"]), str(data["library"]), tuple(widths), tuple(variants))


def _golden(data: dict[str, Any]) -> Golden:
    seed, first, count, digests = (data[name] for name in ("seed", "first", "count", "sha256"))
    _expect(all(_is_whole(number) for number in (seed, first, count)), "numbers of golden flows")
    strings = isinstance(digests, dict) and all(isinstance(digest, str) for digest in digests.values())
    _expect(strings, "sha256 of golden flows")
    return Golden(seed, first, count, digests)


def _is_whole(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < 2**64


def _expect(holds: bool, what: str) -> None:
    """ValueError that names what is not as it should be."""
    if not holds:
        raise ValueError(f"{what} of the right kind")
