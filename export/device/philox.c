#include "philox.h"

enum { ROUNDS = 10 };

struct edgegen_block edgegen_philox(const uint32_t counter[4], const uint32_t key[2]) {
    struct edgegen_block c = {{counter[0], counter[1], counter[2], counter[3]}};
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.word[0], p1 = (uint64_t)0xCD9E8D57u * c.word[2];
        c = (struct edgegen_block){{(uint32_t)(p1 >> 32) ^ c.word[1] ^ k0, (uint32_t)p1,
                                    (uint32_t)(p0 >> 32) ^ c.word[3] ^ k1, (uint32_t)p0}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

struct edgegen_block edgegen_words(uint64_t seed, uint64_t flow, uint32_t position, enum edgegen_stream stream) {
    const uint32_t counter[4] = {(uint32_t)flow, (uint32_t)(flow >> 32), position, (uint32_t)stream};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    return edgegen_philox(counter, key);
}
