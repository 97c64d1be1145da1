/* The loop around a model's steps: mask, draw, repeat; edgegen/runtime/loop.py in C, the same bits. */
#ifndef EDGEGEN_LOOP_H
#define EDGEGEN_LOOP_H

#include <stdint.h>

enum { EDGEGEN_DRAWN_LABEL = -1, EDGEGEN_PADDING = -1 };

/* One model with its state and the loop's scratch, for `width` rows. */
struct edgegen_instance;

/* NULL where memory does not suffice. `width` is one of edgegen_widths. */
struct edgegen_instance *edgegen_open(int width);
void edgegen_close(struct edgegen_instance *instance);

/* The smallest compiled width that holds `batch` rows, else the widest. */
int edgegen_width(int64_t batch);

/* The sequences of flows first .. first + count - 1, each a function of (seed, its number, its label, temperature).
 *
 * labels (count,): label indices, EDGEGEN_DRAWN_LABEL for one drawn by share
 * temperature:     0 takes the best token always
 * tokens (count, length): EDGEGEN_PADDING after <end>
 * places (count, length): where a token was drawn the second word of its block, else 0 */
void edgegen_loop(struct edgegen_instance *instance, uint64_t seed, uint64_t first, int64_t count,
                  const int32_t *labels, float temperature, int32_t *tokens, uint32_t *places);

/* One step of all rows, for whoever writes a loop of their own: logits (width, vocabulary). */
const float *edgegen_step(struct edgegen_instance *instance, const int32_t *tokens, const int32_t *positions);

#endif
