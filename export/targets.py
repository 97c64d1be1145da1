"""What edgegen compiles for: one static executable a target, holding one or more kernel variants.

A variant is a processor feature level; the first in `variants` that the processor has is chosen at start.
"""

from dataclasses import dataclass

from edgegen.errors import UsageError


@dataclass(frozen=True)
class Variant:
    """name: as reported by the engine; dot: its int8 products, a key of `tir.products.DOTS`; mcpu, mattr: LLVM's;
    probe: C expression that is true where the processor can run it.
    """

    name: str
    dot: str
    mcpu: str
    mattr: tuple[str, ...]
    probe: str


@dataclass(frozen=True)
class Target:
    """triple: LLVM's, for TVM; executable, library: zig's; host_cpu: zig's -mcpu for the sampler."""

    name: str
    triple: str
    executable: str
    library: str
    host_cpu: str
    variants: tuple[Variant, ...]
    float_abi: str | None = None


TARGETS = {
    target.name: target
    for target in (
        Target(
            "x86_64",
            "x86_64-linux-gnu",
            "x86_64-linux-musl",
            "x86_64-linux-gnu.2.17",
            "x86_64_v3",
            (
                Variant("avx512vnni", "vnni", "x86-64-v4", ("+avx512vnni",), "has_x86_64_v4_vnni()"),
                Variant("avx2", "avx2", "x86-64-v3", (), "has_x86_64_v3()"),
            ),
        ),
        Target(
            "aarch64",
            "aarch64-linux-gnu",
            "aarch64-linux-musl",
            "aarch64-linux-gnu.2.17",
            "cortex_a53",
            (
                Variant("dotprod", "sdot", "cortex-a72", ("+neon", "+dotprod"), "has_dotprod()"),
                Variant("neon", "smull", "cortex-a57", ("+neon",), "1"),
            ),
        ),
        Target(
            "armv7",
            "armv7a-linux-gnueabihf",
            "arm-linux-musleabihf",
            "arm-linux-gnueabihf.2.17",
            "cortex_a7",
            (Variant("neon", "vmull", "cortex-a12", ("+neon", "+vfp4"), "has_neon_vfpv4_idiva()"),),
            "hard",
        ),
    )
}


def find(names: list[str]) -> list[Target]:
    """The targets of that name; UsageError for an unknown one."""
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise UsageError(f"target {unknown[0]!r} is unknown; edgegen compiles for: {', '.join(TARGETS)}")
    return [TARGETS[name] for name in names]
