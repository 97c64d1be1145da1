/* What a generated model.c provides to this host: the codec, and one step of the model.
 *
 * The step is compiled for a few batch widths. All memory is the caller's: nothing here allocates, and two
 * instances (two pieces of memory) may step at the same time. */
#ifndef EDGEGEN_MODEL_H
#define EDGEGEN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The vocabulary and grammar of edgegen/codec.py, field by field; codec_source() of
 * edgegen.export.device.sources writes it. */
struct edgegen_codec {
    int32_t iat_bins;    /* 0: the variant without times */
    int32_t packet_base; /* ids of packets: packet_base + dir * (max_pl + 1) + pl */
    int32_t end;
    int32_t label_base;
    int32_t labels;
    int32_t max_pl;
    int32_t max_packets;
    int32_t length;     /* positions of the longest sequence: label, packets, end */
    int32_t steps;      /* positions that are ever stepped: 0 .. steps - 1 */
    int32_t vocabulary; /* logits in a row, at least mode_starts[labels] */
    int32_t refinements; /* steps that make a whole sequence out of noise; 0: each makes one token */
    const int32_t *iat_edges_us;     /* (iat_bins + 1,), NULL where iat_bins is 0 */
    const char *const *label_names;  /* (labels,), UTF-8 */
    const int32_t *label_protos;     /* (labels,) 6, 17, or 0 where unknown */
    const uint32_t *label_thresholds; /* (labels,) the first one above a point's upper half is its label, else the last */
    const int32_t *mode_starts;      /* (labels + 1,) token ids: the modes of label i are [i] .. [i + 1] - 1 */
    const uint32_t *mode_flows;      /* training flows of the modes of each label in turn, NULL where there are none */
};
extern const struct edgegen_codec edgegen_codec;

extern const int edgegen_widths[]; /* compiled batch widths, rising, 0-terminated */

extern const char *const edgegen_calls[]; /* the kernel of each call of a step, in order, NULL-terminated */

/* The kernel variant chosen for this processor, e.g. "avx512vnni": the fastest, or the one that EDGEGEN_KERNELS names
 * in the environment. NULL where the processor lacks what it needs. The choice is made once, before the first step. */
const char *edgegen_variant(void);

/* Bytes of zeroed, 64-byte aligned memory that one instance of `width` rows needs; a multiple of 64. */
size_t edgegen_model_memory(int width);

/* Rows of logits for each row of a batch: one for the next position, or, where whole sequences are refined, one for each
 * of the positions 1 .. steps. */
static inline int32_t edgegen_outputs(void) { return edgegen_codec.refinements ? edgegen_codec.steps : 1; }

/* Consume one token for each of the first `rows` rows and return their logits, (width, outputs, vocabulary), valid until
 * the next step on the same memory. Rows are independent: each is at a position of its own, and position 0 starts a new
 * sequence in its row whatever the row held before. Where whole sequences are refined, the token is the mode's, the
 * position the number of the refinement, and state 0 holds noise at position 0. Of a row of logits only those of tokens
 * low .. high - 1 are computed, none where the two are equal; the others mean nothing. `width` is one of edgegen_widths.
 * moving: false where no row goes on; their states then mean nothing
 * asked: false where no logits are wanted; they then mean nothing, and legal is not read
 * laps (calls,): NULL, or where the nanoseconds that each call takes are added. */
const float *edgegen_model_step(int width, void *memory, int32_t rows, bool moving, bool asked,
                                const int32_t *tokens /* (rows,) */, const int32_t *positions /* (rows,) */,
                                const int32_t *legal /* (rows, outputs, 2) low, high */, uint64_t *laps);

/* The model's state number `index`, in the order of the step graph, of all rows: (width, *bytes), laid out as the
 * kernels like it. NULL where there are no more. */
void *edgegen_model_state(int width, void *memory, int index, size_t *bytes);

/* Give row `to` the states of row `from`. */
void edgegen_model_move(int width, void *memory, int from, int to);

/* The flows that prove an executable sound, written by golden_source() once the library has generated them. Only
 * the executable links it: the library is what its hash is made with. */
struct edgegen_golden {
    uint64_t seed;
    uint64_t first;
    int32_t count;
    uint8_t sha256[32]; /* of tokens, then places: (count, length) each, 32-bit little-endian */
};
extern const struct edgegen_golden edgegen_golden;

#endif
