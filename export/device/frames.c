#include "frames.h"

#include <string.h>

enum { TCP = 6, UDP = 17 };
enum { ETHERNET_BYTES = 14, IP_BYTES = 20, TCP_BYTES = 20, UDP_BYTES = 8, IP_MOST = 65535 };
enum { FIN = 0x01, SYN = 0x02, PUSH = 0x08, ACK = 0x10 };
enum { WINDOW = 65535, UNACKNOWLEDGED = 1 << 28, ROUND_TRIP_US = 10000 };
/* Addresses are those kept for documentation (RFC 5737), ports lie where Wireshark expects no protocol. */
enum { HOSTS = 254, PORTS = 4096, SERVER_PORTS = 50000, CLIENT_PORTS = 61440 };
enum { PATTERN_PERIOD = 251 };

/* What a TCP conversation does next; a UDP one only has data. */
enum { OPEN_SYN, OPEN_SYN_ACK, OPEN_ACK, DATA, CLOSE_FIN, CLOSE_FIN_ACK, CLOSE_ACK, OVER };

static const uint8_t syn_options[] = {2, 4, 0x05, 0xB4, 1, 3, 3, 14}; /* MSS 1460, no-op, window scale 14 */

static uint8_t *put16(uint8_t *out, uint32_t value) {
    *out++ = (uint8_t)(value >> 8);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put32(uint8_t *out, uint32_t value) { return put16(put16(out, value >> 16), value); }

/* The Internet checksum's sum of `bytes` bytes, an odd last one padded with zero. */
static uint64_t sum16(const uint8_t *data, size_t bytes) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 1 < bytes; i += 2) sum += (uint32_t)data[i] << 8 | data[i + 1];
    return bytes % 2 ? sum + ((uint32_t)data[bytes - 1] << 8) : sum;
}

static uint16_t checksum(uint64_t sum) {
    while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)~sum;
}

static void address(uint8_t *out, const struct edgegen_conversation *c, int side) {
    static const uint8_t clients[] = {192, 0, 2}, servers[] = {198, 51, 100};
    memcpy(out, side ? servers : clients, 3);
    out[3] = (uint8_t)(1 + (side ? c->number / HOSTS / PORTS % HOSTS : c->number % HOSTS));
}

/* Ethernet and IPv4 in front of a segment of `bytes` bytes that `side` sends and that is in place already. */
static size_t finish(struct edgegen_conversation *c, int side, uint8_t *frame, size_t bytes) {
    uint8_t *ip = frame + ETHERNET_BYTES, *out = frame;
    for (int end = 1 - side, i = 0; i < 2; i++, end = side) {
        /* Locally administered, and different for every host. */
        out = put16(out, 0x0200);
        address(out, c, end);
        out += 4;
    }
    put16(out, 0x0800);
    out = put16(put16(ip, 0x4500), (uint32_t)(IP_BYTES + bytes));
    out = put16(put16(out, (uint32_t)c->frames[side]++), 0x4000);
    *out++ = 64;
    *out++ = (uint8_t)c->proto;
    out = put16(out, 0);
    address(out, c, side);
    address(out + 4, c, 1 - side);
    put16(ip + 10, checksum(sum16(ip, IP_BYTES)));
    return ETHERNET_BYTES + IP_BYTES + bytes;
}

/* The checksum of a segment with IPv4's pseudo header in front. */
static uint16_t segment_checksum(const struct edgegen_conversation *c, const uint8_t *segment, size_t bytes) {
    uint8_t addresses[8];
    address(addresses, c, 0);
    address(addresses + 4, c, 1);
    return checksum(sum16(addresses, sizeof addresses) + (uint64_t)c->proto + bytes + sum16(segment, bytes));
}

/* Payload: a pattern whose place is a function of the flow, the side and the offset in what the side sends. Its period
 * is prime, so that it does not repeat where packets are powers of two; no text protocol has the top bit set. */
static void fill(uint8_t *out, const struct edgegen_conversation *c, int side, uint64_t offset, size_t bytes) {
    uint32_t place = (uint32_t)((c->number % PATTERN_PERIOD * 17 + (uint64_t)side * 101 + offset) % PATTERN_PERIOD);
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(0x80 | (place * 89 + 7) % 127);
        place = place + 1 == PATTERN_PERIOD ? 0 : place + 1;
    }
}

static size_t tcp(struct edgegen_conversation *c, uint8_t *frame, int side, int flags, size_t payload) {
    const int other = 1 - side;
    const size_t options = flags & SYN ? sizeof syn_options : 0, bytes = TCP_BYTES + options + payload;
    uint8_t *const segment = frame + ETHERNET_BYTES + IP_BYTES;
    /* Initial sequence numbers are spread over the whole range by the golden ratio, different for the two sides. */
    uint32_t initial[2];
    for (int i = 0; i < 2; i++) initial[i] = (uint32_t)((c->number * 2 + (uint64_t)i) * 2654435761u);
    uint32_t acknowledge = 0;
    if (flags & ACK) {
        acknowledge = initial[other] + (uint32_t)c->sent[other];
        c->acknowledged[other] = c->sent[other];
    }
    uint8_t *out = put16(put16(segment, c->ports[side]), c->ports[other]);
    out = put32(put32(out, initial[side] + (uint32_t)c->sent[side]), acknowledge);
    *out++ = (uint8_t)((TCP_BYTES + options) / 4 << 4);
    *out++ = (uint8_t)flags;
    out = put32(put16(out, WINDOW), 0);
    memcpy(out, syn_options, options);
    /* The SYN takes the first sequence number, the payload those after it. */
    fill(out + options, c, side, c->sent[side] + PATTERN_PERIOD - 1, payload);
    put16(segment + 16, segment_checksum(c, segment, bytes));
    c->sent[side] += payload + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
    return finish(c, side, frame, bytes);
}

static size_t udp(struct edgegen_conversation *c, uint8_t *frame, int side, size_t payload) {
    uint8_t *const segment = frame + ETHERNET_BYTES + IP_BYTES;
    const size_t bytes = UDP_BYTES + payload;
    uint8_t *out = put16(put16(segment, c->ports[side]), c->ports[1 - side]);
    out = put16(put16(out, (uint32_t)bytes), 0);
    fill(out, c, side, c->sent[side], payload);
    c->sent[side] += payload;
    /* Zero would mean that there is no checksum; its other form stands for it. */
    const uint16_t sum = segment_checksum(c, segment, bytes);
    put16(segment + 6, sum ? sum : 0xFFFF);
    return finish(c, side, frame, bytes);
}

/* Go on to packet `at`, or past the last. */
static void next_packet(struct edgegen_conversation *c) {
    c->left = -1;
    if (c->at < c->count) {
        c->time_us += c->packets[c->at].iat_us;
        return;
    }
    c->phase = c->proto == UDP ? OVER : CLOSE_FIN;
    c->time_us += ROUND_TRIP_US;
}

void edgegen_conversation_start(struct edgegen_conversation *c, uint64_t start_us, int32_t label_port) {
    c->ports[0] = (uint16_t)(CLIENT_PORTS + c->number / HOSTS % PORTS);
    c->ports[1] = (uint16_t)(SERVER_PORTS + label_port % PORTS);
    c->at = 0;
    c->time_us = start_us;
    memset(c->sent, 0, sizeof c->sent);
    memset(c->acknowledged, 0, sizeof c->acknowledged);
    memset(c->frames, 0, sizeof c->frames);
    c->phase = c->proto == UDP ? DATA : OPEN_SYN;
    if (c->phase == DATA) next_packet(c);
}

bool edgegen_conversation_over(const struct edgegen_conversation *c) { return c->phase == OVER; }

/* One packet of the flow; a payload that no IPv4 packet holds is two of one time. */
static size_t data(struct edgegen_conversation *c, uint8_t *frame) {
    const struct edgegen_packet *packet = &c->packets[c->at];
    const int32_t most = IP_MOST - IP_BYTES - (c->proto == UDP ? UDP_BYTES : TCP_BYTES);
    const int side = packet->dir;
    const int32_t whole = c->left < 0 ? packet->pl : c->left, payload = whole < most ? whole : most;
    if (c->proto == TCP && c->sent[side] - c->acknowledged[side] + (uint64_t)payload > UNACKNOWLEDGED)
        return tcp(c, frame, 1 - side, ACK, 0);
    const size_t bytes = c->proto == UDP ? udp(c, frame, side, (size_t)payload)
                                         : tcp(c, frame, side, payload ? PUSH | ACK : ACK, (size_t)payload);
    if (whole > most) {
        c->left = whole - most;
    } else {
        c->at++;
        next_packet(c);
    }
    return bytes;
}

size_t edgegen_conversation_frame(struct edgegen_conversation *c, uint8_t *frame) {
    switch (c->phase) {
    case OPEN_SYN:
        c->phase = OPEN_SYN_ACK;
        c->time_us += ROUND_TRIP_US;
        return tcp(c, frame, 0, SYN, 0);
    case OPEN_SYN_ACK:
        c->phase = OPEN_ACK;
        return tcp(c, frame, 1, SYN | ACK, 0);
    case OPEN_ACK: {
        const size_t bytes = tcp(c, frame, 0, ACK, 0);
        c->phase = DATA;
        next_packet(c);
        return bytes;
    }
    case DATA:
        return data(c, frame);
    case CLOSE_FIN:
        c->phase = CLOSE_FIN_ACK;
        c->time_us += ROUND_TRIP_US;
        return tcp(c, frame, 0, FIN | ACK, 0);
    case CLOSE_FIN_ACK:
        c->phase = CLOSE_ACK;
        return tcp(c, frame, 1, FIN | ACK, 0);
    case CLOSE_ACK:
        c->phase = OVER;
        return tcp(c, frame, 0, ACK, 0);
    default:
        return 0;
    }
}
