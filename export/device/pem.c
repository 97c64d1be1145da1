#include "pem.h"

#include <string.h>

/* What stands before the 32 bytes of the key: its length, and the number of the algorithm. */
static const uint8_t HEAD[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

/* Head and key are 44 bytes: 14 times 3 bytes in 4 letters, then 2 bytes in 3 letters and a "=". */
enum { DER_BYTES = sizeof HEAD + EDGEGEN_KEY_BYTES, LETTERS = 59 };

struct rest {
    const char *text;
    size_t bytes;
};

static bool skip(struct rest *rest, const char *expected) {
    const size_t n = strlen(expected);
    if (rest->bytes < n || memcmp(rest->text, expected, n) != 0) return false;
    rest->text += n;
    rest->bytes -= n;
    return true;
}

static bool end_of_line(struct rest *rest) { return skip(rest, "\n") || skip(rest, "\r\n"); }

static bool decode(struct rest *rest, uint8_t der[DER_BYTES]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    if (rest->bytes < LETTERS) return false;
    for (int i = 0, waiting = 0, out = 0; i < LETTERS; i++) {
        const char *found = memchr(alphabet, rest->text[i], sizeof alphabet - 1);
        if (!found) return false;
        bits = (bits << 6 | (uint32_t)(found - alphabet)) & 0xffff;
        waiting += 6;
        if (waiting < 8) continue;
        waiting -= 8;
        der[out++] = (uint8_t)(bits >> waiting);
    }
    rest->text += LETTERS;
    rest->bytes -= LETTERS;
    return (bits & 3) == 0; /* that are left of the last letter */
}

bool edgegen_pem_key(const char *text, size_t bytes, uint8_t key[EDGEGEN_KEY_BYTES]) {
    struct rest rest = {text, bytes};
    uint8_t der[DER_BYTES];
    if (!skip(&rest, "-----BEGIN PUBLIC KEY-----") || !end_of_line(&rest)) return false;
    if (!decode(&rest, der) || !skip(&rest, "=") || !end_of_line(&rest)) return false;
    if (!skip(&rest, "-----END PUBLIC KEY-----") || memcmp(der, HEAD, sizeof HEAD) != 0) return false;
    while (rest.bytes && end_of_line(&rest)) continue;
    memcpy(key, der + sizeof HEAD, EDGEGEN_KEY_BYTES);
    return rest.bytes == 0;
}
