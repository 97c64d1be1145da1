/* Records to a file or stdout, whole ones only: a file appears under its name when it is complete. */
#ifndef EDGEGEN_OUTPUT_H
#define EDGEGEN_OUTPUT_H

#include <stddef.h>

/* Start writing `path`, "-" for stdout; `record` is the size of the longest record. Failures end the process with one
 * sentence and status 1 (141 where the reader of a pipe has gone); no part of a file stays behind. */
void edgegen_output_open(const char *path, size_t record);

/* Where the next record goes: room for the longest one. */
char *edgegen_output_room(void);

/* The record written there has `bytes` bytes. */
void edgegen_output_add(size_t bytes);

/* Write what is left and give the file its name. */
void edgegen_output_close(void);

#endif
