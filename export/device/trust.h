/* Whose executable this is: the signature beside it, checked before anything is generated.
 *
 * --require-signature KEY.pub, or EDGEGEN_REQUIRE_SIGNATURE in the environment: it must be signed with this key.
 * --check-signature KEY.pub, or EDGEGEN_CHECK_SIGNATURE: where it is signed at all, it must be with this key. */
#ifndef EDGEGEN_TRUST_H
#define EDGEGEN_TRUST_H

#include <stdbool.h>

struct edgegen_trust {
    const char *key; /* the file of the public key, NULL where nothing is to be checked */
    bool required;
};

/* What flags or the environment ask for. The flags leave the arguments; two keys are a usage error. */
struct edgegen_trust edgegen_trust_asked(int *argc, char **argv);

/* Ends the process with one sentence and status 1 where the signature is refused. */
void edgegen_trust_check(const struct edgegen_trust *trust);

#endif
