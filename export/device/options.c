#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { USAGE = 2 };

_Noreturn void edgegen_usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("edgegen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(USAGE);
}

static uint64_t whole(const char *flag, const char *text, uint64_t low, uint64_t high) {
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    /* strtoull takes a sign and leading space; a count has neither. */
    if (*text < '0' || *text > '9' || *end || errno || number < low || number > high)
        edgegen_usage_error("%s %s is not a whole number in %llu..%llu", flag, text, (unsigned long long)low,
                            (unsigned long long)high);
    return number;
}

static float temperature(const char *text) {
    char *end;
    const double number = strtod(text, &end);
    if (end == text || *end || !(number == 0 || (number >= 0.01 && number <= 100)))
        edgegen_usage_error("--temperature %s is neither 0 nor in 0.01..100", text);
    return (float)number;
}

static int32_t label(const char *name) {
    for (int32_t i = 0; i < edgegen_codec.labels; i++)
        if (strcmp(edgegen_codec.label_names[i], name) == 0) return i;
    fprintf(stderr, "edgegen: label '%s' is unknown to this generator; it knows: ", name);
    for (int32_t i = 0; i < edgegen_codec.labels; i++)
        fprintf(stderr, "%s%s", i ? ", " : "", edgegen_codec.label_names[i]);
    fputc('\n', stderr);
    exit(USAGE);
}

static const char *output(const char *path) {
    const char *suffix = strrchr(path, '.');
    if (strcmp(path, "-") != 0 && (!suffix || strcmp(suffix, ".jsonl") != 0))
        edgegen_usage_error("-o %s: this executable writes .jsonl, and - for standard output", path);
    return path;
}

/* The value of argv[*i] where that is `flag`, as `flag value` or, for long flags, `flag=value`; NULL where it is another. */
static const char *value(const char *flag, int argc, char **argv, int *i) {
    const size_t n = strlen(flag);
    if (strncmp(argv[*i], flag, n) != 0) return NULL;
    if (argv[*i][n] == '=' && flag[1] == '-') return argv[*i] + n + 1;
    if (argv[*i][n]) return NULL;
    if (*i + 1 == argc) edgegen_usage_error("%s needs a value", flag);
    return argv[++*i];
}

struct edgegen_options edgegen_parse(int argc, char **argv) {
    struct edgegen_options options = {.count = -1, .temperature = 1, .output = "-"};
    options.labels = calloc((size_t)argc + 1, sizeof *options.labels);
    if (!options.labels) {
        fputs("edgegen: there is not enough memory for the labels; free some and try again\n", stderr);
        exit(EXIT_FAILURE);
    }
    for (int i = 0; i < argc; i++) {
        const char *text;
        if ((text = value("-n", argc, argv, &i))) options.count = (int64_t)whole("-n", text, 0, INT64_MAX);
        else if ((text = value("-o", argc, argv, &i))) options.output = output(text);
        else if ((text = value("--label", argc, argv, &i))) options.labels[options.label_count++] = label(text);
        else if ((text = value("--seed", argc, argv, &i))) options.seed = whole("--seed", text, 0, UINT64_MAX);
        else if ((text = value("--first", argc, argv, &i))) options.first = whole("--first", text, 0, UINT64_MAX);
        else if ((text = value("--batch", argc, argv, &i))) options.batch = (int64_t)whole("--batch", text, 1, INT32_MAX);
        else if ((text = value("--temperature", argc, argv, &i))) options.temperature = temperature(text);
        else if ((text = value("--engine", argc, argv, &i))) {
            if (strcmp(text, "auto") != 0 && strcmp(text, "native") != 0)
                edgegen_usage_error("--engine %s: this executable has the engine native only", text);
        } else edgegen_usage_error("%s is not a flag of generate, and a bundle needs not be named: try --help", argv[i]);
    }
    if (options.count < 0) edgegen_usage_error("generate needs -n N, the number of flows");
    if (options.count && (uint64_t)options.count - 1 > UINT64_MAX - options.first)
        edgegen_usage_error("flow numbers end at 18446744073709551615: lower --first or -n");
    return options;
}
