/* SHA-512 (FIPS 180-4). */
#ifndef EDGEGEN_SHA512_H
#define EDGEGEN_SHA512_H

#include <stddef.h>
#include <stdint.h>

struct edgegen_sha512 {
    uint64_t state[8];
    uint64_t bytes;
    uint8_t block[128]; /* the bytes % 128 that wait for a whole block */
};

void edgegen_sha512_start(struct edgegen_sha512 *sha);
void edgegen_sha512_add(struct edgegen_sha512 *sha, const void *data, size_t bytes);
void edgegen_sha512_finish(struct edgegen_sha512 *sha, uint8_t digest[64]);

#endif
