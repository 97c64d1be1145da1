#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "philox.h"
#include "sample.h"

struct edgegen_rows {
    int width;
    void *model;                         /* edgegen_model_memory(width) bytes */
    struct edgegen_sequence **sequences; /* (width,) NULL for an idle row */
    int32_t *tokens;                     /* (width,) the last of each sequence */
    int32_t *positions;                  /* (width,) where it stands */
    int32_t *legal;                      /* (width, 2) what may follow it, low .. high - 1 */
    uint32_t *weights;                   /* (vocabulary,) */
    uint64_t *laps;                      /* (calls,) nanoseconds, NULL where nobody asks */
};

struct edgegen_rows *edgegen_rows_new(int width) {
    struct edgegen_rows *rows = calloc(1, sizeof *rows);
    if (!rows) return NULL;
    const size_t count = (size_t)width, bytes = edgegen_model_memory(width);
    rows->width = width;
    rows->model = aligned_alloc(64, bytes ? bytes : 64);
    rows->sequences = calloc(count, sizeof *rows->sequences);
    rows->tokens = calloc(count, sizeof *rows->tokens);
    rows->positions = calloc(count, sizeof *rows->positions);
    rows->legal = calloc(count, 2 * sizeof *rows->legal);
    rows->weights = calloc((size_t)edgegen_codec.vocabulary, sizeof *rows->weights);
    if (!rows->model || !rows->sequences || !rows->tokens || !rows->positions || !rows->legal || !rows->weights) {
        edgegen_rows_free(rows);
        return NULL;
    }
    memset(rows->model, 0, bytes);
    return rows;
}

void edgegen_rows_free(struct edgegen_rows *rows) {
    if (!rows) return;
    free(rows->model);
    free(rows->sequences);
    free(rows->tokens);
    free(rows->positions);
    free(rows->legal);
    free(rows->weights);
    free(rows);
}

int edgegen_width(int64_t batch) {
    int i = 0;
    while (edgegen_widths[i] < batch && edgegen_widths[i + 1]) i++;
    return edgegen_widths[i];
}

/* Token ids *low .. *high - 1 that may stand at `position`: Codec.legal. */
static void legal(int32_t position, int32_t min_packets, int32_t *low, int32_t *high) {
    const struct edgegen_codec *codec = &edgegen_codec;
    const int32_t stride = codec->iat_bins ? 2 : 1;
    if (position == codec->length - 1) {
        *low = codec->end;
        *high = codec->end + 1;
    } else if (codec->iat_bins && position % 2 == 0) {
        *low = 0;
        *high = position == 2 ? 1 : codec->iat_bins;
    } else {
        *low = codec->packet_base;
        *high = codec->end + ((position - 1) / stride >= min_packets);
    }
}

void edgegen_rows_start(struct edgegen_rows *rows, int row, struct edgegen_sequence *sequence) {
    rows->sequences[row] = sequence;
    rows->positions[row] = 0;
    rows->tokens[row] = sequence->tokens[0];
}

struct edgegen_sequence *edgegen_rows_at(const struct edgegen_rows *rows, int row) { return rows->sequences[row]; }

/* The token at `position` of a sequence, and its place. */
static int32_t draw(struct edgegen_rows *rows, const float *logits, const int32_t *legal, uint64_t number,
                    int32_t position, const struct edgegen_controls *controls, uint32_t *place) {
    const int32_t low = legal[0], count = legal[1] - low;
    const struct edgegen_block block = edgegen_words(controls->seed, number, (uint32_t)position, EDGEGEN_TOKENS);
    *place = block.word[1];
    if (controls->temperature == 0) return low + edgegen_best(logits + low, count);
    return low + edgegen_draw(logits + low, count, block.word[0], 1.0f / controls->temperature, rows->weights);
}

/* Bring the sequences to the first rows, so that a step computes those and no idle ones; how many there are. */
static int32_t gather(struct edgegen_rows *rows) {
    int count = rows->width;
    for (int row = 0;; row++) {
        while (count && !rows->sequences[count - 1]) count--;
        if (row >= count) return count;
        if (rows->sequences[row]) continue;
        const int last = count - 1;
        rows->sequences[row] = rows->sequences[last];
        rows->tokens[row] = rows->tokens[last];
        rows->positions[row] = rows->positions[last];
        rows->sequences[last] = NULL;
        /* At position 0 there is nothing yet. */
        if (rows->positions[row]) edgegen_model_move(rows->width, rows->model, last, row);
    }
}

void edgegen_rows_advance(struct edgegen_rows *rows, const struct edgegen_controls *controls,
                          void (*finished)(void *context, struct edgegen_sequence *sequence), void *context) {
    const struct edgegen_codec *codec = &edgegen_codec;
    const int32_t count = gather(rows);
    for (int row = 0; row < count; row++) {
        int32_t *range = &rows->legal[2 * row];
        legal(rows->positions[row] + 1, controls->min_packets, &range[0], &range[1]);
        /* What the grammar forces needs no logits. */
        if (range[1] - range[0] == 1) range[1] = range[0];
    }
    const float *logits =
        edgegen_model_step(rows->width, rows->model, count, rows->tokens, rows->positions, rows->legal, rows->laps);
    for (int row = 0; row < count; row++) {
        struct edgegen_sequence *sequence = rows->sequences[row];
        const int32_t *range = &rows->legal[2 * row], position = ++rows->positions[row];
        sequence->tokens[position] =
            range[0] == range[1] ? range[0]
                                 : draw(rows, logits + (int64_t)row * codec->vocabulary, range, sequence->number,
                                        position, controls, &sequence->places[position]);
        rows->tokens[row] = sequence->tokens[position];
        const bool full = position == codec->steps && rows->tokens[row] != codec->end;
        if (full) sequence->tokens[position + 1] = codec->end;
        if (!full && rows->tokens[row] != codec->end) continue;
        rows->sequences[row] = NULL;
        finished(context, sequence);
    }
}

void edgegen_rows_time(struct edgegen_rows *rows, uint64_t *laps) { rows->laps = laps; }

const float *edgegen_step(struct edgegen_rows *rows, const int32_t *tokens, const int32_t *positions) {
    for (int row = 0; row < rows->width; row++) {
        rows->legal[2 * row] = 0;
        rows->legal[2 * row + 1] = edgegen_codec.vocabulary;
    }
    return edgegen_model_step(rows->width, rows->model, rows->width, tokens, positions, rows->legal, NULL);
}

void *edgegen_state(struct edgegen_rows *rows, int index, size_t *bytes) {
    return edgegen_model_state(rows->width, rows->model, index, bytes);
}
