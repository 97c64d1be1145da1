#define _POSIX_C_SOURCE 200809L
#include "pipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asked.h"
#include "json.h"
#include "output.h"

enum { CHUNK_BYTES = 4096, LAST_BYTES = 80 };

/* What has been read of standard input. */
static char chunk[CHUNK_BYTES];
static size_t taken, filled;

/* The next byte, EOF after the last. */
static int next_byte(void) {
    while (taken == filled) {
        edgegen_output_wait(STDIN_FILENO);
        const ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n == 0) return EOF;
        if (n < 0 && errno == ECONNRESET) exit(EDGEGEN_READER_GONE);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            char sentence[256];
            snprintf(sentence, sizeof sentence, "cannot read standard input (%s): give the pipe another",
                     strerror(errno));
            edgegen_output_fail(sentence);
        }
        taken = 0;
        filled = n < 0 ? 0 : (size_t)n;
    }
    return (unsigned char)chunk[taken++];
}

/* The next line, without its end and with a zero, and its bytes: EDGEGEN_MOST_BODY + 1 of one that is longer.
 * line (EDGEGEN_MOST_BODY + 2,). false where there is none. */
static bool next_line(char *line, size_t *bytes) {
    int c = 0;
    *bytes = 0;
    while (*bytes <= EDGEGEN_MOST_BODY && (c = next_byte()) != EOF && c != '\n') line[(*bytes)++] = (char)c;
    line[*bytes] = 0;
    return *bytes || c != EOF;
}

static void skip_line(void) {
    for (int c = 0; c != EOF && c != '\n';) c = next_byte();
}

static void refuse(const char *sentence) {
    struct edgegen_refusal refusal;
    edgegen_refusal_start(&refusal, edgegen_output_room());
    edgegen_refuse(&refusal, sentence);
    edgegen_output_add(edgegen_refusal_end(&refusal));
}

static void answer(const struct edgegen_options *options, const struct edgegen_request *request) {
    const int width = edgegen_options_width(options, request->count);
    struct edgegen_stream *stream = edgegen_open(request, width, options->threads);
    if (!stream) {
        refuse("there is not enough memory to generate: lower --batch or --threads");
        return;
    }
    edgegen_json_lines(stream);
    edgegen_close(stream);
    edgegen_output_add((size_t)snprintf(edgegen_output_room(), LAST_BYTES, "{\"done\": %lld, \"seed\": %llu}\n",
                                        (long long)request->count, (unsigned long long)request->controls.seed));
}

int edgegen_pipe(const struct edgegen_options *options) {
    const size_t flow = edgegen_json_bound(), refused = edgegen_refusal_bound(EDGEGEN_MOST_BODY);
    edgegen_output_open("-", flow > refused ? flow : refused);
    struct edgegen_asker *asker = edgegen_asker_new(options->most_flows);
    char *const line = malloc(EDGEGEN_MOST_BODY + 2);
    if (!asker || !line) edgegen_output_fail("there is not enough memory for requests; free some and try again");
    for (size_t bytes; next_line(line, &bytes);) {
        struct edgegen_request request;
        struct edgegen_refusal refusal;
        edgegen_refusal_start(&refusal, edgegen_output_room());
        if (edgegen_ask(asker, line, bytes, &request, &refusal)) answer(options, &request);
        else edgegen_output_add(edgegen_refusal_end(&refusal));
        edgegen_output_flush();
        if (bytes > EDGEGEN_MOST_BODY) skip_line();
    }
    edgegen_output_close();
    edgegen_asker_free(asker);
    free(line);
    return EXIT_SUCCESS;
}
