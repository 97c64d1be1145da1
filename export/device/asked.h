/* One request in JSON -> what is asked of the engine: edgegen/serve/asked.py in C, the same requests and sentences. */
#ifndef EDGEGEN_ASKED_H
#define EDGEGEN_ASKED_H

#include "refusal.h"
#include "stream.h"

enum { EDGEGEN_MOST_BODY = 65536 };

struct edgegen_asker;

/* Takes requests for up to most_flows flows, without any more memory; NULL where there is not enough. */
struct edgegen_asker *edgegen_asker_new(int64_t most_flows);
void edgegen_asker_free(struct edgegen_asker *asker);

/* Understand a body (bytes + 1,) that ends with a zero; the labels of the request are the asker's until the next one.
 * false where it is refused. Of one that is longer than EDGEGEN_MOST_BODY nothing is read. */
bool edgegen_ask(struct edgegen_asker *asker, const char *body, size_t bytes, struct edgegen_request *request,
                 struct edgegen_refusal *refusal);

/* *number is the value at `at`, called `name`; false where it is refused. */
bool edgegen_whole(const char *at, const char *name, uint64_t low, uint64_t high, uint64_t *number,
                   struct edgegen_refusal *refusal);

#endif
