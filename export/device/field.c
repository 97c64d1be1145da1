#include "field.h"

#include <string.h>

enum { WORDS = EDGEGEN_WORDS, FOLD = 38 }; /* 2^256 = 2 p + 38 */

typedef struct edgegen_residue number;

const number edgegen_prime = {{0xffffffed, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
                               0x7fffffff}};
const number edgegen_zero = {{0}};
const number edgegen_one = {{1}};

/* a += carry 2^256, which modulo p is carry FOLD. carry: below 2^32 */
static void fold(number *a, uint64_t carry) {
    while (carry) {
        carry *= FOLD;
        for (int i = 0; i < WORDS; i++) {
            carry += a->word[i];
            a->word[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
}

number edgegen_sum(const number *a, const number *b) {
    number sum;
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)a->word[i] + b->word[i];
        sum.word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    fold(&sum, carry);
    return sum;
}

/* a - b, and whether that is negative: then 2^256 more than it. */
static bool subtract(number *result, const number *a, const number *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < WORDS; i++) {
        const uint64_t word = (uint64_t)a->word[i] - b->word[i] - borrow;
        result->word[i] = (uint32_t)word;
        borrow = word >> 63;
    }
    return borrow;
}

number edgegen_difference(const number *a, const number *b) {
    static const number folded = {{FOLD}};
    number result;
    bool borrowed = subtract(&result, a, b);
    while (borrowed) borrowed = subtract(&result, &result, &folded);
    return result;
}

number edgegen_product(const number *a, const number *b) {
    uint32_t words[2 * WORDS] = {0};
    for (int i = 0; i < WORDS; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < WORDS; j++) {
            /* At most (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1. */
            carry += (uint64_t)a->word[i] * b->word[j] + words[i + j];
            words[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        words[i + WORDS] = (uint32_t)carry;
    }
    number result;
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)words[i + WORDS] * FOLD + words[i];
        result.word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    fold(&result, carry);
    return result;
}

number edgegen_power(const number *base, const number *exponent) {
    number result = edgegen_one;
    for (int bit = 32 * WORDS - 1; bit >= 0; bit--) {
        result = edgegen_product(&result, &result);
        if (exponent->word[bit / 32] >> (bit % 32) & 1) result = edgegen_product(&result, base);
    }
    return result;
}

number edgegen_canonical(const number *a) {
    number result = *a;
    while (!edgegen_less(&result, &edgegen_prime)) result = edgegen_rest(&result, &edgegen_prime);
    return result;
}

bool edgegen_same(const number *a, const number *b) {
    const number difference = edgegen_difference(a, b), canonical = edgegen_canonical(&difference);
    return memcmp(&canonical, &edgegen_zero, sizeof canonical) == 0;
}

bool edgegen_less(const number *a, const number *b) {
    number unused;
    return subtract(&unused, a, b);
}

number edgegen_rest(const number *a, const number *b) {
    number result;
    subtract(&result, a, b);
    return result;
}

number edgegen_number_of(const uint8_t bytes[32]) {
    number a = edgegen_zero;
    for (int i = 0; i < 32; i++) a.word[i / 4] |= (uint32_t)bytes[i] << (8 * (i % 4));
    return a;
}

void edgegen_number_put(uint8_t bytes[32], const number *a) {
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(a->word[i / 4] >> (8 * (i % 4)));
}
