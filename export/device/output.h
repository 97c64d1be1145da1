/* Records to a file or to standard output, whole ones only: a file appears under its name when it is complete.
 *
 * Failures end the process with one sentence and status 1 (141 where the reader of standard output has gone), SIGINT, SIGTERM and
 * SIGHUP with one sentence and status 128 + the signal's number. No part of a file and no part of a record stays behind. */
#ifndef EDGEGEN_OUTPUT_H
#define EDGEGEN_OUTPUT_H

#include <stddef.h>

/* The exit status where whoever reads standard output has gone. */
enum { EDGEGEN_READER_GONE = 141 };

/* Start writing `path`, "-" for standard output; `record` is the size of the longest record. */
void edgegen_output_open(const char *path, size_t record);

/* Where the next record goes: room for the longest one. */
char *edgegen_output_room(void);

/* The record written there has `bytes` bytes. */
void edgegen_output_add(size_t bytes);

/* Write what is there already. */
void edgegen_output_flush(void);

/* Wait, after a flush, until `input` can be read; a signal ends the process meanwhile, too. */
void edgegen_output_wait(int input);

/* Write what is left and give the file its name. */
void edgegen_output_close(void);

/* To be called at last where something was printed with stdio: an exit status of 0 means that it has arrived. */
void edgegen_output_printed(void);

/* Drop the file, say what is wrong in a sentence, and end with status 1. */
_Noreturn void edgegen_output_fail(const char *sentence);

#endif
