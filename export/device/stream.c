#include "stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "sample.h"

/* Flows may finish out of order: as many for each row are kept until their turn comes. A flow that takes longest holds
 * up the others for `length` steps, in each of which a row may finish a flow at most every third. */
enum { WINDOW = 16 };

struct slot {
    struct edgegen_sequence sequence;
    bool done;
};

struct worker {
    struct edgegen_stream *stream;
    struct edgegen_rows *rows;
    pthread_t thread;
};

struct edgegen_stream {
    struct edgegen_request request;
    int width, threads, running; /* running: threads that have been started and not joined */
    struct worker *workers;      /* (threads,) */
    int64_t window;
    struct slot *slots; /* (window,) flow first + i is in slot i % window */
    int32_t *tokens;    /* (window, length) */
    uint32_t *places;   /* (window, length) */

    /* Below, what the threads share. */
    pthread_mutex_t lock;
    pthread_cond_t room;  /* a slot is free, or stop is set */
    pthread_cond_t ready; /* the flow whose turn it is has been finished */
    int64_t started, taken; /* flows, counted from first */
    bool lent;              /* the flow after the taken ones is being read by the caller */
    bool stop;
};

/* A slot for the next flow; NULL where none is left to start or the window is full. The lock is held. */
static struct slot *claim(struct edgegen_stream *stream) {
    const struct edgegen_request *request = &stream->request;
    const int64_t i = stream->started, length = edgegen_codec.length;
    if (stream->stop || i == request->count || i == stream->taken + stream->window) return NULL;
    stream->started++;
    struct slot *slot = &stream->slots[i % stream->window];
    struct edgegen_sequence *sequence = &slot->sequence;
    sequence->number = request->first + (uint64_t)i;
    for (int64_t k = 0; k < length; k++) sequence->tokens[k] = EDGEGEN_PADDING;
    memset(sequence->places, 0, (size_t)length * sizeof *sequence->places);
    const uint64_t seed = request->controls.seed, number = sequence->number;
    const int32_t label = request->label_count ? request->labels[number % (uint64_t)request->label_count]
                                               : edgegen_draw_label(edgegen_label_point(seed, number));
    sequence->cell = edgegen_first_cell(seed, number);
    sequence->tokens[0] = edgegen_codec.label_base + label;
    return slot;
}

static void finished(void *context, struct edgegen_sequence *sequence) {
    struct edgegen_stream *stream = context;
    pthread_mutex_lock(&stream->lock);
    struct slot *slot = &stream->slots[(int64_t)(sequence->number - stream->request.first) % stream->window];
    slot->done = true;
    if (slot == &stream->slots[stream->taken % stream->window]) pthread_cond_signal(&stream->ready);
    pthread_mutex_unlock(&stream->lock);
}

/* Fill idle rows; false where all rows stay idle. The lock is held. */
static bool fill(struct worker *worker) {
    bool busy = false;
    for (int row = 0; row < worker->stream->width; row++) {
        if (!edgegen_rows_at(worker->rows, row)) {
            struct slot *slot = claim(worker->stream);
            if (slot) edgegen_rows_start(worker->rows, row, &slot->sequence);
        }
        busy = busy || edgegen_rows_at(worker->rows, row);
    }
    return busy;
}

static void *work(void *context) {
    struct worker *worker = context;
    struct edgegen_stream *stream = worker->stream;
    pthread_mutex_lock(&stream->lock);
    while (!stream->stop) {
        if (fill(worker)) {
            pthread_mutex_unlock(&stream->lock);
            edgegen_rows_advance(worker->rows, &stream->request.controls, finished, stream);
            pthread_mutex_lock(&stream->lock);
        } else if (stream->started == stream->request.count) {
            break;
        } else {
            pthread_cond_wait(&stream->room, &stream->lock);
        }
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

struct edgegen_stream *edgegen_open(const struct edgegen_request *request, int width, int threads) {
    struct edgegen_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    const size_t length = (size_t)edgegen_codec.length;
    stream->request = *request;
    stream->width = width;
    stream->threads = threads;
    stream->window = (int64_t)WINDOW * width * threads;
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->room, NULL);
    pthread_cond_init(&stream->ready, NULL);
    stream->workers = calloc((size_t)threads, sizeof *stream->workers);
    stream->slots = calloc((size_t)stream->window, sizeof *stream->slots);
    stream->tokens = calloc((size_t)stream->window * length, sizeof *stream->tokens);
    stream->places = calloc((size_t)stream->window * length, sizeof *stream->places);
    bool made = stream->workers && stream->slots && stream->tokens && stream->places;
    for (int64_t i = 0; made && i < stream->window; i++) {
        stream->slots[i].sequence.tokens = stream->tokens + (size_t)i * length;
        stream->slots[i].sequence.places = stream->places + (size_t)i * length;
    }
    for (int i = 0; made && i < threads; i++) {
        stream->workers[i].stream = stream;
        stream->workers[i].rows = edgegen_rows_new(width);
        made = stream->workers[i].rows != NULL;
    }
    while (made && threads > 1 && stream->running < threads) {
        struct worker *worker = &stream->workers[stream->running];
        made = pthread_create(&worker->thread, NULL, work, worker) == 0;
        stream->running += made;
    }
    if (made) return stream;
    edgegen_close(stream);
    return NULL;
}

void edgegen_close(struct edgegen_stream *stream) {
    if (!stream) return;
    pthread_mutex_lock(&stream->lock);
    stream->stop = true;
    pthread_cond_broadcast(&stream->room);
    pthread_mutex_unlock(&stream->lock);
    while (stream->running) pthread_join(stream->workers[--stream->running].thread, NULL);
    for (int i = 0; stream->workers && i < stream->threads; i++) edgegen_rows_free(stream->workers[i].rows);
    pthread_mutex_destroy(&stream->lock);
    pthread_cond_destroy(&stream->room);
    pthread_cond_destroy(&stream->ready);
    free(stream->workers);
    free(stream->slots);
    free(stream->tokens);
    free(stream->places);
    free(stream);
}

/* Wait for a flow, or, where there are no threads to wait for, make it. The lock is held. */
static void complete(struct edgegen_stream *stream, const struct slot *slot) {
    while (!slot->done) {
        if (stream->threads > 1) {
            pthread_cond_wait(&stream->ready, &stream->lock);
            continue;
        }
        fill(stream->workers);
        pthread_mutex_unlock(&stream->lock);
        edgegen_rows_advance(stream->workers->rows, &stream->request.controls, finished, stream);
        pthread_mutex_lock(&stream->lock);
    }
}

const struct edgegen_sequence *edgegen_next(struct edgegen_stream *stream) {
    pthread_mutex_lock(&stream->lock);
    if (stream->lent) {
        stream->slots[stream->taken++ % stream->window].done = false;
        stream->lent = false;
        pthread_cond_signal(&stream->room);
    }
    const struct edgegen_sequence *sequence = NULL;
    if (stream->taken < stream->request.count) {
        struct slot *slot = &stream->slots[stream->taken % stream->window];
        complete(stream, slot);
        stream->lent = true;
        sequence = &slot->sequence;
    }
    pthread_mutex_unlock(&stream->lock);
    return sequence;
}

void edgegen_time(struct edgegen_stream *stream, uint64_t *laps) { edgegen_rows_time(stream->workers->rows, laps); }

int64_t edgegen_read(struct edgegen_stream *stream, int64_t most, int32_t *tokens, uint32_t *places) {
    const size_t length = (size_t)edgegen_codec.length;
    int64_t count = 0;
    for (const struct edgegen_sequence *next; count < most && (next = edgegen_next(stream)); count++) {
        memcpy(tokens + (size_t)count * length, next->tokens, length * sizeof *tokens);
        memcpy(places + (size_t)count * length, next->places, length * sizeof *places);
    }
    return count;
}
