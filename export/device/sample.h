/* How a token is drawn from logits: edgegen/runtime/sampling.py in C, the same bits. */
#ifndef EDGEGEN_SAMPLE_H
#define EDGEGEN_SAMPLE_H

#include <stdint.h>

#include "points.h"

/* The index of the token that a point in *cell means among logits (legal,), 0 where no logit is a number; *cell then is
 * that from which the flow goes on. fresh: a random word; weights (legal,) is scratch. */
int32_t edgegen_draw(const float *restrict logits, int32_t legal, struct edgegen_cell *restrict cell, uint32_t fresh,
                     float inverse_temperature, uint32_t *restrict weights);

/* The index of the greatest logit, the lowest on ties, 0 where none is a number. */
int32_t edgegen_best(const float *logits, int32_t legal);

/* The label that a point means, by the shares of the training flows. */
int32_t edgegen_draw_label(uint64_t point);

/* The token of the mode that a point in *cell means, by the shares of the training flows of a label, whose token that is
 * where it has no modes; *cell and fresh as above. label: its token */
int32_t edgegen_draw_mode(int32_t label, struct edgegen_cell *cell, uint32_t fresh);

/* What a flow is refined from: sums of a word's four bytes, with mean 0 and variance 1. noise (count,) */
void edgegen_noise(uint64_t seed, uint64_t flow, int32_t count, float *noise);

#endif
