"""The selective scan on a GPU: Triton kernels, launched by gpu.py.

A row of the batch is one chunk of times, or where it is long several, each of which starts from a state of its own;
a program takes one chunk and a block of channels. `h` and the like are (rows, chunks, dim, state). Padding has a step
size of 0, which leaves the state as it is.
"""

import triton
import triton.language as tl

from edgegen.kernels.triton_maths import LOG2E, chain, end_of, sigmoid, silu_slope, softplus


@triton.jit
def scan_forward(  # type: ignore[no-untyped-def]
    u, delta, A, B, C, D, z, bias, start_states, lengths, y, end_states, steps,
    time, dim, state, chunk, chunks,
    u_row, u_dim, u_time, delta_row, delta_dim, delta_time, z_row, z_dim, z_time,
    B_row, B_state, B_time, C_row, C_state, C_time,
    SOFTPLUS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One time after the other, the states of a channel in the registers of one thread.

    A: (state, dim); y: (rows, time, dim); steps: (rows, chunks, dim), the sum of a chunk's step sizes.
    Without y only what a chunk does to a state is computed.
    """
    program = tl.program_id(0).to(tl.int64)
    row, part = program // chunks, (program % chunks).to(tl.int32)
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    n = tl.arange(0, STATE)
    inside = d < dim
    both = (n[:, None] < state) & inside[None, :]
    rates = tl.load(A + n[:, None] * dim + d[None, :], both, 0.0) * LOG2E
    at = (program * dim + d[None, :]) * state + n[:, None]
    h = tl.zeros((STATE, BLOCK), tl.float32)
    if start_states is not None:
        h = tl.load(start_states + at, both, 0.0)
    step_bias = tl.zeros((BLOCK,), tl.float32)
    if bias is not None:
        step_bias = tl.load(bias + d, inside, 0.0).to(tl.float32)
    skip = tl.zeros((BLOCK,), tl.float32)
    if D is not None:
        skip = tl.load(D + d, inside, 0.0).to(tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    begin = part * chunk
    stop = tl.minimum(begin + chunk, time)
    end = tl.minimum(stop, end_of(lengths, row, time))
    for t in range(begin, end):
        u_now = tl.load(u + row * u_row + d * u_dim + t * u_time, inside, 0.0).to(tl.float32)
        size = tl.load(delta + row * delta_row + d * delta_dim + t * delta_time, inside, 0.0).to(tl.float32)
        size += step_bias
        if SOFTPLUS:
            size = softplus(size)
        B_now = tl.load(B + row * B_row + n * B_state + t * B_time, n < state, 0.0).to(tl.float32)
        h = tl.exp2(rates * size[None, :]) * h + B_now[:, None] * (size * u_now)[None, :]
        if y is not None:
            C_now = tl.load(C + row * C_row + n * C_state + t * C_time, n < state, 0.0).to(tl.float32)
            out = tl.sum(h * C_now[:, None], 0) + skip * u_now
            if z is not None:
                gate = tl.load(z + row * z_row + d * z_dim + t * z_time, inside, 0.0).to(tl.float32)
                out *= gate * sigmoid(gate)
            tl.store(y + (row * time + t) * dim + d, out.to(y.dtype.element_ty), inside)
        total += size
    if y is not None:
        for t in range(tl.maximum(begin, end), stop):
            tl.store(y + (row * time + t) * dim + d, tl.zeros((BLOCK,), y.dtype.element_ty), inside)
    tl.store(end_states + at, h, both)
    if steps is not None:
        tl.store(steps + program * dim + d, total, inside)


@triton.jit
def scan_gradient_of_states(  # type: ignore[no-untyped-def]
    delta, A, C, z, bias, lengths, dy, gradients,
    time, dim, state, chunk, chunks,
    delta_row, delta_dim, delta_time, z_row, z_dim, z_time, C_row, C_state, C_time, dy_row, dy_dim, dy_time,
    SOFTPLUS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """What a chunk's own outputs give to the state it starts from, (rows, chunks, dim, state)."""
    program = tl.program_id(0).to(tl.int64)
    row, part = program // chunks, (program % chunks).to(tl.int32)
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    n = tl.arange(0, STATE)
    inside = d < dim
    both = (n[:, None] < state) & inside[None, :]
    rates = tl.load(A + n[:, None] * dim + d[None, :], both, 0.0) * LOG2E
    step_bias = tl.zeros((BLOCK,), tl.float32)
    if bias is not None:
        step_bias = tl.load(bias + d, inside, 0.0).to(tl.float32)
    g = tl.zeros((STATE, BLOCK), tl.float32)
    begin = part * chunk
    end = tl.minimum(tl.minimum(begin + chunk, time), end_of(lengths, row, time))
    for back in range(0, end - begin):
        t = end - 1 - back
        size = tl.load(delta + row * delta_row + d * delta_dim + t * delta_time, inside, 0.0).to(tl.float32)
        size += step_bias
        if SOFTPLUS:
            size = softplus(size)
        C_now = tl.load(C + row * C_row + n * C_state + t * C_time, n < state, 0.0).to(tl.float32)
        dy_now = tl.load(dy + row * dy_row + d * dy_dim + t * dy_time, inside, 0.0).to(tl.float32)
        if z is not None:
            gate = tl.load(z + row * z_row + d * z_dim + t * z_time, inside, 0.0).to(tl.float32)
            dy_now *= gate * sigmoid(gate)
        g = (g + C_now[:, None] * dy_now[None, :]) * tl.exp2(rates * size[None, :])
    tl.store(gradients + (program * dim + d[None, :]) * state + n[:, None], g, both)


@triton.jit
def scan_join(  # type: ignore[no-untyped-def]
    A, steps, of_chunks, first, entering, final,
    dim, state, chunks,
    BACKWARDS: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """From what each chunk makes of zeros to what it is to start from: of_chunks, entering (rows, chunks, dim, state).

    first: (rows, dim, state), what the first chunk starts from; BACKWARDS: the last is the first
    final: (rows, dim, state), what leaves the last one
    """
    row = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    n = tl.arange(0, STATE)
    inside = d < dim
    both = (n[:, None] < state) & inside[None, :]
    rates = tl.load(A + n[:, None] * dim + d[None, :], both, 0.0) * LOG2E
    place = d[None, :] * state + n[:, None]
    x = tl.zeros((STATE, BLOCK), tl.float32)
    if first is not None:
        x = tl.load(first + row * dim * state + place, both, 0.0)
    for i in range(0, chunks):
        part = row * chunks + i
        if BACKWARDS:
            part = row * chunks + chunks - 1 - i
        tl.store(entering + part * dim * state + place, x, both)
        total = tl.load(steps + part * dim + d, inside, 0.0)
        x = tl.exp2(rates * total[None, :]) * x + tl.load(of_chunks + part * dim * state + place, both, 0.0)
    tl.store(final + row * dim * state + place, x, both)


@triton.jit
def step_sizes(delta, at, there, bias, SOFTPLUS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Step sizes, 0 where nothing is there, and what softplus is taken of."""
    raw = tl.load(delta + at, there, 0.0).to(tl.float32) + bias
    size = raw
    if SOFTPLUS:
        size = softplus(raw)
    return tl.where(there, size, 0.0), raw


@triton.jit
def scan_backward(  # type: ignore[no-untyped-def]
    u, delta, A, B, C, D, z, bias, start_states, lengths, dy, end_gradients,
    du, ddelta, dz, dA, dB, dC, dD, dbias, dstart,
    time, dim, state, chunk, chunks, rows,
    u_row, u_dim, u_time, delta_row, delta_dim, delta_time, z_row, z_dim, z_time,
    B_row, B_state, B_time, C_row, C_state, C_time, dy_row, dy_dim, dy_time,
    SOFTPLUS: tl.constexpr, TIME: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """All times of a chunk at once, one state of a channel after the other: the states are computed again by a scan
    over time, and their gradients by one from the end. A program adds up over its own times or channels only, so that
    no sum depends on which program comes first.

    start_states, end_gradients: (rows, chunks, dim, state); du, ddelta, dz: (rows, time, dim)
    dB, dC: (blocks, rows, state, time); dA: (rows, chunks, state, dim); dD, dbias: (rows, chunks, dim)
    """
    program = tl.program_id(0).to(tl.int64)
    row, part = program // chunks, (program % chunks).to(tl.int32)
    block = tl.program_id(1)
    d = block * BLOCK + tl.arange(0, BLOCK)
    local = tl.arange(0, TIME)
    begin = part * chunk
    stop = tl.minimum(begin + chunk, time)
    end = tl.minimum(stop, end_of(lengths, row, time))
    t = begin + local
    inside = d < dim
    real = inside[:, None] & (t < end)[None, :]
    behind = inside[:, None] & ((t > begin) & (t <= end))[None, :]
    ahead = inside[:, None] & (t + 1 < end)[None, :]
    u_at = row * u_row + d[:, None] * u_dim + t[None, :] * u_time
    delta_at = row * delta_row + d[:, None] * delta_dim + t[None, :] * delta_time
    step_bias = tl.zeros((BLOCK,), tl.float32)
    if bias is not None:
        step_bias = tl.load(bias + d, inside, 0.0).to(tl.float32)
    size, raw = step_sizes(delta, delta_at, real, step_bias[:, None], SOFTPLUS)
    size_before, _ = step_sizes(delta, delta_at - delta_time, behind, step_bias[:, None], SOFTPLUS)
    size_after, _ = step_sizes(delta, delta_at + delta_time, ahead, step_bias[:, None], SOFTPLUS)
    u_now = tl.load(u + u_at, real, 0.0).to(tl.float32)
    x = size * u_now
    x_before = size_before * tl.load(u + u_at - u_time, behind, 0.0).to(tl.float32)
    dy_at = row * dy_row + d[:, None] * dy_dim + t[None, :] * dy_time
    inner = tl.load(dy + dy_at, real, 0.0).to(tl.float32)
    z_at = row * z_row + d[:, None] * z_dim + t[None, :] * z_time
    if z is not None:
        gate = tl.load(z + z_at, real, 0.0).to(tl.float32)
        inner *= gate * sigmoid(gate)
    out = tl.zeros((BLOCK, TIME), tl.float32)
    dx = tl.zeros((BLOCK, TIME), tl.float32)
    dsize = tl.zeros((BLOCK, TIME), tl.float32)
    state_at = (program * dim + d) * state
    for n in range(0, state):
        rate = tl.load(A + n * dim + d, inside, 0.0)
        B_at = B + row * B_row + n * B_state + t * B_time
        B_now = tl.load(B_at, t < end, 0.0).to(tl.float32)[None, :]
        B_before = tl.load(B_at - B_time, (t > begin) & (t <= end), 0.0).to(tl.float32)[None, :]
        C_now = tl.load(C + row * C_row + n * C_state + t * C_time, t < end, 0.0).to(tl.float32)[None, :]
        value = x_before * B_before
        if start_states is not None:
            value += tl.where((local == 0)[None, :], tl.load(start_states + state_at + n, inside, 0.0)[:, None], 0.0)
        _, before = tl.associative_scan((tl.exp2(size_before * (rate * LOG2E)[:, None]), value), 1, chain)
        decay = tl.exp2(size * (rate * LOG2E)[:, None])
        now = decay * before + x * B_now
        out += now * C_now
        value = inner * C_now
        if end_gradients is not None:
            last = (local == TIME - 1)[None, :]
            value += tl.where(last, tl.load(end_gradients + state_at + n, inside, 0.0)[:, None], 0.0)
        decay_after = tl.exp2(size_after * (rate * LOG2E)[:, None])
        _, g = tl.associative_scan((decay_after, value), 1, chain, reverse=True)
        partial = ((block * rows + row) * state + n) * time + t
        tl.store(dB + partial, tl.sum(g * x, 0), t < stop)
        tl.store(dC + partial, tl.sum(now * inner, 0), t < stop)
        dx += g * B_now
        through = g * decay
        exponent = through * before
        dsize += exponent * rate[:, None]
        tl.store(dA + (program * state + n) * dim + d, tl.sum(exponent * size, 1), inside)
        if dstart is not None:
            tl.store(dstart + state_at + n, tl.sum(tl.where((local == 0)[None, :], through, 0.0), 1), inside)
    written = inside[:, None] & (t < stop)[None, :]
    out_at = (row * time + t[None, :]) * dim + d[:, None]
    du_now = dx * size
    if D is not None:
        skip = tl.load(D + d, inside, 0.0).to(tl.float32)[:, None]
        du_now += inner * skip
        out += skip * u_now
        tl.store(dD + program * dim + d, tl.sum(inner * u_now, 1), inside)
    if z is not None:
        gate = tl.load(z + z_at, real, 0.0).to(tl.float32)
        dz_now = tl.load(dy + dy_at, real, 0.0).to(tl.float32) * out * silu_slope(gate, sigmoid(gate))
        tl.store(dz + out_at, dz_now.to(dz.dtype.element_ty), written)
    dsize += dx * u_now
    if SOFTPLUS:
        dsize *= sigmoid(raw)
    dsize = tl.where(real, dsize, 0.0)
    tl.store(du + out_at, du_now.to(du.dtype.element_ty), written)
    tl.store(ddelta + out_at, dsize.to(ddelta.dtype.element_ty), written)
    if dbias is not None:
        tl.store(dbias + program * dim + d, tl.sum(dsize, 1), inside)
