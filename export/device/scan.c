#include "scan.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 16, HEX_DIGITS = 4 };

static const char digits[] = "0123456789";

static const char *space(const char *at) { return at + strspn(at, " \t\n\r"); }

/* Behind the digits at `at`, of which there is at least one, else NULL. */
static const char *some_digits(const char *at) {
    const size_t n = strspn(at, digits);
    return n ? at + n : NULL;
}

static const char *number(const char *at) {
    at += *at == '-';
    at = *at == '0' ? at + 1 : some_digits(at);
    if (at && *at == '.') at = some_digits(at + 1);
    if (at && (*at == 'e' || *at == 'E')) {
        at += at[1] == '-' || at[1] == '+';
        at = some_digits(at + 1);
    }
    return at;
}

/* The four hexadecimal digits at `at`, else -1. */
static int32_t hex(const char *at) {
    int32_t value = 0;
    for (int i = 0; i < HEX_DIGITS; i++) {
        const char c = at[i], lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f') value = value * 16 + (lower - 'a' + 10);
        else return -1;
    }
    return value;
}

/* The character that the escape at *at, behind its backslash, stands for, and *at behind it; -1 where it is none. */
static int32_t escaped(const char **at) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = **at ? strchr(from, **at) : NULL;
    if (found) {
        ++*at;
        return to[found - from];
    }
    if (**at != 'u') return -1;
    const int32_t unit = hex(*at + 1);
    if (unit < 0) return -1;
    *at += 1 + HEX_DIGITS;
    if (unit < 0xD800 || unit > 0xDFFF) return unit;
    /* Of a pair of surrogates this is the first, and the second follows. */
    const int32_t second = unit < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u' ? hex(*at + 2) : -1;
    if (second < 0xDC00 || second > 0xDFFF) return -1;
    *at += 2 + HEX_DIGITS;
    return 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
}

/* Bytes of the UTF-8 character at `at`, 0 where it is none, a control character, or a quote. */
static size_t character(const char *at) {
    const unsigned char *c = (const unsigned char *)at;
    if (c[0] < 0x80) return c[0] >= 0x20 && c[0] != '"';
    const size_t n = c[0] >= 0xF0 ? 4 : c[0] >= 0xE0 ? 3 : 2;
    if (c[0] < 0xC2 || c[0] > 0xF4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((c[i] & 0xC0) != 0x80) return 0;
    /* Not the longer form of a shorter one, no surrogate, nothing beyond U+10FFFF. */
    if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F)) return 0;
    if ((c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F)) return 0;
    return n;
}

static const char *string(const char *at) {
    if (*at++ != '"') return NULL;
    while (*at != '"') {
        const size_t n = character(at);
        if (!n) return NULL;
        const bool escape = *at == '\\';
        at += n;
        if (escape && escaped(&at) < 0) return NULL;
    }
    return at + 1;
}

static const char *word(const char *at, const char *text) {
    const size_t n = strlen(text);
    return strncmp(at, text, n) == 0 ? at + n : NULL;
}

static const char *value(const char *at, int depth);

/* Behind the colon of the member at `at`, else NULL. */
static const char *name(const char *at) {
    at = string(at);
    if (at) at = space(at);
    return at && *at == ':' ? space(at + 1) : NULL;
}

static const char *inside(const char *at, int depth) {
    const bool object = *at == '{';
    const char close = object ? '}' : ']';
    at = space(at + 1);
    if (*at == close) return at + 1;
    for (;;) {
        if (object) at = name(at);
        if (at) at = value(at, depth);
        if (!at) return NULL;
        at = space(at);
        if (*at == close) return at + 1;
        if (*at != ',') return NULL;
        at = space(at + 1);
    }
}

/* Behind the value at `at`, NULL where it is none. */
static const char *value(const char *at, int depth) {
    switch (*at) {
    case '"': return string(at);
    case '{':
    case '[': return depth ? inside(at, depth - 1) : NULL;
    case 't': return word(at, "true");
    case 'f': return word(at, "false");
    case 'n': return word(at, "null");
    default: return number(at);
    }
}

const char *edgegen_scan(const char *text, size_t bytes) {
    const char *const at = space(text), *end = value(at, MOST_DEPTH);
    return end && space(end) == text + bytes ? at : NULL;
}

const char *edgegen_scan_first(const char *at) {
    at = space(at + 1);
    return *at == ']' || *at == '}' ? NULL : at;
}

const char *edgegen_scan_next(const char *at) {
    at = space(value(at, MOST_DEPTH));
    return *at == ',' ? space(at + 1) : NULL;
}

const char *edgegen_scan_named(const char *at) { return name(at); }

size_t edgegen_scan_text(const char *at, char *out) {
    char *const start = out;
    for (at++; *at != '"';) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at++;
        const uint32_t c = (uint32_t)escaped(&at);
        /* The head of one, two, three or four bytes of UTF-8, and six bits in each byte that follows. */
        const int more = (c >= 0x80) + (c >= 0x800) + (c >= 0x10000);
        static const uint8_t heads[] = {0, 0xC0, 0xE0, 0xF0};
        *out++ = (char)(heads[more] | c >> 6 * more);
        for (int i = more - 1; i >= 0; i--) *out++ = (char)(0x80 | (c >> 6 * i & 0x3F));
    }
    return (size_t)(out - start);
}

bool edgegen_scan_number(const char *at, struct edgegen_number *found) {
    const char *const end = number(at);
    if (!end) return false;
    *found = (struct edgegen_number){.value = strtod(at, NULL)};
    if (at + strspn(at, digits) == end) {
        errno = 0;
        found->exact = strtoull(at, NULL, 10);
        found->whole = !errno;
    } else if (found->value >= 0 && found->value < 0x1p64) {
        found->exact = (unsigned long long)found->value;
        found->whole = (double)found->exact == found->value;
    }
    return true;
}
