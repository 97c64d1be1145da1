/* Philox4x32-10, the counter-based random numbers of Salmon, Moraes, Dror and Shaw (SC 2011). */
#ifndef EDGEGEN_PHILOX_H
#define EDGEGEN_PHILOX_H

#include <stdint.h>

enum edgegen_stream { EDGEGEN_TOKENS = 0, EDGEGEN_POINTS = 1, EDGEGEN_NOISE = 2 };

struct edgegen_block {
    uint32_t word[4];
};

struct edgegen_block edgegen_philox(const uint32_t counter[4], const uint32_t key[2]);

/* The block of one flow at one position: key = the seed, counter = (flow, position, stream). */
struct edgegen_block edgegen_words(uint64_t seed, uint64_t flow, uint32_t position, enum edgegen_stream stream);

#endif
