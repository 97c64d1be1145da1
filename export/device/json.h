/* A generated flow as one line of JSON: the bytes of edgegen/writers.py. */
#ifndef EDGEGEN_JSON_H
#define EDGEGEN_JSON_H

#include <stddef.h>

#include "stream.h"

/* Bytes that one byte of a text may take: a control character becomes \u00xx. */
enum { EDGEGEN_JSON_ESCAPE = 6 };

/* Write `text` as it stands between the quotes of a string; where it ends. */
char *edgegen_json_text(char *out, const char *text, size_t bytes);

/* Bytes that hold any record, the longest label and max_packets packets included. */
size_t edgegen_json_bound(void);

/* Write the record of one sequence to `out`, newline included and no terminating zero; its length. */
size_t edgegen_json(char *out, const struct edgegen_sequence *sequence);

/* Write all flows of a stream to the output. */
void edgegen_json_lines(struct edgegen_stream *stream);

#endif
