/* What a sequence says, packet by packet: Codec.decode. */
#ifndef EDGEGEN_FLOW_H
#define EDGEGEN_FLOW_H

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

#endif
