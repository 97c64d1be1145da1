#include "ed25519.h"

#include <string.h>

#include "field.h"

enum { SCALAR_BITS = 253 };

typedef struct edgegen_residue number;

/* x = X / Z, y = Y / Z, x y = T / Z on the curve -x^2 + y^2 = 1 + d x^2 y^2. */
struct point {
    number X, Y, Z, T;
};

static const struct point NEUTRAL = {{{0}}, {{1}}, {{1}}, {{0}}};
/* y = 4 / 5, x even. */
static const uint8_t BASE[32] = {0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};
/* The order of the base point, 2^252 + 27742317777372353535851937790883648493. */
static const number ORDER = {{0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de, 0, 0, 0, 0x10000000}};
/* d = -121665 / 121666, and the square root 2^((p - 1) / 4) of -1. */
static const number D = {{0x135978a3, 0x75eb4dca, 0x4141d8ab, 0x00700a4d, 0x7779e898, 0x8cc74079, 0x2b6ffe73,
                          0x52036cee}};
static const number ROOT_OF_MINUS_1 = {{0x4a0ea0b0, 0xc4ee1b27, 0xad2fe478, 0x2f431806, 0x3dfbd7a7, 0x2b4d0099,
                                        0x4fc1df0b, 0x2b832480}};
/* (p - 5) / 8 and p - 2. */
static const number ROOT_EXPONENT = {{0xfffffffd, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
                                      0x0fffffff}};
static const number INVERSE_EXPONENT = {{0xffffffeb, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
                                         0xffffffff, 0x7fffffff}};

static number sum(number a, number b) { return edgegen_sum(&a, &b); }
static number difference(number a, number b) { return edgegen_difference(&a, &b); }
static number product(number a, number b) { return edgegen_product(&a, &b); }

/* RFC 8032, 5.1.4; the formulas hold for any two points, equal ones too. */
static struct point add(const struct point *p, const struct point *q) {
    const number a = product(difference(p->Y, p->X), difference(q->Y, q->X));
    const number b = product(sum(p->Y, p->X), sum(q->Y, q->X));
    const number ttd = product(product(p->T, q->T), D), zz = product(p->Z, q->Z);
    const number c = sum(ttd, ttd), d = sum(zz, zz);
    const number e = difference(b, a), f = difference(d, c), g = sum(d, c), h = sum(b, a);
    return (struct point){.X = product(e, f), .Y = product(g, h), .Z = product(f, g), .T = product(e, h)};
}

static struct point negative(const struct point *p) {
    return (struct point){difference(edgegen_zero, p->X), p->Y, p->Z, difference(edgegen_zero, p->T)};
}

/* RFC 8032, 5.1.3; false where the bytes encode no point, or one in another way than its canonical one. */
static bool decode(struct point *p, const uint8_t bytes[32]) {
    const bool odd = bytes[31] >> 7;
    number y = edgegen_number_of(bytes);
    y.word[7] &= 0x7fffffff;
    if (!edgegen_less(&y, &edgegen_prime)) return false;
    /* x^2 = u / v, a root of which is u v^3 (u v^7)^((p - 5) / 8), or that times the root of -1. */
    const number yy = product(y, y), u = difference(yy, edgegen_one), v = sum(product(D, yy), edgegen_one);
    const number v3 = product(product(v, v), v), uv7 = product(product(product(v3, v3), v), u);
    number x = product(product(u, v3), edgegen_power(&uv7, &ROOT_EXPONENT));
    const number vxx = product(v, product(x, x)), minus_u = difference(edgegen_zero, u);
    if (edgegen_same(&vxx, &minus_u)) x = product(x, ROOT_OF_MINUS_1);
    else if (!edgegen_same(&vxx, &u)) return false;
    x = edgegen_canonical(&x);
    if (odd && edgegen_same(&x, &edgegen_zero)) return false;
    if ((x.word[0] & 1) != odd) x = difference(edgegen_prime, x);
    *p = (struct point){.X = x, .Y = y, .Z = edgegen_one, .T = product(x, y)};
    return true;
}

static void encode(uint8_t bytes[32], const struct point *p) {
    const number inverse = edgegen_power(&p->Z, &INVERSE_EXPONENT);
    number x = product(p->X, inverse), y = product(p->Y, inverse);
    x = edgegen_canonical(&x);
    y = edgegen_canonical(&y);
    y.word[7] |= x.word[0] << 31;
    edgegen_number_put(bytes, &y);
}

/* Whether eight times the point is the neutral one: x = 0, y = 1. */
static bool has_small_order(struct point p) {
    for (int i = 0; i < 3; i++) p = add(&p, &p);
    return edgegen_same(&p.X, &edgegen_zero) && edgegen_same(&p.Y, &p.Z);
}

/* 64 bytes, the lowest first, modulo the order: the bits shifted in, the highest first. */
static number modulo_order(const uint8_t bytes[64]) {
    number result = edgegen_zero;
    for (int bit = 511; bit >= 0; bit--) {
        result = sum(result, result); /* below 2^254, so that no prime is taken off */
        result.word[0] |= bytes[bit / 8] >> (bit % 8) & 1;
        if (!edgegen_less(&result, &ORDER)) result = edgegen_rest(&result, &ORDER);
    }
    return result;
}

static bool bit_of(const number *a, int bit) { return a->word[bit / 32] >> (bit % 32) & 1; }

/* s p + t q, for scalars below the order; doubled bit by bit for both together. */
static struct point combine(const number *s, const struct point *p, const number *t, const struct point *q) {
    const struct point both = add(p, q), *const addends[4] = {NULL, p, q, &both};
    struct point result = NEUTRAL;
    for (int bit = SCALAR_BITS - 1; bit >= 0; bit--) {
        result = add(&result, &result);
        const struct point *addend = addends[bit_of(s, bit) + 2 * bit_of(t, bit)];
        if (addend) result = add(&result, addend);
    }
    return result;
}

void edgegen_ed25519_start(struct edgegen_ed25519 *check, const uint8_t signature[EDGEGEN_SIGNATURE_BYTES],
                           const uint8_t key[EDGEGEN_KEY_BYTES]) {
    memcpy(check->signature, signature, sizeof check->signature);
    memcpy(check->key, key, sizeof check->key);
    edgegen_sha512_start(&check->sha);
    edgegen_sha512_add(&check->sha, signature, 32);
    edgegen_sha512_add(&check->sha, key, EDGEGEN_KEY_BYTES);
}

void edgegen_ed25519_add(struct edgegen_ed25519 *check, const void *data, size_t bytes) {
    edgegen_sha512_add(&check->sha, data, bytes);
}

/* The signature is R and S with S base = R + k key, where k is the hash. What S base - k key is must have R's bytes. */
bool edgegen_ed25519_fits(struct edgegen_ed25519 *check) {
    uint8_t digest[64], found[32];
    edgegen_sha512_finish(&check->sha, digest);
    const number s = edgegen_number_of(check->signature + 32), k = modulo_order(digest);
    struct point base, key;
    if (!edgegen_less(&s, &ORDER) || !decode(&key, check->key) || has_small_order(key)) return false;
    if (!decode(&base, BASE)) return false;
    const struct point minus = negative(&key), r = combine(&s, &base, &k, &minus);
    encode(found, &r);
    return memcmp(found, check->signature, sizeof found) == 0;
}
