/* The causal convolution over time of reference.py, its SiLU and its gradients, for float32 on a CPU. */
#include "vector.h"

/* weight (taps, dim), the newest last; bias (dim,) and lengths (rows,) may be NULL. */
struct conv {
    ptrdiff_t time, dim, taps;
    struct view x;
    const float *weight, *bias;
    const int64_t *lengths;
};

/* The weights of a block, the newest first, then its bias. */
INLINE void load_weights(block *weights, const struct conv *c, ptrdiff_t d0) {
    for (ptrdiff_t back = 0; back < c->taps; back++)
        load(weights[back], c->weight + (c->taps - 1 - back) * c->dim + d0, c->dim - d0);
    memset(weights[c->taps], 0, sizeof *weights);
    if (c->bias) load(weights[c->taps], c->bias + d0, c->dim - d0);
}

/* The inputs of a row. */
INLINE void load_row(block *x, const struct conv *c, ptrdiff_t row, ptrdiff_t length, ptrdiff_t d0) {
    for (ptrdiff_t t = 0; t < length; t++) load(x[t], at(&c->x, row, t) + d0, c->dim - d0);
}

/* The sum at time t before its SiLU. */
INLINE void convolve(float *sum, const block *x, const block *weights, ptrdiff_t taps, ptrdiff_t t) {
    for (int v = 0; v < VECS; v++) {
        vec of_taps = V(weights[taps], v);
        for (ptrdiff_t back = 0; back < taps && back <= t; back++) of_taps += V(weights[back], v) * V(x[t - back], v);
        V(sum, v) = of_taps;
    }
}

/* y (rows, time, dim) of rows first .. end - 1. scratch: time + taps + 1 blocks */
void conv_forward(const struct conv *c, ptrdiff_t first, ptrdiff_t end, float *y, void *scratch) {
    block *x = scratch, *weights = x + c->time;
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t length = length_of(c->lengths, c->time, row);
        float *out = y + row * c->time * c->dim;
        memset(out + length * c->dim, 0, (size_t)((c->time - length) * c->dim) * sizeof *out);
        for (ptrdiff_t d0 = 0; d0 < c->dim; d0 += BLOCK) {
            load_weights(weights, c, d0);
            load_row(x, c, row, length, d0);
            for (ptrdiff_t t = 0; t < length; t++) {
                block sum;
                convolve(sum, x, weights, c->taps, t);
                EACH sum[i] *= sigmoid(sum[i]);
                store(out + t * c->dim + d0, sum, c->dim - d0);
            }
        }
    }
}

/* Gradients of rows first .. end - 1: dx (rows, time, dim); dweight (taps, dim) and dbias (dim,), which may be NULL, are
 * added to. scratch: 2 * (time + taps + 1) blocks */
void conv_backward(const struct conv *c, const struct view *dy, ptrdiff_t first, ptrdiff_t end, float *dx,
                   float *dweight, float *dbias, void *scratch) {
    block *x = scratch, *weights = x + c->time, *slope = weights + c->taps + 1;
    for (ptrdiff_t row = first; row < end; row++) {
        const ptrdiff_t length = length_of(c->lengths, c->time, row);
        float *out = dx + row * c->time * c->dim;
        memset(out + length * c->dim, 0, (size_t)((c->time - length) * c->dim) * sizeof *out);
        for (ptrdiff_t d0 = 0; d0 < c->dim; d0 += BLOCK) {
            const ptrdiff_t width = c->dim - d0;
            block sum, of_bias = {0};
            load_weights(weights, c, d0);
            load_row(x, c, row, length, d0);
            for (ptrdiff_t t = 0; t < length; t++) {
                convolve(sum, x, weights, c->taps, t);
                load(slope[t], at(dy, row, t) + d0, width);
                EACH slope[t][i] *= silu_slope(sum[i], sigmoid(sum[i]));
                EACH of_bias[i] += slope[t][i];
            }
            if (dbias) add(dbias + d0, of_bias, width);
            for (ptrdiff_t back = 0; back < c->taps; back++) {
                block of_tap;
                for (int v = 0; v < VECS; v++) {
                    vec of_times = splat(0);
                    for (ptrdiff_t t = back; t < length; t++) of_times += V(slope[t], v) * V(x[t - back], v);
                    V(of_tap, v) = of_times;
                }
                add(dweight + (c->taps - 1 - back) * c->dim + d0, of_tap, width);
            }
            for (ptrdiff_t t = 0; t < length; t++) {
                for (int v = 0; v < VECS; v++) {
                    vec of_taps = splat(0);
                    for (ptrdiff_t back = 0; back < c->taps && t + back < length; back++)
                        of_taps += V(slope[t + back], v) * V(weights[back], v);
                    V(sum, v) = of_taps;
                }
                store(out + t * c->dim + d0, sum, width);
            }
        }
    }
}
