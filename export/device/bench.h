/* How fast this executable is on this machine. */
#ifndef EDGEGEN_BENCH_H
#define EDGEGEN_BENCH_H

#include "options.h"

/* Measure and print one JSON document; the process's exit status. */
int edgegen_bench(const struct edgegen_options *options);

#endif
