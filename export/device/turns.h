/* The labels that a request names -> their turns: `_labels` of edgegen/serve/asked.py in C. */
#ifndef EDGEGEN_TURNS_H
#define EDGEGEN_TURNS_H

#include "asked.h"
#include "refusal.h"

struct edgegen_turns {
    char *text;         /* (EDGEGEN_MOST_BODY,) a string of the body, decoded */
    int32_t *labels;    /* (labels * 1000,) the labels in turn */
    const char **found; /* (labels,) where the body has the weight of each */
    int32_t *weights;   /* (labels,) turns of each */
    int32_t *taken;     /* (labels,) turns that it has had */
};

/* All the memory that turns ever need; false where there is not enough, and then it is to be freed, too. */
bool edgegen_turns_allocate(struct edgegen_turns *turns);
void edgegen_turns_free(struct edgegen_turns *turns);

/* `value` is what the body has for "label": how many turns there are in turns->labels; 0 where it is refused. */
int64_t edgegen_turns_of_label(struct edgegen_turns *turns, const char *value, struct edgegen_refusal *refusal);

/* The same for "weights". */
int64_t edgegen_turns_of_weights(struct edgegen_turns *turns, const char *value, struct edgegen_refusal *refusal);

#endif
