#define _DEFAULT_SOURCE /* getrandom */
#include "asked.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "model.h"
#include "scan.h"
#include "turns.h"

enum { DEFAULT_FLOWS = 10, SEED_BITS = 53 };

enum { N, LABEL, WEIGHTS, SEED, FIRST, TEMPERATURE, MIN_PACKETS, FORMAT, KEYS };
static const char *const keys[KEYS] = {"n", "label", "weights", "seed", "first", "temperature", "min_packets", "format"};

struct edgegen_asker {
    uint64_t most_flows;
    struct edgegen_turns turns;
    const char *values[KEYS]; /* where the body has each, NULL for none */
};

struct edgegen_asker *edgegen_asker_new(int64_t most_flows) {
    struct edgegen_asker *asker = calloc(1, sizeof *asker);
    if (!asker) return NULL;
    asker->most_flows = (uint64_t)most_flows;
    if (edgegen_turns_allocate(&asker->turns)) return asker;
    edgegen_asker_free(asker);
    return NULL;
}

void edgegen_asker_free(struct edgegen_asker *asker) {
    if (!asker) return;
    edgegen_turns_free(&asker->turns);
    free(asker);
}

bool edgegen_whole(const char *at, const char *name, uint64_t low, uint64_t high, uint64_t *number,
                   struct edgegen_refusal *refusal) {
    struct edgegen_number found;
    if (edgegen_scan_number(at, &found) && found.whole && found.exact >= low && found.exact <= high) {
        *number = found.exact;
        return true;
    }
    char range[80];
    snprintf(range, sizeof range, " must be a whole number in %" PRIu64 "..%" PRIu64, low, high);
    edgegen_say(refusal, name);
    return edgegen_refuse(refusal, range);
}

/* *number is the value of a key, or stays as it is where there is none. */
static bool whole(const struct edgegen_asker *asker, int key, uint64_t low, uint64_t high, uint64_t *number,
                  struct edgegen_refusal *refusal) {
    const char *const at = asker->values[key];
    return !at || edgegen_whole(at, keys[key], low, high, number, refusal);
}

static bool temperature(const char *at, float *number, struct edgegen_refusal *refusal) {
    struct edgegen_number found;
    if (!at) return true;
    if (!edgegen_scan_number(at, &found) || !(found.value == 0 || (found.value >= 0.01 && found.value <= 100)))
        return edgegen_refuse(refusal, "temperature must be 0 or a number in 0.01..100");
    *number = (float)found.value;
    return true;
}

/* Whether the string at `at` says `text`. */
static bool says(struct edgegen_asker *asker, const char *at, const char *text) {
    const size_t n = edgegen_scan_text(at, asker->turns.text);
    return n == strlen(text) && memcmp(asker->turns.text, text, n) == 0;
}

static bool turns(struct edgegen_asker *asker, struct edgegen_request *request, struct edgegen_refusal *refusal) {
    const char *const label = asker->values[LABEL], *const weights = asker->values[WEIGHTS];
    if (!label && !weights) return true;
    if (label && weights) return edgegen_refuse(refusal, "give label or weights, not both");
    request->label_count = label ? edgegen_turns_of_label(&asker->turns, label, refusal)
                                 : edgegen_turns_of_weights(&asker->turns, weights, refusal);
    if (!request->label_count) return false;
    request->labels = asker->turns.labels;
    return true;
}

/* One that the client can write down in any language. */
static bool draw_seed(uint64_t *seed, struct edgegen_refusal *refusal) {
    if (getrandom(seed, sizeof *seed, 0) != sizeof *seed)
        return edgegen_refuse(refusal, "this machine has no random number for a seed: give one");
    *seed >>= 64 - SEED_BITS;
    return true;
}

static bool understand(struct edgegen_asker *asker, struct edgegen_request *request, struct edgegen_refusal *refusal) {
    const uint64_t most = asker->most_flows;
    const char *const format = asker->values[FORMAT];
    if (format && (*format != '"' || !says(asker, format, "jsonl"))) return edgegen_refuse(refusal, "format must be jsonl");
    uint64_t count = most < DEFAULT_FLOWS ? most : DEFAULT_FLOWS, min_packets = 1;
    *request = (struct edgegen_request){.controls = {.temperature = 1}};
    struct edgegen_controls *controls = &request->controls;
    if (!whole(asker, N, 1, most, &count, refusal) || !whole(asker, SEED, 0, UINT64_MAX, &controls->seed, refusal) ||
        !whole(asker, FIRST, 0, UINT64_MAX - most, &request->first, refusal) || !turns(asker, request, refusal) ||
        !temperature(asker->values[TEMPERATURE], &controls->temperature, refusal) ||
        !whole(asker, MIN_PACKETS, 1, (uint64_t)edgegen_codec.max_packets, &min_packets, refusal))
        return false;
    request->count = (int64_t)count;
    controls->min_packets = (int32_t)min_packets;
    return asker->values[SEED] || draw_seed(&controls->seed, refusal);
}

static bool strange(const struct edgegen_asker *asker, size_t bytes, struct edgegen_refusal *refusal) {
    edgegen_say(refusal, "'");
    edgegen_say_bytes(refusal, asker->turns.text, bytes);
    edgegen_say(refusal, "' is none of n");
    for (int key = 1; key < KEYS; key++) {
        edgegen_say(refusal, ", ");
        edgegen_say(refusal, keys[key]);
    }
    return false;
}

bool edgegen_ask(struct edgegen_asker *asker, const char *body, size_t bytes, struct edgegen_request *request,
                 struct edgegen_refusal *refusal) {
    if (bytes > EDGEGEN_MOST_BODY) return edgegen_refuse(refusal, "the body is longer than 65,536 bytes");
    const char *const at = bytes ? edgegen_scan(body, bytes) : "{}";
    if (!at) return edgegen_refuse(refusal, "the body is no JSON");
    if (*at != '{') return edgegen_refuse(refusal, "the body is no JSON object");
    memset(asker->values, 0, sizeof asker->values);
    for (const char *name = edgegen_scan_first(at), *value; name; name = edgegen_scan_next(value)) {
        int key = 0;
        while (key < KEYS && !says(asker, name, keys[key])) key++;
        if (key == KEYS) return strange(asker, edgegen_scan_text(name, asker->turns.text), refusal);
        value = edgegen_scan_named(name);
        asker->values[key] = value;
    }
    return understand(asker, request, refusal);
}
