"""Where every tensor of a step lies in one instance's memory."""

from dataclasses import dataclass

from edgegen.export.lower import Program

ALIGNMENT = 64  # one cache line, one AVX-512 register


@dataclass(frozen=True)
class Plan:
    """offsets: tensor name -> bytes from the start of an instance's memory; total: bytes of one instance."""

    offsets: dict[str, int]
    total: int


def aligned(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def plan(program: Program) -> Plan:
    """Inputs, states and logits keep a place of their own; scratch tensors are packed first-fit by lifetime."""
    offsets: dict[str, int] = {}
    end = 0
    for tensor in (*program.inputs, program.logits):
        offsets[tensor.name] = end
        end += aligned(tensor.bytes)
    scratch, size = _pack(program)
    offsets |= {name: end + offset for name, offset in scratch.items()}
    return Plan(offsets, end + size)


def _pack(program: Program) -> tuple[dict[str, int], int]:
    last_use = {t.name: i for i, call in enumerate(program.calls) for t in (*call.reads, *call.writes)}
    live: list[tuple[int, int, int]] = []  # (offset, end, last use), by offset
    offsets: dict[str, int] = {}
    size = 0
    for i, call in enumerate(program.calls):
        live = [place for place in live if place[2] >= i]
        for tensor in call.writes:
            if tensor.kind != "scratch":
                continue
            need = aligned(tensor.bytes)
            offset = 0
            for start, stop, _ in live:
                if offset + need <= start:
                    break
                offset = max(offset, stop)
            offsets[tensor.name] = offset
            live = sorted([*live, (offset, offset + need, last_use[tensor.name])])
            size = max(size, offset + need)
    return offsets, size
