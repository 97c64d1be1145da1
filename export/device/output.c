#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 16, BROKEN_PIPE = 141, INTERRUPTED = 130 };

static const char *target;
static char *temporary; /* NULL for stdout */
static int file = STDOUT_FILENO;
static char *buffer; /* BUFFER_BYTES and one record more */
static size_t filled;

static void fail(const char *what) {
    const int reason = errno;
    if (temporary) unlink(temporary);
    if (reason == EPIPE && !temporary) _exit(BROKEN_PIPE);
    fprintf(stderr, "edgegen: cannot %s %s: %s; choose another place or make room\n", what,
            temporary ? target : "standard output", strerror(reason));
    exit(EXIT_FAILURE);
}

static void interrupted(int number) {
    (void)number;
    if (temporary) unlink(temporary);
    _exit(INTERRUPTED);
}

void edgegen_output_open(const char *path, size_t record) {
    buffer = malloc(BUFFER_BYTES + record);
    signal(SIGPIPE, SIG_IGN);
    if (!buffer) {
        fputs("edgegen: there is not enough memory to write flows; free some and try again\n", stderr);
        exit(EXIT_FAILURE);
    }
    if (strcmp(path, "-") == 0) return;
    target = path;
    const size_t room = strlen(path) + 32;
    temporary = malloc(room);
    if (!temporary) fail("create");
    snprintf(temporary, room, "%s.%ld.tmp", path, (long)getpid());
    file = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (file < 0) fail("create");
    signal(SIGINT, interrupted);
    signal(SIGTERM, interrupted);
    signal(SIGHUP, interrupted);
}

static void flush(void) {
    for (size_t done = 0; done < filled;) {
        const ssize_t n = write(file, buffer + done, filled - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail("write");
        done += (size_t)n;
    }
    filled = 0;
}

char *edgegen_output_room(void) {
    if (filled >= BUFFER_BYTES) flush();
    return buffer + filled;
}

void edgegen_output_add(size_t bytes) { filled += bytes; }

void edgegen_output_close(void) {
    flush();
    free(buffer);
    if (!temporary) return;
    if (close(file) != 0) fail("write");
    if (rename(temporary, target) != 0) fail("create");
    free(temporary);
    temporary = NULL;
}
