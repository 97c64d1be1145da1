/* JSON (RFC 8259) that is checked once and then walked through where it lies: edgegen/serve/strict_json.py in C, the
 * same texts. Nothing is copied or allocated; all but edgegen_scan wants text that edgegen_scan has found sound. */
#ifndef EDGEGEN_SCAN_H
#define EDGEGEN_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* The value that is all there is in text (bytes + 1,), which ends with a zero; NULL where it is none in UTF-8 without
 * lone surrogates, or is nested more than 16 deep. */
const char *edgegen_scan(const char *text, size_t bytes);

/* The first value of an array, or name of an object; NULL where it is empty. */
const char *edgegen_scan_first(const char *inside);

/* What comes after a value: the next value of the array, or name of the object; NULL after the last. */
const char *edgegen_scan_next(const char *value);

/* The value of a name. */
const char *edgegen_scan_named(const char *name);

/* Decode a string to `out`, room for as many bytes as it has here, no terminating zero; how many there are. */
size_t edgegen_scan_text(const char *string, char *out);

/* Whether the value is a number, and which; an exact one where it is whole and in 0 .. 2^64 - 1. */
struct edgegen_number {
    double value;
    bool whole;
    unsigned long long exact;
};
bool edgegen_scan_number(const char *at, struct edgegen_number *number);

#endif
