/* Whether an Ed25519 signature (RFC 8032) fits: the part of it that has no secrets. */
#ifndef EDGEGEN_ED25519_H
#define EDGEGEN_ED25519_H

#include <stdbool.h>

#include "sha512.h"

enum { EDGEGEN_KEY_BYTES = 32, EDGEGEN_SIGNATURE_BYTES = 64 };

struct edgegen_ed25519 {
    uint8_t signature[EDGEGEN_SIGNATURE_BYTES];
    uint8_t key[EDGEGEN_KEY_BYTES];
    struct edgegen_sha512 sha; /* of the signature's first half, the key, and the message so far */
};

void edgegen_ed25519_start(struct edgegen_ed25519 *check, const uint8_t signature[EDGEGEN_SIGNATURE_BYTES],
                           const uint8_t key[EDGEGEN_KEY_BYTES]);

/* The next part of the message. */
void edgegen_ed25519_add(struct edgegen_ed25519 *check, const void *data, size_t bytes);

/* Whether it is a signature of the message by the key. A point or a number that is not encoded in its one canonical way
 * fits nothing, nor does a key of small order, for which anybody can sign. */
bool edgegen_ed25519_fits(struct edgegen_ed25519 *check);

#endif
