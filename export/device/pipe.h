/* Flows over a pipe: one request a line in, its flows and one line more out; edgegen/serve/pipe.py in C. */
#ifndef EDGEGEN_PIPE_H
#define EDGEGEN_PIPE_H

#include "options.h"

/* Answer the lines of standard input on standard output until it ends; the exit status. */
int edgegen_pipe(const struct edgegen_options *options);

#endif
