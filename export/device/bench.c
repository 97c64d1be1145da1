#define _GNU_SOURCE /* wait4 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flow.h"
#include "json.h"
#include "machine.h"
#include "model.h"
#include "output.h"

/* Flows of the single-flow measurement: as many as its time allows, within these. */
enum { FEWEST = 20, MOST = 2000, STARTS = 9, CHILD_FLOWS = 500 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which a share of sorted samples lies. */
static double quantile(const double *sorted, int count, double share) {
    return sorted[(int)(share * (count - 1) + 0.5)];
}

/* Tokens that a step was made for: all but the label and an <end> that the grammar forces. */
static int32_t tokens_of(const struct edgegen_sequence *sequence) {
    int32_t count = 0;
    while (count < edgegen_codec.steps && sequence->tokens[count + 1] != EDGEGEN_PADDING) count++;
    return count;
}

static void print_samples(const double *samples, int count, double unit, const char *format) {
    putchar('[');
    for (int i = 0; i < count; i++) {
        if (i) fputs(", ", stdout);
        printf(format, samples[i] * unit);
    }
    putchar(']');
}

/* One flow at a time, from its label to its line of JSON. */
static bool print_one_flow(const struct edgegen_options *options, char *line) {
    struct edgegen_request request = options->request;
    request.count = MOST + 1;
    struct edgegen_stream *stream = edgegen_open(&request, edgegen_width(1), 1);
    double *samples = calloc(2 * MOST, sizeof *samples), *sorted = samples + MOST;
    if (!stream || !samples) return false;
    edgegen_json(line, edgegen_next(stream)); /* the first pays for cold memory */
    int count = 0;
    int64_t tokens = 0;
    for (const double start = now(); count < MOST && (count < FEWEST || now() - start < options->seconds); count++) {
        const double before = now();
        const struct edgegen_sequence *sequence = edgegen_next(stream);
        edgegen_json(line, sequence);
        samples[count] = now() - before;
        tokens += tokens_of(sequence);
    }
    edgegen_close(stream);
    memcpy(sorted, samples, (size_t)count * sizeof *samples);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    double total = 0;
    for (int i = 0; i < count; i++) total += samples[i];
    printf(", \"one_flow\": {\"flows\": %d, \"tokens_a_flow\": %.3f, \"us_a_token\": %.3f, ", count,
           (double)tokens / count, total / (double)tokens * 1e6);
    printf("\"p50_us\": %.1f, \"p95_us\": %.1f, \"p99_us\": %.1f, \"samples_us\": ", quantile(sorted, count, 0.5) * 1e6,
           quantile(sorted, count, 0.95) * 1e6, quantile(sorted, count, 0.99) * 1e6);
    print_samples(samples, count, 1e6, "%.1f");
    putchar('}');
    free(samples);
    return true;
}

/* Flows a second, as many at a time as --batch and --threads say, every one to its line of JSON. */
static bool print_throughput(const struct edgegen_options *options, char *line) {
    struct edgegen_request request = options->request;
    request.count = INT64_MAX;
    const int width = edgegen_options_width(options, INT64_MAX);
    struct edgegen_stream *stream = edgegen_open(&request, width, options->threads);
    if (!stream) return false;
    const int warm = 4 * width * options->threads;
    for (int i = 0; i < warm; i++) edgegen_json(line, edgegen_next(stream));
    int64_t flows = 0, tokens = 0, packets = 0;
    const double start = now();
    double seconds = 0;
    while (seconds < options->seconds) {
        for (int i = 0; i < width; i++, flows++) {
            const struct edgegen_sequence *sequence = edgegen_next(stream);
            edgegen_json(line, sequence);
            tokens += tokens_of(sequence);
            packets += edgegen_packet_count(sequence);
        }
        seconds = now() - start;
    }
    edgegen_close(stream);
    printf(", \"throughput\": {\"batch\": %d, \"threads\": %d, \"flows\": %lld, \"seconds\": %.6f, ", width, options->threads,
           (long long)flows, seconds);
    printf("\"flows_a_second\": %.2f, \"packets_a_second\": %.1f, \"us_a_token\": %.3f}", (double)flows / seconds,
           (double)packets / seconds, seconds / (double)tokens * 1e6);
    return true;
}

/* Microseconds a token by kernel at one width; those of a name together, in the order in which they first come. */
static bool print_kernels(const struct edgegen_options *options, int width) {
    int calls = 0;
    while (edgegen_calls[calls]) calls++;
    uint64_t *laps = calloc((size_t)calls, sizeof *laps);
    struct edgegen_request request = options->request;
    request.count = INT64_MAX;
    struct edgegen_stream *stream = edgegen_open(&request, width, 1);
    if (!laps || !stream) return false;
    edgegen_next(stream);
    edgegen_time(stream, laps);
    int64_t tokens = 0;
    for (const double start = now(); now() - start < options->seconds / 4;) tokens += tokens_of(edgegen_next(stream));
    edgegen_close(stream);
    printf("\"%d\": {", width);
    const char *separator = "";
    for (int i = 0; i < calls; i++) {
        uint64_t total = 0;
        bool first = true;
        for (int k = 0; k < calls; k++) {
            if (strcmp(edgegen_calls[i], edgegen_calls[k]) != 0) continue;
            first = first && k >= i;
            total += laps[k];
        }
        if (!first) continue;
        printf("%s\"%s\": %.3f", separator, edgegen_calls[i], (double)total / (double)tokens * 1e-3);
        separator = ", ";
    }
    putchar('}');
    free(laps);
    return true;
}

static bool print_profiles(const struct edgegen_options *options) {
    fputs(", \"kernels_us_a_token\": {", stdout);
    for (const int *width = edgegen_widths; *width; width++) {
        if (width != edgegen_widths) fputs(", ", stdout);
        if (!print_kernels(options, *width)) return false;
    }
    putchar('}');
    return true;
}

/* This executable again as `generate -n flows --batch batch`: seconds from its start to its first byte, and the most
 * memory it had; false where this system does not start it (an emulator may not). */
static bool run_again(const char *flows, const char *batch, double *first, long *kilobytes) {
    int ends[2];
    if (pipe(ends) != 0) return false;
    const double start = now();
    const pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "edgegen", "generate", "-n", flows, "--batch", batch, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char bytes[4096];
    const bool any = read(ends[0], bytes, sizeof bytes) > 0;
    *first = now() - start;
    while (read(ends[0], bytes, sizeof bytes) > 0) continue;
    close(ends[0]);
    int status;
    struct rusage usage;
    const bool ended = wait4(child, &status, 0, &usage) == child;
    *kilobytes = usage.ru_maxrss;
    return any && ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void print_starts(void) {
    double samples[STARTS];
    long memory;
    int count = 0;
    while (count < STARTS && run_again("1", "1", &samples[count], &memory)) count++;
    fputs(", \"first_flow_ms\": ", stdout);
    if (count == STARTS) print_samples(samples, count, 1e3, "%.3f");
    else fputs("null", stdout);
    fputs(", \"peak_memory_kb\": {", stdout);
    for (const int *width = edgegen_widths; *width; width++) {
        char batch[16], flows[16];
        snprintf(batch, sizeof batch, "%d", *width);
        snprintf(flows, sizeof flows, "%d", CHILD_FLOWS);
        printf("%s\"%d\": ", width == edgegen_widths ? "" : ", ", *width);
        if (run_again(flows, batch, &samples[0], &memory)) printf("%ld", memory);
        else fputs("null", stdout);
    }
    putchar('}');
}

int edgegen_bench(const struct edgegen_options *options) {
    char *line = malloc(edgegen_json_bound());
    struct stat file;
    fputs("{\"variant\": ", stdout);
    edgegen_print_string(edgegen_variant());
    if (stat("/proc/self/exe", &file) == 0) printf(", \"executable_bytes\": %lld", (long long)file.st_size);
    printf(", \"min_packets\": %d, \"machine\": ", options->request.controls.min_packets);
    edgegen_print_machine();
    const bool done =
        line && print_one_flow(options, line) && print_profiles(options) && print_throughput(options, line);
    if (done) {
        edgegen_output_printed(); /* else a child would have what is not written yet, too */
        print_starts();
        puts("}");
    }
    free(line);
    if (done) return EXIT_SUCCESS;
    fputs("edgegen: there is not enough memory to measure; free some or lower --batch\n", stderr);
    return EXIT_FAILURE;
}
