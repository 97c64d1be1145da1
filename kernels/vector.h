/* What the kernels have in common: blocks of channels, and the functions of them.
 *
 * Loops over a block are written out for compilers to vectorise; where a recurrence must stay in registers, `vec` is
 * a vector of GNU C, which gcc and clang lower to whatever the processor has. */
#ifndef EDGEGEN_VECTOR_H
#define EDGEGEN_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
enum { VECS = 2, BLOCK = VECS * LANES };

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef float unaligned_vec __attribute__((vector_size(4 * LANES), may_alias, aligned(4)));

/* The channels of a block at one time. */
typedef float block[BLOCK] __attribute__((aligned(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))
#define EACH _Pragma("omp simd") for (int i = 0; i < BLOCK; i++)

/* Vector v of a block. */
#define V(x, v) (((vec *)(x))[v])

INLINE vec splat(float x) { return x - (vec){0}; }

/* `width` floats, at most a block, the other channels 0. A whole block is copied by the vector: what memcpy makes of it is
 * narrower, and a vector read from two narrow stores waits for both to reach the cache. */
INLINE void load(float *to, const float *from, ptrdiff_t width) {
    if (width >= BLOCK) {
        for (int v = 0; v < VECS; v++) V(to, v) = *(const unaligned_vec *)(from + v * LANES);
    } else {
        memset(to, 0, BLOCK * sizeof *to);
        memcpy(to, from, (size_t)width * sizeof *to);
    }
}

INLINE void store(float *to, const float *from, ptrdiff_t width) {
    if (width >= BLOCK) {
        for (int v = 0; v < VECS; v++) *(unaligned_vec *)(to + v * LANES) = V(from, v);
    } else {
        memcpy(to, from, (size_t)width * sizeof *to);
    }
}

INLINE void add(float *to, const float *from, ptrdiff_t width) {
    for (ptrdiff_t i = 0; i < BLOCK && i < width; i++) to[i] += from[i];
}

INLINE float total(vec x) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i];
    return sum;
}

/* e^x within 2 units in the last place: 2^k through the bits of the exponent, the rest a polynomial. Below -87 it is
 * e^-87, which is nothing beside 1; above 88 it is e^88. */
INLINE float exp_of(float x) {
    x = x > -87.0f ? x : -87.0f;
    x = x < 88.0f ? x : 88.0f;
    const float shifted = x * 1.44269504f + 12582912.0f;
    const float k = shifted - 12582912.0f;
    float r = x - k * 0.693145752f;
    r -= k * 1.42860677e-6f;
    float p = r * 1.98756915e-4f + 1.39819995e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657959e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000012e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (int32_t)((uint32_t)bits << 23) + 0x3f800000;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exp_of(-x)); }

/* The derivative of x sigmoid(x), where s is sigmoid(x). */
INLINE float silu_slope(float x, float s) { return s * (1.0f + x * (1.0f - s)); }

/* log(1 + e^x) = max(x, 0) + log(1 + w), w = e^-|x|, and log(1 + w) = 2 atanh(w / (2 + w)) as its series. */
INLINE float softplus(float x) {
    const float positive = x > 0 ? x : 0, w = exp_of(x - 2 * positive), s = w / (2.0f + w), q = s * s;
    float p = q * (1.0f / 13) + 1.0f / 11;
    p = p * q + 1.0f / 9;
    p = p * q + 1.0f / 7;
    p = p * q + 1.0f / 5;
    p = p * q + 1.0f / 3;
    p = p * q + 1.0f;
    return positive + 2.0f * s * p;
}

/* (rows, time, n) with the last axis contiguous; data NULL where the argument is absent. */
struct view {
    const float *data;
    ptrdiff_t row, time; /* strides in floats */
};

INLINE const float *at(const struct view *v, ptrdiff_t row, ptrdiff_t t) { return v->data + row * v->row + t * v->time; }

/* The times of a row that are no padding. */
INLINE ptrdiff_t length_of(const int64_t *lengths, ptrdiff_t time, ptrdiff_t row) {
    const int64_t length = lengths ? lengths[row] : time;
    return length < 0 ? 0 : length > time ? time : (ptrdiff_t)length;
}

#endif
