/* The flags of the executable: those of the Python command line, without the bundle it carries in itself. */
#ifndef EDGEGEN_OPTIONS_H
#define EDGEGEN_OPTIONS_H

#include <stdbool.h>

#include "stream.h"

struct edgegen_options {
    struct edgegen_request request; /* -n, --seed, --first, --label, --temperature, --min-packets */
    int64_t batch;                  /* --batch, 0 where it is not given */
    int threads;                    /* --threads */
    double seconds;                 /* --seconds, of a measurement */
    const char *output;             /* -o, "-" for standard output */
    bool pcap;                      /* by the suffix of output */
    int64_t most_flows;             /* --most-flows, of one request */
};

enum edgegen_verb { EDGEGEN_GENERATE, EDGEGEN_BENCH, EDGEGEN_PIPE };

/* Ends the process with one sentence and status 2. */
_Noreturn void edgegen_usage_error(const char *format, ...);

/* Ends the process with one sentence and status 1. */
_Noreturn void edgegen_failure(const char *format, ...);

/* The file that a flag names, its last where it is given twice, or else a variable of the environment, or NULL. The flag
 * leaves the arguments. */
const char *edgegen_take(const char *flag, const char *variable, int *argc, char **argv);

/* The flags after the verb; a wrong one is a usage error. */
struct edgegen_options edgegen_parse(enum edgegen_verb verb, int argc, char **argv);

/* The width for as many flows: one of edgegen_widths. */
int edgegen_options_width(const struct edgegen_options *options, int64_t flows);

#endif
