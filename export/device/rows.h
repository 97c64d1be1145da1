/* A few rows of one model, each a flow in the making: step, mask, draw. edgegen/runtime/loop.py in C, the same bits. */
#ifndef EDGEGEN_ROWS_H
#define EDGEGEN_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "points.h"

enum { EDGEGEN_PADDING = -1 };

/* A flow's sequence.
 *
 * number: the flow's, of which all its random numbers are a function, together with the seed
 * cell: that from which the flow goes on (points.h); the first is there from the start
 * tokens (length,): EDGEGEN_PADDING after <end>; the label's is there from the start
 * places (length,): where a token was drawn the second word of its block, else 0 */
struct edgegen_sequence {
    uint64_t number;
    struct edgegen_cell cell;
    int32_t *tokens;
    uint32_t *places;
};

/* How a token is drawn from its logits.
 *
 * temperature: 0 takes the best token always
 * min_packets: a flow does not end before it has as many packets, 1 .. max_packets */
struct edgegen_controls {
    uint64_t seed;
    float temperature;
    int32_t min_packets;
};

struct edgegen_rows;

/* NULL where memory does not suffice. `width` is one of edgegen_widths. */
struct edgegen_rows *edgegen_rows_new(int width);
void edgegen_rows_free(struct edgegen_rows *rows);

/* The smallest compiled width that holds `batch` rows, else the widest. */
int edgegen_width(int64_t batch);

/* Start a sequence, whose label and cell are set, in a row. */
void edgegen_rows_start(struct edgegen_rows *rows, int row, struct edgegen_sequence *sequence);

/* The sequence in a row, NULL where there is none. */
struct edgegen_sequence *edgegen_rows_at(const struct edgegen_rows *rows, int row);

/* One token more for every sequence, or one refinement. Those that are complete then leave their row: `finished` is called with each. */
void edgegen_rows_advance(struct edgegen_rows *rows, const struct edgegen_controls *controls,
                          void (*finished)(void *context, struct edgegen_sequence *sequence), void *context);

/* From now on the nanoseconds of each call of a step are added to laps (calls,), as many as edgegen_calls has. */
void edgegen_rows_time(struct edgegen_rows *rows, uint64_t *laps);

/* One step of all rows, for whoever writes a loop of their own: logits (width, outputs, vocabulary). */
const float *edgegen_step(struct edgegen_rows *rows, const int32_t *tokens, const int32_t *positions);

/* What a step has left behind: edgegen_model_state of these rows. */
void *edgegen_state(struct edgegen_rows *rows, int index, size_t *bytes);

#endif
