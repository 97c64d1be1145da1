/* SHA-256 (FIPS 180-4). */
#ifndef EDGEGEN_SHA256_H
#define EDGEGEN_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct edgegen_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64]; /* the bytes % 64 that wait for a whole block */
};

void edgegen_sha256_start(struct edgegen_sha256 *sha);
void edgegen_sha256_add(struct edgegen_sha256 *sha, const void *data, size_t bytes);
void edgegen_sha256_finish(struct edgegen_sha256 *sha, uint8_t digest[32]);

#endif
