/* Flows in their order, made by rows of one or more threads. */
#ifndef EDGEGEN_STREAM_H
#define EDGEGEN_STREAM_H

#include "rows.h"

/* Flows first .. first + count - 1, each a function of its number, its label and the controls.
 *
 * labels (label_count,): flow first + i has labels[(first + i) % label_count]; with label_count 0 labels are drawn
 * by share */
struct edgegen_request {
    struct edgegen_controls controls;
    uint64_t first;
    int64_t count;
    const int32_t *labels;
    int64_t label_count;
};

struct edgegen_stream;

/* `width` is one of edgegen_widths, for each of `threads` threads; with one, the caller's own does all work.
 * The labels are the caller's, and stay. NULL where memory or threads do not suffice. */
struct edgegen_stream *edgegen_open(const struct edgegen_request *request, int width, int threads);
void edgegen_close(struct edgegen_stream *stream);

/* The next flow, valid until the next call; NULL after the last. */
const struct edgegen_sequence *edgegen_next(struct edgegen_stream *stream);

/* From now on the nanoseconds of each call of a step are added to laps (calls,). For a stream with one thread. */
void edgegen_time(struct edgegen_stream *stream, uint64_t *laps);

/* Up to `most` next flows: tokens and places (most, length). Returns how many. */
int64_t edgegen_read(struct edgegen_stream *stream, int64_t most, int32_t *tokens, uint32_t *places);

#endif
