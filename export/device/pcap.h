/* Flows as a pcap file: their conversations interleaved, in order of time; edgegen/pcap_writer.py in C, the same bytes. */
#ifndef EDGEGEN_PCAP_H
#define EDGEGEN_PCAP_H

#include <stddef.h>

#include "stream.h"

/* Bytes of the longest record: a frame and its header. */
size_t edgegen_pcap_record(void);

/* Write all flows of a stream to the output. */
void edgegen_pcap(struct edgegen_stream *stream);

#endif
