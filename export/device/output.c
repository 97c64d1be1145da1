#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

/* timeout(1) sends its signal twice; who asks again later means it. */
enum { BUFFER_BYTES = 1 << 16, SIGNALLED = 128, PATIENCE = 1 /* seconds */, MOST_NAMES = 10000 };

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

static const char *target; /* NULL for standard output */
static char *temporary;    /* what this process has made, else NULL */
static int file = STDOUT_FILENO;
static char *buffer; /* BUFFER_BYTES and one record more */
static size_t filled;
static volatile sig_atomic_t signalled;
static time_t since; /* of the first signal */

_Noreturn static void end(int status) {
    if (temporary) unlink(temporary);
    exit(status);
}

static void fail(const char *what) {
    const int reason = errno;
    if ((reason == EPIPE || reason == ECONNRESET) && !target) _exit(EDGEGEN_READER_GONE);
    fprintf(stderr, "edgegen: cannot %s %s: %s; choose another place or make room\n", what,
            target ? target : "standard output", strerror(reason));
    end(EXIT_FAILURE);
}

_Noreturn void edgegen_output_fail(const char *sentence) {
    fprintf(stderr, "edgegen: %s\n", sentence);
    end(EXIT_FAILURE);
}

static void interrupt(int number) {
    const time_t now = time(NULL);
    if (!signalled) {
        signalled = number;
        since = now;
        return;
    }
    if (now - since <= PATIENCE) return;
    /* The first is held up, as by a reader that does not read. */
    if (temporary) unlink(temporary);
    signal(number, SIG_DFL);
    raise(number);
}

static void check_signals(void) {
    if (!signalled) return;
    if (temporary)
        fprintf(stderr, "edgegen: interrupted by signal %d: %s was not written\n", (int)signalled, target);
    else
        fprintf(stderr, "edgegen: interrupted by signal %d: the flows written are whole\n", (int)signalled);
    end(SIGNALLED + signalled);
}

/* A file beside the target that was not there: the process number alone is no name of its own, as in two containers that
 * share a folder, and what a killed process has left may bear any. */
static void create(void) {
    const size_t room = strlen(target) + 48;
    char *name = malloc(room);
    if (!name) edgegen_output_fail("there is not enough memory to write flows; free some and try again");
    for (int i = 0; i < MOST_NAMES; i++) {
        snprintf(name, room, "%s.%ld-%d.tmp", target, (long)getpid(), i);
        file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (file >= 0 || errno != EEXIST) break;
    }
    if (file < 0) fail("create");
    temporary = name;
}

void edgegen_output_open(const char *path, size_t record) {
    /* Without SA_RESTART: a write that waits for a reader returns. */
    struct sigaction action = {.sa_handler = interrupt};
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction before;
        /* What whoever started us wants ignored (nohup) stays so. */
        if (sigaction(caught[i], NULL, &before) != 0 || before.sa_handler == SIG_IGN) continue;
        sigaction(caught[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    buffer = malloc(BUFFER_BYTES + record);
    if (!buffer) edgegen_output_fail("there is not enough memory to write flows; free some and try again");
    if (strcmp(path, "-") == 0) return;
    target = path;
    create();
}

/* Until `output` can be written to, where whoever started us has it not wait by itself. A signal ends this, too. */
static void await(int output) {
    struct pollfd room = {.fd = output, .events = POLLOUT};
    poll(&room, 1, -1);
}

void edgegen_output_flush(void) {
    size_t done = 0, wanted = filled;
    while (done < wanted) {
        const ssize_t n = write(file, buffer + done, wanted - done);
        if (n < 0 && errno == EAGAIN) await(file);
        else if (n < 0 && errno != EINTR) fail("write");
        done += n < 0 ? 0 : (size_t)n;
        if (!signalled || temporary) continue;
        /* What has been written ends with a whole record. */
        wanted = done;
        while (wanted && wanted < filled && buffer[wanted - 1] != '\n') wanted++;
    }
    filled = 0;
    check_signals();
}

void edgegen_output_wait(int input) {
    sigset_t held, before;
    fd_set inputs;
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) sigaddset(&held, caught[i]);
    FD_ZERO(&inputs);
    FD_SET(input, &inputs);
    /* Held from the look until the wait: a signal between the two would be seen after the next input only. */
    sigprocmask(SIG_BLOCK, &held, &before);
    check_signals();
    pselect(input + 1, &inputs, NULL, NULL, NULL, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    check_signals();
}

char *edgegen_output_room(void) {
    if (filled >= BUFFER_BYTES) edgegen_output_flush();
    check_signals();
    return buffer + filled;
}

void edgegen_output_add(size_t bytes) { filled += bytes; }

void edgegen_output_close(void) {
    edgegen_output_flush();
    free(buffer);
    if (!temporary) return;
    if (close(file) != 0) fail("write");
    /* Once it has its name, another process may take this one, and an interrupt must not unlink that. */
    char *name = temporary;
    temporary = NULL;
    if (rename(name, target) != 0) {
        temporary = name;
        fail("create");
    }
    free(name);
}

void edgegen_output_printed(void) {
    if (fflush(stdout) != 0 || ferror(stdout)) fail("write");
}
