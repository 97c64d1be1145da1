/* A model without weights: logits are a hash of all tokens of a row so far, those that were not asked for no numbers.
 * tests/runtime/mock_host.py is the same in numpy. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model.h"

const int edgegen_widths[] = {1, 4, 8, 0};
const char *const edgegen_calls[] = {"hash", "spread", "hash", NULL};

enum { END_BOOST = 6 };

const char *edgegen_variant(void) { return "mock"; }

/* Numbers of noise that a sequence is refined from: no multiple of a block's four. */
enum { CODES = 6 };

/* (width, CODES) noise, (width,) hashes, then (width, outputs, vocabulary) logits. */
size_t edgegen_model_memory(int width) {
    const size_t row = CODES + 1 + (size_t)edgegen_codec.vocabulary * (size_t)edgegen_outputs();
    return ((size_t)width * row * 4 + 63) / 64 * 64;
}

static uint32_t mix(uint32_t h) {
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) * 0x846ca68bu;
    return h ^ (h >> 16);
}

void *edgegen_model_state(int width, void *memory, int index, size_t *bytes) {
    *bytes = (index ? 1 : CODES) * sizeof(uint32_t);
    return index == 0 ? memory : index == 1 ? (uint32_t *)memory + width * CODES : NULL;
}

void edgegen_model_move(int width, void *memory, int from, int to) {
    uint32_t *hashes = (uint32_t *)memory + width * CODES;
    hashes[to] = hashes[from];
}

static uint32_t of_noise(const float *noise) {
    uint32_t h = 1;
    for (int i = 0; i < CODES; i++) {
        uint32_t bits;
        memcpy(&bits, &noise[i], sizeof bits);
        h = mix(h + bits);
    }
    return h;
}

const float *edgegen_model_step(int width, void *memory, int32_t rows, bool moving, bool asked, const int32_t *tokens,
                                const int32_t *positions, const int32_t *legal, uint64_t *laps) {
    (void)moving;
    uint32_t *hashes = (uint32_t *)memory + width * CODES;
    float *logits = (float *)(hashes + width);
    const int32_t outputs = edgegen_outputs(), vocabulary = edgegen_codec.vocabulary;
    for (int row = 0; row < rows; row++) {
        const uint32_t start = edgegen_codec.refinements ? of_noise((float *)memory + row * CODES) : 1;
        const uint32_t before = positions[row] ? hashes[row] : start;
        hashes[row] = mix(before + (uint32_t)tokens[row] * 64 + (uint32_t)positions[row]);
    }
    for (int64_t output = 0; asked && output < (int64_t)rows * outputs; output++) {
        const uint32_t place = (uint32_t)(output % outputs) * 8191;
        for (int32_t v = 0; v < vocabulary; v++) {
            float *logit = &logits[output * vocabulary + v];
            *logit = (float)(mix(hashes[output / outputs] + place + (uint32_t)v) >> 8) * 0x1p-21f +
                     (v == edgegen_codec.end ? END_BOOST : 0);
            if (v < legal[2 * output] || v >= legal[2 * output + 1]) *logit = NAN;
        }
    }
    for (int i = 0; laps && edgegen_calls[i]; i++) laps[i] += 1000;
    return logits;
}
