/* What libmodel.so exports to edgegen/runtime/native.py; edgegen_codec and edgegen_variant come with model.c, and
 * edgegen_open, edgegen_step and edgegen_close with loop.c. */
#include <stdint.h>

#include "loop.h"

enum { ABI = 1 };

int edgegen_abi(void);
int edgegen_generate(uint64_t seed, uint64_t first, int64_t count, const int32_t *labels, float temperature, int batch,
                     int32_t *tokens, uint32_t *places);

/* The version of the functions called from Python; raised whenever one of them changes. */
int edgegen_abi(void) { return ABI; }

/* edgegen_loop in an instance of its own, as wide as `batch` asks for: 0, or 1 where memory does not suffice. */
int edgegen_generate(uint64_t seed, uint64_t first, int64_t count, const int32_t *labels, float temperature, int batch,
                     int32_t *tokens, uint32_t *places) {
    struct edgegen_instance *instance = edgegen_open(edgegen_width(batch));
    if (!instance) return 1;
    edgegen_loop(instance, seed, first, count, labels, temperature, tokens, places);
    edgegen_close(instance);
    return 0;
}
