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
    int32_t *tokens;                     /* (width,) the last of each sequence, or its mode */
    int32_t *positions;                  /* (width,) where it stands, or how often it has been refined */
    int32_t *legal;                      /* (width, outputs, 2) what may follow it, low .. high - 1 */
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
    rows->legal = calloc(count * (size_t)edgegen_outputs(), 2 * sizeof *rows->legal);
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

/* The token at `position` of a sequence, out of low .. high - 1, by its logits (vocabulary,). */
static int32_t draw(struct edgegen_rows *rows, struct edgegen_sequence *sequence, int32_t position, const int32_t *legal,
                    const float *logits, const struct edgegen_controls *controls) {
    const int32_t low = legal[0], count = legal[1] - low;
    /* What the grammar forces needs no logits: its range is empty. */
    if (count == 0) return sequence->tokens[position] = low;
    const struct edgegen_block block =
        edgegen_words(controls->seed, sequence->number, (uint32_t)position, EDGEGEN_TOKENS);
    sequence->places[position] = block.word[1];
    const int32_t chosen = controls->temperature == 0
                               ? edgegen_best(logits + low, count)
                               : edgegen_draw(logits + low, count, &sequence->cell, block.word[0],
                                              1.0f / controls->temperature, rows->weights);
    return sequence->tokens[position] = low + chosen;
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

/* What may stand at `position`, so that nothing is computed for what the grammar forces. */
static void ask(int32_t position, const struct edgegen_controls *controls, int32_t range[2]) {
    legal(position, controls->min_packets, &range[0], &range[1]);
    if (range[1] - range[0] == 1) range[1] = range[0];
}

/* The token at `position`, and where no other may follow it the end; whether the sequence is complete then. */
static bool next_token(struct edgegen_rows *rows, struct edgegen_sequence *sequence, int32_t position,
                       const int32_t *legal, const float *logits, const struct edgegen_controls *controls) {
    const struct edgegen_codec *codec = &edgegen_codec;
    if (draw(rows, sequence, position, legal, logits, controls) == codec->end) return true;
    if (position < codec->steps) return false;
    sequence->tokens[position + 1] = codec->end;
    return true;
}

/* All tokens of the sequence in a row that has been refined often enough; logits (width, steps, vocabulary). */
static void all_tokens(struct edgegen_rows *rows, int row, const float *logits, const struct edgegen_controls *controls) {
    bool complete = false;
    for (int32_t position = 1; !complete; position++) {
        const int64_t output = (int64_t)row * edgegen_codec.steps + position - 1;
        complete = next_token(rows, rows->sequences[row], position, &rows->legal[2 * output],
                              logits + output * edgegen_codec.vocabulary, controls);
    }
}

/* Modes and noise for the rows that start, and what is wanted of those that end; how many do. */
static int32_t prepare(struct edgegen_rows *rows, int32_t count, const struct edgegen_controls *controls) {
    const struct edgegen_codec *codec = &edgegen_codec;
    size_t bytes;
    unsigned char *codes = edgegen_model_state(rows->width, rows->model, 0, &bytes);
    int32_t ending = 0;
    for (int row = 0; row < count; row++) {
        if (rows->positions[row] == 0) {
            struct edgegen_sequence *sequence = rows->sequences[row];
            const uint32_t fresh = edgegen_words(controls->seed, sequence->number, 0, EDGEGEN_TOKENS).word[0];
            rows->tokens[row] = edgegen_draw_mode(sequence->tokens[0], &sequence->cell, fresh);
            edgegen_noise(controls->seed, sequence->number, (int32_t)(bytes / sizeof(float)),
                          (float *)(codes + (size_t)row * bytes));
        }
        const bool ends = rows->positions[row] == codec->refinements - 1;
        for (int32_t i = 0; i < codec->steps; i++) {
            int32_t *range = &rows->legal[2 * (row * codec->steps + i)];
            if (ends) ask(i + 1, controls, range);
            else range[0] = range[1] = 0;
        }
        ending += ends;
    }
    return ending;
}

void edgegen_rows_advance(struct edgegen_rows *rows, const struct edgegen_controls *controls,
                          void (*finished)(void *context, struct edgegen_sequence *sequence), void *context) {
    const int32_t refinements = edgegen_codec.refinements, count = gather(rows);
    bool moving = true, asked = true;
    if (refinements) {
        const int32_t ending = prepare(rows, count, controls);
        moving = ending < count;
        asked = ending > 0;
    } else
        for (int row = 0; row < count; row++) ask(rows->positions[row] + 1, controls, &rows->legal[2 * row]);
    const float *logits = edgegen_model_step(rows->width, rows->model, count, moving, asked, rows->tokens,
                                             rows->positions, rows->legal, rows->laps);
    for (int row = 0; row < count; row++) {
        struct edgegen_sequence *sequence = rows->sequences[row];
        const int32_t position = ++rows->positions[row];
        if (refinements) {
            if (position < refinements) continue;
            all_tokens(rows, row, logits, controls);
        } else {
            const bool complete = next_token(rows, sequence, position, &rows->legal[2 * row],
                                             logits + (int64_t)row * edgegen_codec.vocabulary, controls);
            rows->tokens[row] = sequence->tokens[position];
            if (!complete) continue;
        }
        rows->sequences[row] = NULL;
        finished(context, sequence);
    }
}

void edgegen_rows_time(struct edgegen_rows *rows, uint64_t *laps) { rows->laps = laps; }

const float *edgegen_step(struct edgegen_rows *rows, const int32_t *tokens, const int32_t *positions) {
    for (int64_t i = 0; i < (int64_t)rows->width * edgegen_outputs(); i++) {
        rows->legal[2 * i] = 0;
        rows->legal[2 * i + 1] = edgegen_codec.vocabulary;
    }
    const int all = rows->width;
    return edgegen_model_step(all, rows->model, all, true, true, tokens, positions, rows->legal, NULL);
}

void *edgegen_state(struct edgegen_rows *rows, int index, size_t *bytes) {
    return edgegen_model_state(rows->width, rows->model, index, bytes);
}
