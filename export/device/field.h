/* Numbers modulo the prime p = 2^255 - 19, in which the curve of Ed25519 lies.
 *
 * Eight words of 32 bits, the lowest first, are any number below 2^256. Results are right modulo p and not yet smaller
 * than it; those that are compared or encoded are made so. No number here is a secret: time may depend on all of them. */
#ifndef EDGEGEN_FIELD_H
#define EDGEGEN_FIELD_H

#include <stdbool.h>
#include <stdint.h>

enum { EDGEGEN_WORDS = 8 };

struct edgegen_residue {
    uint32_t word[EDGEGEN_WORDS];
};

extern const struct edgegen_residue edgegen_prime, edgegen_zero, edgegen_one;

struct edgegen_residue edgegen_sum(const struct edgegen_residue *a, const struct edgegen_residue *b);
struct edgegen_residue edgegen_difference(const struct edgegen_residue *a, const struct edgegen_residue *b);
struct edgegen_residue edgegen_product(const struct edgegen_residue *a, const struct edgegen_residue *b);

/* base to the power of a number below 2^256. */
struct edgegen_residue edgegen_power(const struct edgegen_residue *base, const struct edgegen_residue *exponent);

/* The one below p that is the same modulo p. */
struct edgegen_residue edgegen_canonical(const struct edgegen_residue *a);

/* Whether two are the same modulo p. */
bool edgegen_same(const struct edgegen_residue *a, const struct edgegen_residue *b);

/* Whole numbers, without a modulus: whether a < b, and a - b where it is not. */
bool edgegen_less(const struct edgegen_residue *a, const struct edgegen_residue *b);
struct edgegen_residue edgegen_rest(const struct edgegen_residue *a, const struct edgegen_residue *b);

/* 32 bytes, the lowest first, and back. */
struct edgegen_residue edgegen_number_of(const uint8_t bytes[32]);
void edgegen_number_put(uint8_t bytes[32], const struct edgegen_residue *a);

#endif
