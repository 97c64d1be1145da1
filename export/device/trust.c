#define _POSIX_C_SOURCE 200809L
#include "trust.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ed25519.h"
#include "options.h"
#include "pem.h"

enum { MOST_PEM = 4096, PART = 1 << 14 };

static const char OWN[] = "/proc/self/exe", SUFFIX[] = ".sig";

/* The first bytes of a file, and one more where it is longer than `most`; -1 where it cannot be opened or read. */
static long read_file(const char *path, char *bytes, size_t most) {
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    errno = 0;
    const size_t n = fread(bytes, 1, most + 1, file);
    const int reason = ferror(file) ? errno : 0;
    fclose(file);
    errno = reason;
    return reason ? -1 : (long)n;
}

static void read_key(const char *path, uint8_t key[EDGEGEN_KEY_BYTES]) {
    static const char private[] = "PRIVATE KEY-----";
    char text[MOST_PEM + 2];
    const long n = read_file(path, text, MOST_PEM);
    if (n < 0) edgegen_failure("cannot read the key %s: %s", path, strerror(errno));
    if (edgegen_pem_key(text, (size_t)n, key)) return;
    text[n] = 0;
    if (strstr(text, private))
        edgegen_failure("%s holds a private key: give the public one, and keep this one where bundles are signed", path);
    edgegen_failure("%s holds no Ed25519 public key in PEM: make one with `edgegen keygen`", path);
}

/* The signature's bytes from the file beside the executable; false where there is none. */
static bool read_signature(const char *path, uint8_t signature[EDGEGEN_SIGNATURE_BYTES]) {
    char bytes[EDGEGEN_SIGNATURE_BYTES + 1];
    const long n = read_file(path, bytes, EDGEGEN_SIGNATURE_BYTES);
    if (n < 0 && errno == ENOENT) return false;
    if (n < 0) edgegen_failure("cannot read the signature %s: %s", path, strerror(errno));
    if (n != EDGEGEN_SIGNATURE_BYTES)
        edgegen_failure("%s is no signature, as it does not have %d bytes: copy it again", path, EDGEGEN_SIGNATURE_BYTES);
    memcpy(signature, bytes, EDGEGEN_SIGNATURE_BYTES);
    return true;
}

static bool fits(const uint8_t signature[EDGEGEN_SIGNATURE_BYTES], const uint8_t key[EDGEGEN_KEY_BYTES]) {
    static char part[PART];
    struct edgegen_ed25519 check;
    edgegen_ed25519_start(&check, signature, key);
    FILE *file = fopen(OWN, "rb");
    if (!file) edgegen_failure("cannot read the executable to check its signature: %s", strerror(errno));
    for (size_t n; (n = fread(part, 1, sizeof part, file));) edgegen_ed25519_add(&check, part, n);
    if (ferror(file)) edgegen_failure("cannot read the executable to check its signature: %s", strerror(errno));
    fclose(file);
    return edgegen_ed25519_fits(&check);
}

struct edgegen_trust edgegen_trust_asked(int *argc, char **argv) {
    const char *required = edgegen_take("--require-signature", "EDGEGEN_REQUIRE_SIGNATURE", argc, argv);
    const char *checked = edgegen_take("--check-signature", "EDGEGEN_CHECK_SIGNATURE", argc, argv);
    if (required && checked) edgegen_usage_error("a signature is either required or checked: give one key, not two");
    return (struct edgegen_trust){.key = required ? required : checked, .required = required};
}

void edgegen_trust_check(const struct edgegen_trust *trust) {
    char path[PATH_MAX + sizeof SUFFIX];
    uint8_t key[EDGEGEN_KEY_BYTES], signature[EDGEGEN_SIGNATURE_BYTES];
    read_key(trust->key, key);
    const ssize_t n = readlink(OWN, path, PATH_MAX);
    if (n < 0 || n == PATH_MAX) edgegen_failure("cannot find the executable to check its signature: mount /proc");
    memcpy(path + n, SUFFIX, sizeof SUFFIX);
    if (read_signature(path, signature)) {
        if (!fits(signature, key))
            edgegen_failure("%s is no signature of this executable with %s: do not use it, or give its signer's key", path,
                            trust->key);
    } else if (trust->required)
        edgegen_failure("this executable is not signed, as there is no %s: `edgegen sign` makes it; copy it here", path);
    else
        fprintf(stderr, "edgegen: warning: this executable is not signed, as there is no %s\n", path);
}
