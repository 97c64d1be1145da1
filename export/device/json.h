/* A generated flow as one line of JSON: the bytes of edgegen/writers.py. */
#ifndef EDGEGEN_JSON_H
#define EDGEGEN_JSON_H

#include <stddef.h>

#include "rows.h"

/* Bytes that hold any record, the longest label and max_packets packets included. */
size_t edgegen_json_bound(void);

/* Write the record of one sequence to `out`, newline included and no terminating zero; its length. */
size_t edgegen_json(char *out, const struct edgegen_sequence *sequence);

#endif
