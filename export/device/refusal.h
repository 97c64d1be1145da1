/* A sentence that says what is wrong with a request, as a line of JSON: `{"error": "..."}`. */
#ifndef EDGEGEN_REFUSAL_H
#define EDGEGEN_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

struct edgegen_refusal {
    char *start, *end;
};

/* Bytes that hold any refusal: a sentence of our own around a text of up to `most` bytes, and the names of all labels. */
size_t edgegen_refusal_bound(size_t most);

/* Start a sentence at `room`. */
void edgegen_refusal_start(struct edgegen_refusal *refusal, char *room);

/* Go on with it, a part at a time. */
void edgegen_say(struct edgegen_refusal *refusal, const char *text);
void edgegen_say_bytes(struct edgegen_refusal *refusal, const char *text, size_t bytes);

/* The last part; false, for whoever finds that something is wrong. */
bool edgegen_refuse(struct edgegen_refusal *refusal, const char *text);

/* End it; bytes of the line. */
size_t edgegen_refusal_end(struct edgegen_refusal *refusal);

#endif
