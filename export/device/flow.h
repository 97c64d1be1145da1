/* What a sequence says, packet by packet: Codec.decode. */
#ifndef EDGEGEN_FLOW_H
#define EDGEGEN_FLOW_H

#include <stddef.h>
#include <stdint.h>

#include "rows.h"

struct edgegen_packet {
    int32_t pl, dir;
    uint32_t iat_us;
};

int32_t edgegen_packet_count(const struct edgegen_sequence *sequence);

/* Packet i of a sequence, from 0. */
struct edgegen_packet edgegen_packet(const struct edgegen_sequence *sequence, int32_t i);

/* The index of its label. */
int32_t edgegen_label(const struct edgegen_sequence *sequence);

/* The index of the label with that name, -1 where there is none. */
int32_t edgegen_label_named(const char *name, size_t bytes);

#endif
