/* The flags of the executable: those of the Python command line, without the bundle it carries in itself. */
#ifndef EDGEGEN_OPTIONS_H
#define EDGEGEN_OPTIONS_H

#include <stdint.h>

struct edgegen_options {
    int64_t count;      /* -n */
    uint64_t seed;      /* --seed */
    uint64_t first;     /* --first */
    int64_t batch;      /* --batch, 0 where it is not given */
    float temperature;  /* --temperature */
    const char *output; /* -o, "-" for stdout */
    int32_t *labels;    /* (label_count,) label indices, in the order given */
    int label_count;
};

/* Ends the process with one sentence and status 2. */
_Noreturn void edgegen_usage_error(const char *format, ...);

/* The flags after `generate`; a wrong one is a usage error. */
struct edgegen_options edgegen_parse(int argc, char **argv);

#endif
