#include "json.h"

#include <string.h>

#include "flow.h"
#include "model.h"
#include "output.h"

enum { MICROSECONDS = 1000000, DECIMALS = 6 };

/* Written longest: `{"label": "", "proto": 17, "pl": [], "dir": [], "iat": []}` and the newline. */
enum { FRAME_BYTES = 80 };
/* `65535, ` and `1, ` and `2147.483647, `. */
enum { PACKET_BYTES = 7 + 3 + 13 };

size_t edgegen_json_bound(void) {
    size_t longest = 0;
    for (int32_t i = 0; i < edgegen_codec.labels; i++) {
        const size_t n = strlen(edgegen_codec.label_names[i]);
        longest = n > longest ? n : longest;
    }
    return FRAME_BYTES + EDGEGEN_JSON_ESCAPE * longest + PACKET_BYTES * (size_t)edgegen_codec.max_packets;
}

static char *put(char *out, const char *text) {
    const size_t n = strlen(text);
    memcpy(out, text, n);
    return out + n;
}

static char *put_number(char *out, uint32_t number) {
    char digits[10];
    int n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (n) *out++ = digits[--n];
    return out;
}

char *edgegen_json_text(char *out, const char *text, size_t bytes) {
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    for (const char *const end = text + bytes; text < end; text++) {
        const unsigned char c = (unsigned char)*text;
        const char *special = c ? strchr(from, c) : NULL;
        if (special) {
            *out++ = '\\';
            *out++ = to[special - from];
        } else if (c < 0x20) {
            out = put(out, "\\u00");
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15];
        } else {
            *out++ = (char)c;
        }
    }
    return out;
}

/* Seconds with six decimals, trailing zeros left out but one decimal kept. */
static char *put_seconds(char *out, uint32_t us) {
    out = put_number(out, us / MICROSECONDS);
    *out++ = '.';
    uint32_t rest = us % MICROSECONDS;
    for (int i = DECIMALS - 1; i >= 0; i--, rest /= 10) out[i] = (char)('0' + rest % 10);
    int n = DECIMALS;
    while (n > 1 && out[n - 1] == '0') n--;
    return out + n;
}

size_t edgegen_json(char *out, const struct edgegen_sequence *sequence) {
    const int32_t label = edgegen_label(sequence), proto = edgegen_codec.label_protos[label];
    const int32_t count = edgegen_packet_count(sequence);
    char *const start = out;
    const char *const name = edgegen_codec.label_names[label];
    out = put(edgegen_json_text(put(out, "{\"label\": \""), name, strlen(name)), "\"");
    if (proto) out = put_number(put(out, ", \"proto\": "), (uint32_t)proto);
    out = put(out, ", \"pl\": [");
    for (int32_t i = 0; i < count; i++)
        out = put_number(i ? put(out, ", ") : out, (uint32_t)edgegen_packet(sequence, i).pl);
    out = put(out, "], \"dir\": [");
    for (int32_t i = 0; i < count; i++)
        out = put_number(i ? put(out, ", ") : out, (uint32_t)edgegen_packet(sequence, i).dir);
    out = put(out, "], \"iat\": [");
    for (int32_t i = 0; i < count; i++)
        out = put_seconds(i ? put(out, ", ") : out, edgegen_packet(sequence, i).iat_us);
    out = put(out, "]}\n");
    return (size_t)(out - start);
}

void edgegen_json_lines(struct edgegen_stream *stream) {
    for (const struct edgegen_sequence *next; (next = edgegen_next(stream));)
        edgegen_output_add(edgegen_json(edgegen_output_room(), next));
}
