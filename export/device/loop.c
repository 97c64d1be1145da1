#include "loop.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "philox.h"
#include "sample.h"

struct edgegen_instance {
    int width;
    void *model;        /* edgegen_model_memory(width) bytes */
    int64_t *flows;     /* (width,) the flow in a row, counted from 0; `count` and above: none */
    int32_t *tokens;    /* (width,) */
    int32_t *positions; /* (width,) */
    int32_t *legal;     /* (width, 2) */
    uint32_t *weights;  /* (vocabulary,) */
};

struct edgegen_instance *edgegen_open(int width) {
    struct edgegen_instance *instance = calloc(1, sizeof *instance);
    if (!instance) return NULL;
    const size_t rows = (size_t)width, bytes = edgegen_model_memory(width);
    instance->width = width;
    instance->model = aligned_alloc(64, bytes ? bytes : 64);
    instance->flows = calloc(rows, sizeof *instance->flows);
    instance->tokens = calloc(rows, sizeof *instance->tokens);
    instance->positions = calloc(rows, sizeof *instance->positions);
    instance->legal = calloc(2 * rows, sizeof *instance->legal);
    instance->weights = calloc((size_t)edgegen_codec.vocabulary, sizeof *instance->weights);
    if (!instance->model || !instance->flows || !instance->tokens || !instance->positions ||
        !instance->legal || !instance->weights) {
        edgegen_close(instance);
        return NULL;
    }
    memset(instance->model, 0, bytes);
    return instance;
}

void edgegen_close(struct edgegen_instance *instance) {
    if (!instance) return;
    free(instance->model);
    free(instance->flows);
    free(instance->tokens);
    free(instance->positions);
    free(instance->legal);
    free(instance->weights);
    free(instance);
}

int edgegen_width(int64_t batch) {
    int i = 0;
    while (edgegen_widths[i] < batch && edgegen_widths[i + 1]) i++;
    return edgegen_widths[i];
}

const float *edgegen_step(struct edgegen_instance *instance, const int32_t *tokens, const int32_t *positions) {
    for (int row = 0; row < instance->width; row++) {
        instance->legal[2 * row] = 0;
        instance->legal[2 * row + 1] = edgegen_codec.vocabulary;
    }
    return edgegen_model_step(instance->width, instance->model, tokens, positions, instance->legal);
}

/* Token ids [*low, *high) that may stand at `position`: Codec.legal. */
static void legal(int32_t position, int32_t *low, int32_t *high) {
    const struct edgegen_codec *codec = &edgegen_codec;
    if (position == codec->length - 1) {
        *low = codec->end;
        *high = codec->end + 1;
    } else if (codec->iat_bins && position % 2 == 0) {
        *low = 0;
        *high = position == 2 ? 1 : codec->iat_bins;
    } else {
        *low = codec->packet_base;
        *high = codec->end + (position > 1);
    }
}

/* The token at `position` of a flow, and its place. */
static int32_t next_token(struct edgegen_instance *instance, const float *logits, uint64_t seed, uint64_t flow,
                          int32_t position, float inverse_temperature, uint32_t *place) {
    int32_t low, high;
    legal(position, &low, &high);
    if (high - low == 1) return low;
    const struct edgegen_block block = edgegen_words(seed, flow, (uint32_t)position, EDGEGEN_TOKENS);
    *place = block.word[1];
    if (inverse_temperature == 0) return low + edgegen_best(logits + low, high - low);
    return low + edgegen_draw(logits + low, high - low, block.word[0], inverse_temperature, instance->weights);
}

void edgegen_loop(struct edgegen_instance *instance, uint64_t seed, uint64_t first, int64_t count,
                  const int32_t *labels, float temperature, int32_t *tokens, uint32_t *places) {
    const struct edgegen_codec *codec = &edgegen_codec;
    const int64_t length = codec->length;
    const float inverse_temperature = temperature == 0 ? 0 : 1.0f / temperature;
    for (int64_t i = 0; i < count * length; i++) tokens[i] = EDGEGEN_PADDING;
    memset(places, 0, (size_t)(count * length) * sizeof *places);
    for (int64_t i = 0; i < count; i++) {
        const int32_t label = labels[i] == EDGEGEN_DRAWN_LABEL ? edgegen_draw_label(seed, first + (uint64_t)i) : labels[i];
        tokens[i * length] = codec->label_base + label;
    }

    int64_t waiting = 0, finished = 0;
    for (int row = 0; row < instance->width; row++) {
        instance->flows[row] = waiting++;
        instance->positions[row] = 0;
    }
    while (finished < count) {
        for (int row = 0; row < instance->width; row++) {
            const int64_t flow = instance->flows[row];
            instance->tokens[row] = flow < count ? tokens[flow * length + instance->positions[row]] : 0;
            int32_t low = 0, high = 0;
            if (flow < count) legal(instance->positions[row] + 1, &low, &high);
            if (high - low == 1) high = low;
            instance->legal[2 * row] = low;
            instance->legal[2 * row + 1] = high;
        }
        const float *logits =
            edgegen_model_step(instance->width, instance->model, instance->tokens, instance->positions, instance->legal);
        for (int row = 0; row < instance->width; row++) {
            const int64_t flow = instance->flows[row];
            if (flow >= count) continue;
            const int32_t position = ++instance->positions[row];
            const int64_t at = flow * length + position;
            tokens[at] = next_token(instance, logits + (int64_t)row * codec->vocabulary, seed, first + (uint64_t)flow,
                                    position, inverse_temperature, &places[at]);
            const int full = position == codec->steps && tokens[at] != codec->end;
            if (full) tokens[at + 1] = codec->end;
            if (full || tokens[at] == codec->end) {
                finished++;
                instance->flows[row] = waiting++;
                instance->positions[row] = 0;
            }
        }
    }
}
