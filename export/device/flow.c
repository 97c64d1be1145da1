#include "flow.h"

#include <string.h>

#include "model.h"

static int32_t stride(void) { return edgegen_codec.iat_bins ? 2 : 1; }

int32_t edgegen_packet_count(const struct edgegen_sequence *sequence) {
    int32_t count = 0;
    while (sequence->tokens[1 + count * stride()] != edgegen_codec.end) count++;
    return count;
}

/* The time in whole microseconds at place / 2^32 of the way through a bin: Codec.time_us. */
static uint32_t time_us(int32_t bin, uint32_t place) {
    const uint32_t low = (uint32_t)edgegen_codec.iat_edges_us[bin], high = (uint32_t)edgegen_codec.iat_edges_us[bin + 1];
    return low + (uint32_t)(((uint64_t)(high - low) * place) >> 32);
}

struct edgegen_packet edgegen_packet(const struct edgegen_sequence *sequence, int32_t i) {
    const struct edgegen_codec *codec = &edgegen_codec;
    const int32_t at = 1 + i * stride(), token = sequence->tokens[at] - codec->packet_base;
    return (struct edgegen_packet){
        .pl = token % (codec->max_pl + 1),
        .dir = token / (codec->max_pl + 1),
        .iat_us = codec->iat_bins ? time_us(sequence->tokens[at + 1], sequence->places[at + 1]) : 0,
    };
}

int32_t edgegen_label(const struct edgegen_sequence *sequence) {
    return sequence->tokens[0] - edgegen_codec.label_base;
}

int32_t edgegen_label_named(const char *name, size_t bytes) {
    for (int32_t i = 0; i < edgegen_codec.labels; i++) {
        const char *const known = edgegen_codec.label_names[i];
        if (strlen(known) == bytes && memcmp(known, name, bytes) == 0) return i;
    }
    return -1;
}
