/* One flow as Ethernet frames: TCP with its handshake and close, or UDP; edgegen/pcap_writer.py in C, the same bytes. */
#ifndef EDGEGEN_FRAMES_H
#define EDGEGEN_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

enum { EDGEGEN_FRAME_BYTES = 14 + 65535 };

/* A conversation under way: which frame is next, and what its header says.
 *
 * packets (count,): the flow's; at: the next of them
 * sent, acknowledged: sequence numbers of each side, SYN and FIN included; frames: of each side so far */
struct edgegen_conversation {
    uint64_t number; /* of the flow in its file, from 0 */
    int32_t proto;   /* 6 or 17 */
    uint16_t ports[2];
    struct edgegen_packet *packets;
    int32_t count, at;
    int32_t phase, left; /* left: payload bytes of packet `at` that its first frame did not hold */
    uint64_t time_us;    /* of the next frame, since 1970 */
    uint64_t sent[2], acknowledged[2], frames[2];
};

/* Set out at start_us; number, proto, packets and count are set. label_port: how many labels came before its own. */
void edgegen_conversation_start(struct edgegen_conversation *conversation, uint64_t start_us, int32_t label_port);

/* Writes the frame that is due at time_us, and moves on; its length, 0 where there was none left. */
size_t edgegen_conversation_frame(struct edgegen_conversation *conversation, uint8_t *frame);

/* Whether all frames have been written. */
bool edgegen_conversation_over(const struct edgegen_conversation *conversation);

#endif
