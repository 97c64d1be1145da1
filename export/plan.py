"""Where every tensor of a step lies in one instance's memory."""

from dataclasses import dataclass

from edgegen.export.lower import Program, Tensor

ALIGNMENT = 64  # one cache line, one AVX-512 register


@dataclass(frozen=True)
class Plan:
    """Byte offsets from the start of an instance's memory.

    offsets: name of every input, output and scratch tensor -> offset; of a state the offset is within the block
             that holds all states, of which an instance has two and swaps them after each step
    state_bytes: size of that block
    first_state, second_state: where the two blocks start
    total: bytes of one instance
    """

    offsets: dict[str, int]
    state_bytes: int
    first_state: int
    second_state: int
    total: int


def aligned(size: int) -> int:
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def states_of(program: Program) -> list[tuple[Tensor, Tensor]]:
    """Each state before and after the step; the inputs are token, position, states; the outputs logits, states."""
    return list(zip(program.inputs[2:], program.outputs[1:], strict=True))


def plan(program: Program) -> Plan:
    """Packs scratch tensors first-fit by lifetime; states, inputs and logits keep a place of their own."""
    offsets: dict[str, int] = {}
    end = ALIGNMENT  # the instance's header: which state block is current
    for tensor in (*program.inputs[:2], program.outputs[0]):
        offsets[tensor.name] = end
        end += aligned(tensor.bytes)
    state_bytes = 0
    for before, after in states_of(program):
        offsets[before.name] = offsets[after.name] = state_bytes
        state_bytes += aligned(before.bytes)
    first = end
    second = first + state_bytes
    base = second + state_bytes
    scratch, size = _pack(program)
    offsets |= {name: base + offset for name, offset in scratch.items()}
    return Plan(offsets, state_bytes, first, second, base + size)


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
