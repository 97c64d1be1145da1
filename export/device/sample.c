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

int32_t edgegen_draw(const float *restrict logits, int32_t legal, struct edgegen_cell *restrict cell, uint32_t fresh,
                     float inverse_temperature, uint32_t *restrict weights) {
    const float top = greatest(logits, legal);
    for (int32_t i = 0; i < legal; i++) weights[i] = weight((logits[i] - top) * inverse_temperature);
    uint64_t total = 0;
    for (int32_t i = 0; i < legal; i += BLOCK) total += sum(weights + i, legal - i < BLOCK ? legal - i : BLOCK);
    if (total == 0) return 0;
    const uint64_t stretched = edgegen_stretch(*cell, fresh, total), threshold = stretched / cell->of;
    uint64_t before = 0;
    int32_t i = 0;
    for (uint32_t block; legal - i > BLOCK && before + (block = sum(weights + i, BLOCK)) <= threshold; i += BLOCK)
        before += block;
    for (; before + weights[i] <= threshold; i++) before += weights[i];
    *cell = edgegen_cell_in(*cell, stretched, before, weights[i], total);
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

int32_t edgegen_draw_label(uint64_t point) {
    int32_t i = 0;
    while (i < edgegen_codec.labels - 1 && edgegen_codec.label_thresholds[i] <= point >> 32) i++;
    return i;
}

int32_t edgegen_draw_mode(int32_t label, struct edgegen_cell *cell, uint32_t fresh) {
    const int32_t *starts = &edgegen_codec.mode_starts[label - edgegen_codec.label_base];
    const int32_t count = starts[1] - starts[0];
    if (count == 0) return label;
    const uint32_t *flows = &edgegen_codec.mode_flows[starts[0] - edgegen_codec.mode_starts[0]];
    uint64_t total = 0, before = 0;
    for (int32_t i = 0; i < count; i++) total += flows[i];
    const uint64_t stretched = edgegen_stretch(*cell, fresh, total), threshold = stretched / cell->of;
    int32_t i = 0;
    for (; before + flows[i] <= threshold; i++) before += flows[i];
    *cell = edgegen_cell_in(*cell, stretched, before, flows[i], total);
    return starts[0] + i;
}
