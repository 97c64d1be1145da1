#include "turns.h"

#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "model.h"
#include "scan.h"

enum { MOST_LABELS = 1000, MOST_WEIGHT = 1000 };

bool edgegen_turns_allocate(struct edgegen_turns *turns) {
    const size_t labels = (size_t)edgegen_codec.labels;
    turns->text = malloc(EDGEGEN_MOST_BODY);
    turns->labels = calloc(labels * MOST_WEIGHT, sizeof *turns->labels);
    turns->found = calloc(labels, sizeof *turns->found);
    turns->weights = calloc(labels, sizeof *turns->weights);
    turns->taken = calloc(labels, sizeof *turns->taken);
    return turns->text && turns->labels && turns->found && turns->weights && turns->taken;
}

void edgegen_turns_free(struct edgegen_turns *turns) {
    free(turns->text);
    free(turns->labels);
    free(turns->found);
    free(turns->weights);
    free(turns->taken);
}

/* The index of the label that a string of the body names, -1 where there is none. */
static int32_t label_at(struct edgegen_turns *turns, const char *at) {
    return edgegen_label_named(turns->text, edgegen_scan_text(at, turns->text));
}

/* Refuses the string at `at`, which is no label of this generator; those are named in order. */
static int64_t unknown(struct edgegen_turns *turns, const char *at, struct edgegen_refusal *refusal) {
    edgegen_say(refusal, "label '");
    edgegen_say_bytes(refusal, turns->text, edgegen_scan_text(at, turns->text));
    edgegen_say(refusal, "' is unknown to this generator; it knows: ");
    for (const char *last = NULL, *next;; last = next) {
        next = NULL;
        for (int32_t i = 0; i < edgegen_codec.labels; i++) {
            const char *name = edgegen_codec.label_names[i];
            if ((!last || strcmp(name, last) > 0) && (!next || strcmp(name, next) < 0)) next = name;
        }
        if (!next) return 0;
        if (last) edgegen_say(refusal, ", ");
        edgegen_say(refusal, next);
    }
}

int64_t edgegen_turns_of_label(struct edgegen_turns *turns, const char *value, struct edgegen_refusal *refusal) {
    const bool list = *value == '[';
    const char *const first = list ? edgegen_scan_first(value) : value;
    bool strings = true;
    int64_t count = 0;
    for (const char *at = first; at; at = list ? edgegen_scan_next(at) : NULL, count++) strings = strings && *at == '"';
    if (!strings || !count) return edgegen_refuse(refusal, "label must be a string or a list of strings");
    if (count > MOST_LABELS) return edgegen_refuse(refusal, "label must not have more than 1,000 entries");
    const char *at = first;
    for (int64_t i = 0; i < count; i++, at = edgegen_scan_next(at)) {
        turns->labels[i] = label_at(turns, at);
        if (turns->labels[i] < 0) return unknown(turns, at, refusal);
    }
    return count;
}

/* turns->labels from the weights, spread: by when each label's next turn is due. */
static int64_t spread(struct edgegen_turns *turns) {
    int32_t *const weights = turns->weights, *const taken = turns->taken;
    for (int64_t count = 0;; count++) {
        int32_t due = -1;
        for (int32_t i = 0; i < edgegen_codec.labels; i++)
            if (taken[i] < weights[i] && (due < 0 || taken[i] * weights[due] < taken[due] * weights[i])) due = i;
        if (due < 0) return count;
        turns->labels[count] = due;
        taken[due]++;
    }
}

int64_t edgegen_turns_of_weights(struct edgegen_turns *turns, const char *value, struct edgegen_refusal *refusal) {
    const char *const first = *value == '{' ? edgegen_scan_first(value) : NULL;
    if (!first) return edgegen_refuse(refusal, "weights must be an object with a whole number for each label");
    memset(turns->weights, 0, (size_t)edgegen_codec.labels * sizeof *turns->weights);
    memset(turns->taken, 0, (size_t)edgegen_codec.labels * sizeof *turns->taken);
    /* Of a label that is there twice, the last weight counts. */
    for (const char *name = first, *weight; name; name = edgegen_scan_next(weight)) {
        const int32_t label = label_at(turns, name);
        weight = edgegen_scan_named(name);
        if (label >= 0) turns->found[label] = weight;
    }
    for (const char *name = first; name; name = edgegen_scan_next(edgegen_scan_named(name))) {
        const int32_t label = label_at(turns, name);
        uint64_t weight;
        if (label < 0) return unknown(turns, name, refusal);
        if (!edgegen_whole(turns->found[label], edgegen_codec.label_names[label], 1, MOST_WEIGHT, &weight, refusal))
            return 0;
        turns->weights[label] = (int32_t)weight;
    }
    return spread(turns);
}
