/* The selective scan of reference.py and its gradients, for float32 on a CPU.
 *
 * A block of channels of a row goes through all times together, its states in L1. Where the rates of a channel are
 * 1, 2, ... times its first (`multiples`), as those of edgegen's Mamba are, one exponential gives all decays as its
 * powers. What does not wait for the time before is computed before the recurrence or after it, for all times. */
#include "vector.h"

/* A (state, dim); D, bias (dim,); h (rows, dim, state); lengths (rows,). All but A may be NULL. */
struct scan {
    ptrdiff_t time, dim, state, softplus, multiples;
    struct view u, delta, z, B, C;
    const float *A, *D, *bias, *h;
    const int64_t *lengths;
};

/* dlast, dh (rows, dim, state); the other gradients of all rows are contiguous, (rows, time, n). What one thread adds up
 * is its own: dA (state, dim), dD, dbias (dim,). NULL where the argument is absent. */
struct gradients {
    struct view dy;
    const float *dlast;
    float *du, *ddelta, *dz, *dB, *dC, *dh, *dA, *dD, *dbias;
};

/* One time of a block: the step size, its derivative, the input, their product, and the decay of the first state. */
struct now {
    block delta, slope, u, x, first;
};

INLINE void load_rates(block *A, const struct scan *s, ptrdiff_t d0) {
    for (ptrdiff_t n = 0; n < s->state; n++) load(A[n], s->A + n * s->dim + d0, s->dim - d0);
}

/* The channels d0 .. of a row of `states` (rows, dim, state), zeros where there are none; and back. */
INLINE void load_states(block *to, const float *states, const struct scan *s, ptrdiff_t row, ptrdiff_t d0) {
    memset(to, 0, (size_t)s->state * sizeof *to);
    const float *from = states + (row * s->dim + d0) * s->state;
    for (ptrdiff_t d = 0; states && d < BLOCK && d0 + d < s->dim; d++)
        for (ptrdiff_t n = 0; n < s->state; n++) to[n][d] = from[d * s->state + n];
}

INLINE void store_states(float *states, const block *from, const struct scan *s, ptrdiff_t row, ptrdiff_t d0) {
    float *to = states + (row * s->dim + d0) * s->state;
    for (ptrdiff_t d = 0; d < BLOCK && d0 + d < s->dim; d++)
        for (ptrdiff_t n = 0; n < s->state; n++) to[d * s->state + n] = from[n][d];
}

INLINE void read_times(struct now *times, const struct scan *s, const block *A, ptrdiff_t row, ptrdiff_t length,
                       ptrdiff_t d0, int slopes) {
    block bias = {0};
    if (s->bias) load(bias, s->bias + d0, s->dim - d0);
    for (ptrdiff_t t = 0; t < length; t++) {
        struct now *now = &times[t];
        block raw;
        load(now->u, at(&s->u, row, t) + d0, s->dim - d0);
        load(raw, at(&s->delta, row, t) + d0, s->dim - d0);
        EACH raw[i] += bias[i];
        if (s->softplus) {
            EACH now->delta[i] = softplus(raw[i]);
            if (slopes) EACH now->slope[i] = sigmoid(raw[i]);
        } else {
            EACH now->delta[i] = raw[i];
            if (slopes) EACH now->slope[i] = 1;
        }
        EACH now->x[i] = now->delta[i] * now->u[i];
        if (s->multiples) EACH now->first[i] = exp_of(now->delta[i] * A[0][i]);
    }
}

/* exp(delta A_n) of vector v; `power` is that of n - 1, and becomes that of n. */
INLINE vec decay(const struct now *now, const block *A, ptrdiff_t n, int v, vec *power, int multiples) {
    if (multiples) return *power *= V(now->first, v);
    vec e;
#pragma omp simd
    for (int i = 0; i < LANES; i++) e[i] = exp_of(now->delta[v * LANES + i] * A[n][v * LANES + i]);
    return e;
}

/* The states h of one time into `next`, which may be h; y: C . h. */
INLINE void advance(const struct now *now, const block *A, const float *B, const float *C, ptrdiff_t state,
                    const block *h, block *next, float *y, int multiples) {
    vec power[VECS], sum[VECS];
    for (int v = 0; v < VECS; v++) power[v] = splat(1), sum[v] = splat(0);
    for (ptrdiff_t n = 0; n < state; n++)
        for (int v = 0; v < VECS; v++) {
            const vec e = decay(now, A, n, v, &power[v], multiples);
            const vec new = e * V(h[n], v) + V(now->x, v) * B[n];
            V(next[n], v) = new;
            sum[v] += new * C[n];
        }
    for (int v = 0; v < VECS; v++) V(y, v) = sum[v];
}

INLINE void forward(const struct scan *s, ptrdiff_t first, ptrdiff_t end, float *y, float *last, block *scratch,
                    int multiples) {
    block *A = scratch, *h = A + s->state, *sums = h + s->state;
    struct now *times = (struct now *)(sums + s->time);
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t length = length_of(s->lengths, s->time, row);
        float *out = y + row * s->time * s->dim;
        memset(out + length * s->dim, 0, (size_t)((s->time - length) * s->dim) * sizeof *out);
        for (ptrdiff_t d0 = 0; d0 < s->dim; d0 += BLOCK) {
            load_rates(A, s, d0);
            load_states(h, s->h, s, row, d0);
            read_times(times, s, A, row, length, d0, 0);
            for (ptrdiff_t t = 0; t < length; t++)
                advance(&times[t], A, at(&s->B, row, t), at(&s->C, row, t), s->state, h, h, sums[t], multiples);
            store_states(last, h, s, row, d0);
            block D = {0}, z;
            if (s->D) load(D, s->D + d0, s->dim - d0);
            for (ptrdiff_t t = 0; t < length; t++) {
                float *sum = sums[t];
                EACH sum[i] += D[i] * times[t].u[i];
                if (s->z.data) {
                    load(z, at(&s->z, row, t) + d0, s->dim - d0);
                    EACH sum[i] *= z[i] * sigmoid(z[i]);
                }
                store(out + t * s->dim + d0, sum, s->dim - d0);
            }
        }
    }
}

/* y (rows, time, dim) and last (rows, dim, state) of rows first .. end - 1.
 * scratch: 2 * state + 6 * time blocks */
void scan_forward(const struct scan *s, ptrdiff_t first, ptrdiff_t end, float *y, float *last, void *scratch) {
    if (s->multiples)
        forward(s, first, end, y, last, scratch, 1);
    else
        forward(s, first, end, y, last, scratch, 0);
}

/* y, which is C . h of all times, becomes the gradient of it: that of the output through gate and skip, whose own
 * gradients are stored. */
INLINE void through_gate(const struct scan *s, const struct gradients *g, const struct now *times, block *y,
                         ptrdiff_t row, ptrdiff_t length, ptrdiff_t d0) {
    const ptrdiff_t width = s->dim - d0;
    block D = {0}, dD = {0}, z, dy, dz;
    if (s->D) load(D, s->D + d0, width);
    for (ptrdiff_t t = 0; t < length; t++) {
        const float *u = times[t].u;
        load(dy, at(&g->dy, row, t) + d0, width);
        if (s->z.data) {
            load(z, at(&s->z, row, t) + d0, width);
            EACH {
                const float gate = sigmoid(z[i]);
                dz[i] = dy[i] * (y[t][i] + D[i] * u[i]) * silu_slope(z[i], gate);
                dy[i] *= z[i] * gate;
            }
            store(g->dz + (row * s->time + t) * s->dim + d0, dz, width);
        }
        EACH dD[i] += dy[i] * u[i];
        EACH y[t][i] = dy[i];
    }
    if (s->D) add(g->dD + d0, dD, width);
}

/* The gradients of u and delta from those of x = delta u and of delta in the decays. */
INLINE void store_inputs(const struct scan *s, const struct gradients *g, const struct now *times, const block *dy,
                         const block *dx, const block *ddecay, ptrdiff_t row, ptrdiff_t length, ptrdiff_t d0) {
    const ptrdiff_t width = s->dim - d0;
    block D = {0}, dbias = {0}, du, ddelta;
    if (s->D) load(D, s->D + d0, width);
    for (ptrdiff_t t = 0; t < length; t++) {
        const struct now *now = &times[t];
        const ptrdiff_t here = (row * s->time + t) * s->dim + d0;
        EACH du[i] = dx[t][i] * now->delta[i] + dy[t][i] * D[i];
        EACH ddelta[i] = (ddecay[t][i] + dx[t][i] * now->u[i]) * now->slope[i];
        EACH dbias[i] += ddelta[i];
        store(g->du + here, du, width);
        store(g->ddelta + here, ddelta, width);
    }
    if (g->dbias) add(g->dbias + d0, dbias, width);
}

/* One time back. dh: the gradient of the states after it, which becomes that of those before; before, after: the states. */
INLINE void retreat(const struct now *now, const block *A, const float *B, const float *C, ptrdiff_t state,
                    const block *before, const block *after, const float *dy, block *dh, block *dA, vec *dB, vec *dC,
                    float *dx, float *ddecay, int multiples) {
    vec of_x[VECS], of_decay[VECS], power[VECS];
    for (int v = 0; v < VECS; v++) of_x[v] = of_decay[v] = splat(0), power[v] = splat(1);
    for (ptrdiff_t n = 0; n < state; n++) {
        vec of_B = splat(0), of_C = splat(0);
        for (int v = 0; v < VECS; v++) {
            const vec e = decay(now, A, n, v, &power[v], multiples), grad = V(dh[n], v) + V(dy, v) * C[n];
            of_C += V(after[n], v) * V(dy, v);
            of_B += grad * V(now->x, v);
            of_x[v] += grad * B[n];
            const vec through = grad * e, exponent = through * V(before[n], v);
            V(dh[n], v) = through;
            of_decay[v] += exponent * V(A[n], v);
            V(dA[n], v) += exponent * V(now->delta, v);
        }
        dB[n] += of_B;
        dC[n] += of_C;
    }
    for (int v = 0; v < VECS; v++) V(dx, v) = of_x[v], V(ddecay, v) = of_decay[v];
}

INLINE void backward(const struct scan *s, const struct gradients *g, ptrdiff_t first, ptrdiff_t end, block *scratch,
                     int multiples) {
    const ptrdiff_t time = s->time, state = s->state;
    block *A = scratch, *dA = A + state, *dh = dA + state, *states = dh + state; /* states: (time + 1, state) */
    block *dy = states + (time + 1) * state, *dx = dy + time, *ddecay = dx + time;
    struct now *times = (struct now *)(ddecay + time);
    vec *dB = (vec *)(times + time), *dC = dB + time * state; /* of all channels, to be added up over the lanes */
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t length = length_of(s->lengths, time, row), zeros = (time - length) * s->dim;
        float *outputs[] = {g->du, g->ddelta, g->dz};
        for (int i = 0; i < 3; i++)
            if (outputs[i]) memset(outputs[i] + (row * time + length) * s->dim, 0, (size_t)zeros * sizeof(float));
        memset(dB, 0, (size_t)(2 * time * state) * sizeof *dB);
        for (ptrdiff_t d0 = 0; d0 < s->dim; d0 += BLOCK) {
            load_rates(A, s, d0);
            load_states(states, s->h, s, row, d0);
            read_times(times, s, A, row, length, d0, 1);
            for (ptrdiff_t t = 0; t < length; t++)
                advance(&times[t], A, at(&s->B, row, t), at(&s->C, row, t), state, states + t * state,
                        states + (t + 1) * state, dy[t], multiples);
            through_gate(s, g, times, dy, row, length, d0);
            load_states(dh, g->dlast, s, row, d0);
            memset(dA, 0, (size_t)state * sizeof *dA);
            for (ptrdiff_t t = length - 1; t >= 0; t--)
                retreat(&times[t], A, at(&s->B, row, t), at(&s->C, row, t), state, states + t * state,
                        states + (t + 1) * state, dy[t], dh, dA, dB + t * state, dC + t * state, dx[t], ddecay[t],
                        multiples);
            store_inputs(s, g, times, dy, dx, ddecay, row, length, d0);
            for (ptrdiff_t n = 0; n < state; n++) add(g->dA + n * s->dim + d0, dA[n], s->dim - d0);
            if (g->dh) store_states(g->dh, dh, s, row, d0);
        }
        for (ptrdiff_t i = 0; i < time * state; i++) {
            g->dB[row * time * state + i] = total(dB[i]);
            g->dC[row * time * state + i] = total(dC[i]);
        }
    }
}

/* The gradients of rows first .. end - 1; dA, dD and dbias are added to.
 * scratch: 4 * state + time * (2 * state + 8) blocks */
void scan_backward(const struct scan *s, const struct gradients *g, ptrdiff_t first, ptrdiff_t end, void *scratch) {
    if (s->multiples)
        backward(s, g, first, end, scratch, 1);
    else
        backward(s, g, first, end, scratch, 0);
}
