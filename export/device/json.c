#include "json.h"

#include <string.h>

#include "model.h"

enum { MICROSECONDS = 1000000, DECIMALS = 6 };

/* Written longest: `{"label": "", "proto": 17, "pl": [], "dir": [], "iat": []}` and the newline. */
enum { FRAME_BYTES = 80 };
/* `65535, ` and `1, ` and `2147.483647, `. */
enum { PACKET_BYTES = 7 + 3 + 13 };
/* A control character becomes \u00xx. */
enum { ESCAPE_BYTES = 6 };

size_t edgegen_json_bound(void) {
    size_t longest = 0;
    for (int32_t i = 0; i < edgegen_codec.labels; i++) {
        const size_t n = strlen(edgegen_codec.label_names[i]);
        longest = n > longest ? n : longest;
    }
    return FRAME_BYTES + ESCAPE_BYTES * longest + PACKET_BYTES * (size_t)edgegen_codec.max_packets;
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

static char *put_string(char *out, const char *text) {
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    *out++ = '"';
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        const char *special = strchr(from, c);
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
    *out++ = '"';
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

/* The time in whole microseconds at place / 2^32 of the way through a bin: Codec.time_us. */
static uint32_t time_us(int32_t bin, uint32_t place) {
    const uint32_t low = (uint32_t)edgegen_codec.iat_edges_us[bin], high = (uint32_t)edgegen_codec.iat_edges_us[bin + 1];
    return low + (uint32_t)(((uint64_t)(high - low) * place) >> 32);
}

size_t edgegen_json(char *out, const int32_t *tokens, const uint32_t *places) {
    const struct edgegen_codec *codec = &edgegen_codec;
    const int32_t label = tokens[0] - codec->label_base, stride = codec->iat_bins ? 2 : 1;
    char *const start = out;
    out = put_string(put(out, "{\"label\": "), codec->label_names[label]);
    if (codec->label_protos[label]) out = put_number(put(out, ", \"proto\": "), (uint32_t)codec->label_protos[label]);
    out = put(out, ", \"pl\": [");
    for (int32_t at = 1; tokens[at] != codec->end; at += stride) {
        if (at > 1) out = put(out, ", ");
        out = put_number(out, (uint32_t)((tokens[at] - codec->packet_base) % (codec->max_pl + 1)));
    }
    out = put(out, "], \"dir\": [");
    for (int32_t at = 1; tokens[at] != codec->end; at += stride) {
        if (at > 1) out = put(out, ", ");
        out = put_number(out, (uint32_t)((tokens[at] - codec->packet_base) / (codec->max_pl + 1)));
    }
    out = put(out, "], \"iat\": [");
    for (int32_t at = 1; tokens[at] != codec->end; at += stride) {
        if (at > 1) out = put(out, ", ");
        out = put_seconds(out, codec->iat_bins ? time_us(tokens[at + 1], places[at + 1]) : 0);
    }
    out = put(out, "]}\n");
    return (size_t)(out - start);
}
