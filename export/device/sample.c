/* Compile with -ffp-contract=off and without -ffast-math: each operation below rounds once, as numpy's do. */
#include "sample.h"

#include <math.h>
#include <string.h>

#include "model.h"
#include "philox.h"

/* Independent maxima, and weights summed at a time: what a compiler makes vector instructions of. */
enum { LANES = 16, BLOCK = 64 };

static float greatest(const float *logits, int32_t legal) {
    float top[LANES];
    for (int lane = 0; lane < LANES; lane++) top[lane] = -INFINITY;
    int32_t i = 0;
    for (; i + LANES <= legal; i += LANES)
        for (int lane = 0; lane < LANES; lane++) top[lane] = logits[i + lane] > top[lane] ? logits[i + lane] : top[lane];
    for (; i < legal; i++) top[0] = logits[i] > top[0] ? logits[i] : top[0];
    for (int lane = 1; lane < LANES; lane++) top[0] = top[lane] > top[0] ? top[lane] : top[0];
    return top[0];
}

/* The sum of at most BLOCK weights, each at most 2^20. */
static uint32_t sum(const uint32_t *weights, int32_t count) {
    uint32_t total = 0;
    for (int32_t i = 0; i < count; i++) total += weights[i];
    return total;
}

/* exp(x) * 2^20, truncated, for x <= 0; 0 below -16 and for NaN. */
static uint32_t weight(float x) {
    /* Adding and taking away 1.5 * 2^23 rounds to the nearest integer; the first part of ln 2 has so few bits that
     * its product with the exponent is exact. */
    const float log2_e = 1.44269502f, round = 12582912.0f, ln2_high = 0.693359375f, ln2_low = -2.12194442e-4f;
    x = x > -16.0f ? x : -16.0f;
    const float exponent = (x * log2_e + round) - round;
    const float r = (x - exponent * ln2_high) - exponent * ln2_low;
    float y = (float)(1.0 / 720);
    y = y * r + (float)(1.0 / 120);
    y = y * r + (float)(1.0 / 24);
    y = y * r + (float)(1.0 / 6);
    y = y * r + 0.5f;
    y = y * r + 1.0f;
    y = y * r + 1.0f;
    /* y * 2^(exponent + 20) by integer addition to the exponent field. */
    uint32_t bits;
    memcpy(&bits, &y, sizeof bits);
    bits += (uint32_t)((int32_t)exponent + 20) << 23;
    memcpy(&y, &bits, sizeof y);
    return (uint32_t)(int32_t)y;
}

int32_t edgegen_draw(const float *restrict logits, int32_t legal, uint32_t uniform, float inverse_temperature,
                     uint32_t *restrict weights) {
    const float top = greatest(logits, legal);
    for (int32_t i = 0; i < legal; i++) weights[i] = weight((logits[i] - top) * inverse_temperature);
    uint64_t total = 0;
    for (int32_t i = 0; i < legal; i += BLOCK) total += sum(weights + i, legal - i < BLOCK ? legal - i : BLOCK);
    if (total == 0) return 0;
    /* uniform * total can exceed 64 bits; its upper part is exact in two. */
    const uint64_t threshold = uniform * (total >> 32) + (uniform * (total & 0xFFFFFFFFu) >> 32);
    uint64_t cumulative = 0;
    int32_t i = 0;
    for (uint32_t block; legal - i > BLOCK && cumulative + (block = sum(weights + i, BLOCK)) <= threshold; i += BLOCK)
        cumulative += block;
    while ((cumulative += weights[i]) <= threshold) i++;
    return i;
}

int32_t edgegen_best(const float *logits, int32_t legal) {
    const float top = greatest(logits, legal);
    for (int32_t i = 0; i < legal; i++)
        if (logits[i] == top) return i;
    return 0;
}

void edgegen_noise(uint64_t seed, uint64_t flow, int32_t count, float *noise) {
    /* 1 / sqrt(4 * (256^2 - 1) / 12) */
    const float scale = 0.006765875f;
    for (int32_t i = 0; i < count; i += 4) {
        const struct edgegen_block block = edgegen_words(seed, flow, (uint32_t)i / 4, EDGEGEN_NOISE);
        for (int32_t k = 0; k < 4 && i + k < count; k++) {
            const uint32_t word = block.word[k];
            const uint32_t total = (word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24);
            noise[i + k] = (float)((int32_t)total - 510) * scale;
        }
    }
}

/* The first of `count` rising thresholds that is above a draw, else the last. */
static int32_t first_above(const uint32_t *thresholds, int32_t count, uint32_t uniform) {
    int32_t i = 0;
    while (i < count - 1 && thresholds[i] <= uniform) i++;
    return i;
}

int32_t edgegen_draw_label(uint64_t seed, uint64_t flow) {
    const uint32_t uniform = edgegen_words(seed, flow, 0, EDGEGEN_LABELS).word[0];
    return first_above(edgegen_codec.label_thresholds, edgegen_codec.labels, uniform);
}

int32_t edgegen_draw_mode(uint64_t seed, uint64_t flow, int32_t label) {
    const int32_t *starts = &edgegen_codec.mode_starts[label - edgegen_codec.label_base];
    const int32_t count = starts[1] - starts[0];
    if (count == 0) return label;
    const uint32_t uniform = edgegen_words(seed, flow, 0, EDGEGEN_MODES).word[0];
    return starts[0] + first_above(&edgegen_codec.mode_thresholds[starts[0] - edgegen_codec.mode_starts[0]], count, uniform);
}
