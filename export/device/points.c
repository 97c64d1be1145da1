#include "points.h"

#include "philox.h"

enum { CELL_BITS = 12 };

static uint64_t start(uint64_t seed, int half) {
    const struct edgegen_block block = edgegen_words(seed, 0, 0, EDGEGEN_POINTS);
    return (uint64_t)block.word[2 * half] << 32 | block.word[2 * half + 1];
}

/* Steps of 2^64 over the plastic number's second and first power. */
uint64_t edgegen_label_point(uint64_t seed, uint64_t flow) { return start(seed, 0) + flow * 0x91E10DA5C79E7B1Du; }

struct edgegen_cell edgegen_first_cell(uint64_t seed, uint64_t flow) {
    const uint64_t point = start(seed, 1) + flow * 0xC13FA9A902A6328Fu;
    return (struct edgegen_cell){(uint32_t)(point >> (64 - CELL_BITS)), 1u << CELL_BITS};
}

uint64_t edgegen_stretch(struct edgegen_cell cell, uint32_t fresh, uint64_t total) {
    return cell.at * total + fresh * (total >> 32) + (fresh * (total & 0xFFFFFFFFu) >> 32);
}

struct edgegen_cell edgegen_cell_in(struct edgegen_cell cell, uint64_t stretched, uint64_t before, uint32_t weight,
                                    uint64_t total) {
    const uint64_t width = (uint64_t)cell.of * weight, left = width / total;
    /* Of one cell there is nothing to know. */
    if (left < 2) return (struct edgegen_cell){0, 1};
    return (struct edgegen_cell){(uint32_t)((stretched - before * cell.of) * left / width), (uint32_t)left};
}
