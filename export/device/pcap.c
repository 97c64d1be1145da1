#include "pcap.h"

#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "model.h"
#include "output.h"

enum { UDP = 17, MICROSECONDS = 1000000 };
enum { FILE_HEADER_BYTES = 24, RECORD_HEADER_BYTES = 16, SNAP_BYTES = 262144, ETHERNET = 1 };
/* Flows start STAGGER_US apart; OPEN at most run at the same time, which bounds memory. */
enum { STAGGER_US = 10000, OPEN = 1024 };
static const uint64_t epoch_us = 1767225600ull * MICROSECONDS; /* 2026-01-01T00:00:00Z, the first frame */

/* The conversations under way, a heap by the time of their next frame, then by number. */
struct heap {
    struct edgegen_conversation *items[OPEN];
    int count;
};

static bool before(const struct edgegen_conversation *a, const struct edgegen_conversation *b) {
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->number < b->number;
}

static void sink(struct heap *heap, int at) {
    for (;;) {
        int first = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++)
            if (before(heap->items[child], heap->items[first])) first = child;
        if (first == at) return;
        struct edgegen_conversation *item = heap->items[at];
        heap->items[at] = heap->items[first];
        heap->items[first] = item;
        at = first;
    }
}

static void push(struct heap *heap, struct edgegen_conversation *item) {
    int at = heap->count++;
    for (; at && before(item, heap->items[(at - 1) / 2]); at = (at - 1) / 2) heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = item;
}

static uint8_t *put_little(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++) *out++ = (uint8_t)(value >> 8 * i);
    return out;
}

static void write_file_header(void) {
    uint8_t *out = (uint8_t *)edgegen_output_room();
    const uint32_t words[] = {0xA1B2C3D4, 2 | 4 << 16, 0, 0, SNAP_BYTES, ETHERNET};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) out = put_little(out, words[i]);
    edgegen_output_add(FILE_HEADER_BYTES);
}

static void write_frame(struct edgegen_conversation *conversation) {
    uint8_t *const record = (uint8_t *)edgegen_output_room();
    const uint64_t seconds = conversation->time_us / MICROSECONDS;
    if (seconds >> 32)
        edgegen_output_fail("a flow ends after the year 2106, which pcap cannot say: write it to another format");
    uint8_t *out = put_little(put_little(record, (uint32_t)seconds), (uint32_t)(conversation->time_us % MICROSECONDS));
    const uint32_t bytes = (uint32_t)edgegen_conversation_frame(conversation, record + RECORD_HEADER_BYTES);
    put_little(put_little(out, bytes), bytes);
    edgegen_output_add(RECORD_HEADER_BYTES + bytes);
}

size_t edgegen_pcap_record(void) { return RECORD_HEADER_BYTES + EDGEGEN_FRAME_BYTES; }

/* Which ports labels have been given: the n-th to appear the n-th. */
struct ports {
    int32_t *of_label; /* (labels,) -1 for one that has not appeared */
    int32_t count;
};

static struct edgegen_conversation *begin(const struct edgegen_sequence *sequence, uint64_t number, uint64_t start_us,
                                          struct ports *ports) {
    const int32_t label = edgegen_label(sequence), count = edgegen_packet_count(sequence);
    struct edgegen_conversation *conversation = calloc(1, sizeof *conversation);
    if (conversation) conversation->packets = calloc((size_t)count, sizeof *conversation->packets);
    if (!conversation || !conversation->packets)
        edgegen_output_fail("there is not enough memory for the conversations of a pcap; free some or write .jsonl");
    if (ports->of_label[label] < 0) ports->of_label[label] = ports->count++;
    conversation->number = number;
    conversation->proto = edgegen_codec.label_protos[label] == UDP ? UDP : 6;
    conversation->count = count;
    for (int32_t i = 0; i < count; i++) conversation->packets[i] = edgegen_packet(sequence, i);
    edgegen_conversation_start(conversation, start_us, ports->of_label[label]);
    return conversation;
}

void edgegen_pcap(struct edgegen_stream *stream) {
    struct heap heap = {.count = 0};
    struct ports ports = {.of_label = malloc((size_t)edgegen_codec.labels * sizeof *ports.of_label)};
    if (!ports.of_label) edgegen_output_fail("there is not enough memory for the labels; free some and try again");
    for (int32_t i = 0; i < edgegen_codec.labels; i++) ports.of_label[i] = -1;
    write_file_header();
    uint64_t number = 0, start_us = epoch_us, now_us = epoch_us;
    const struct edgegen_sequence *waiting = edgegen_next(stream);
    while (waiting || heap.count) {
        const bool due = !heap.count || heap.items[0]->time_us >= start_us;
        if (waiting && due && heap.count < OPEN) {
            start_us = start_us > now_us ? start_us : now_us;
            push(&heap, begin(waiting, number++, start_us, &ports));
            start_us += STAGGER_US;
            waiting = edgegen_next(stream);
            continue;
        }
        struct edgegen_conversation *first = heap.items[0];
        now_us = first->time_us;
        write_frame(first);
        if (edgegen_conversation_over(first)) {
            free(first->packets);
            free(first);
            heap.items[0] = heap.items[--heap.count];
        }
        sink(&heap, 0);
    }
    free(ports.of_label);
}
