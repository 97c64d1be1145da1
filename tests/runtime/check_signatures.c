/* Answers 1 or 0 for each record on standard input: 'S', key (32), signature (64), length (4, little-endian), message: does
 * it fit? 'K', length (4), text: is it a key file, and if so, with which key (32)? */
#include <stdio.h>
#include <stdlib.h>

#include "ed25519.h"
#include "pem.h"

static void read_all(uint8_t *bytes, size_t count) {
    if (fread(bytes, 1, count, stdin) != count) exit(EXIT_FAILURE);
}

/* The bytes alone, so that a sanitizer sees who reads beyond them. */
static uint8_t *read_text(size_t *count) {
    uint8_t length[4];
    read_all(length, sizeof length);
    *count = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
    uint8_t *text = malloc(*count ? *count : 1);
    if (!text) exit(EXIT_FAILURE);
    read_all(text, *count);
    return text;
}

int main(void) {
    for (int kind; (kind = getchar()) != EOF;) {
        uint8_t key[EDGEGEN_KEY_BYTES], signature[EDGEGEN_SIGNATURE_BYTES], *text;
        size_t count;
        bool fits;
        if (kind == 'S') {
            struct edgegen_ed25519 check;
            read_all(key, sizeof key);
            read_all(signature, sizeof signature);
            text = read_text(&count);
            edgegen_ed25519_start(&check, signature, key);
            edgegen_ed25519_add(&check, text, count / 3);
            edgegen_ed25519_add(&check, text + count / 3, count - count / 3);
            fits = edgegen_ed25519_fits(&check);
        } else {
            text = read_text(&count);
            fits = edgegen_pem_key((const char *)text, count, key);
        }
        free(text);
        putchar(fits ? '1' : '0');
        if (kind == 'K' && fits) fwrite(key, 1, sizeof key, stdout);
    }
    return EXIT_SUCCESS;
}
