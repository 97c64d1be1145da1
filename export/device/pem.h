/* A public key file: SubjectPublicKeyInfo of Ed25519 (RFC 8410) in PEM, as `edgegen keygen` and openssl write it. */
#ifndef EDGEGEN_PEM_H
#define EDGEGEN_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ed25519.h"

/* The key in a file's text; false where it holds anything else than one such key. */
bool edgegen_pem_key(const char *text, size_t bytes, uint8_t key[EDGEGEN_KEY_BYTES]);

#endif
