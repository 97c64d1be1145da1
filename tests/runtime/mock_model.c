/* A model without weights: logits are a hash of all tokens of a row so far, those that were not asked for no numbers.
 * tests/runtime/mock_host.py is the same in numpy. */
#include <math.h>
#include <stdint.h>

#include "model.h"

const int edgegen_widths[] = {1, 4, 8, 0};
const char *const edgegen_calls[] = {"hash", "spread", "hash", NULL};

enum { END_BOOST = 6 };

const char *edgegen_variant(void) { return "mock"; }

/* (width,) hashes, then (width, vocabulary) logits. */
size_t edgegen_model_memory(int width) {
    const size_t bytes = (size_t)width * (size_t)(edgegen_codec.vocabulary + 1) * 4;
    return (bytes + 63) / 64 * 64;
}

static uint32_t mix(uint32_t h) {
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) * 0x846ca68bu;
    return h ^ (h >> 16);
}

void *edgegen_model_state(int width, void *memory, int index, size_t *bytes) {
    (void)width;
    *bytes = sizeof(uint32_t);
    return index ? NULL : memory;
}

void edgegen_model_move(int width, void *memory, int from, int to) {
    uint32_t *hashes = memory;
    hashes[to] = hashes[from];
    (void)width;
}

const float *edgegen_model_step(int width, void *memory, int32_t rows, const int32_t *tokens, const int32_t *positions,
                                const int32_t *legal, uint64_t *laps) {
    uint32_t *hashes = memory;
    float *logits = (float *)memory + width;
    for (int row = 0; row < rows; row++) {
        const uint32_t before = positions[row] ? hashes[row] : 1;
        hashes[row] = mix(before + (uint32_t)tokens[row] * 64 + (uint32_t)positions[row]);
        for (int32_t v = 0; v < edgegen_codec.vocabulary; v++) {
            float *logit = &logits[(size_t)row * (size_t)edgegen_codec.vocabulary + (size_t)v];
            *logit = (float)(mix(hashes[row] + (uint32_t)v) >> 8) * 0x1p-21f + (v == edgegen_codec.end ? END_BOOST : 0);
            if (v < legal[2 * row] || v >= legal[2 * row + 1]) *logit = NAN;
        }
    }
    for (int i = 0; laps && edgegen_calls[i]; i++) laps[i] += 1000;
    return logits;
}
