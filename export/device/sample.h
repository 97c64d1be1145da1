/* How a token is drawn from logits: edgegen/runtime/sampling.py in C, the same bits. */
#ifndef EDGEGEN_SAMPLE_H
#define EDGEGEN_SAMPLE_H

#include <stdint.h>

/* The index of the token drawn from logits (legal,): the first whose cumulative weight exceeds uniform * total / 2^32;
 * 0 where no logit is a number. weights (legal,) is scratch. */
int32_t edgegen_draw(const float *restrict logits, int32_t legal, uint32_t uniform, float inverse_temperature,
                     uint32_t *restrict weights);

/* The index of the greatest logit, the lowest on ties, 0 where none is a number. */
int32_t edgegen_best(const float *logits, int32_t legal);

/* The label of a flow, drawn by the shares of the training flows. */
int32_t edgegen_draw_label(uint64_t seed, uint64_t flow);

/* The token of a flow's mode, drawn by the shares of the training flows of a label, whose token that is where it has no
 * modes. label: its token */
int32_t edgegen_draw_mode(uint64_t seed, uint64_t flow, int32_t label);

/* What a flow is refined from: sums of a word's four bytes, with mean 0 and variance 1. noise (count,) */
void edgegen_noise(uint64_t seed, uint64_t flow, int32_t count, float *noise);

#endif
