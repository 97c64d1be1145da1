#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flow.h"
#include "model.h"

enum { USAGE = 2, MOST_THREADS = 256, MOST_FLOWS = 1000000 };

_Noreturn static void end(int status, const char *format, va_list arguments) {
    fputs("edgegen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(status);
}

_Noreturn void edgegen_usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    end(USAGE, format, arguments);
}

_Noreturn void edgegen_failure(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    end(EXIT_FAILURE, format, arguments);
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
    /* strtod takes hexadecimal digits, too. */
    if (end == text || *end || strpbrk(text, "xX") || !(number == 0 || (number >= 0.01 && number <= 100)))
        edgegen_usage_error("--temperature %s is neither 0 nor in 0.01..100", text);
    return (float)number;
}

/* A text inside a sentence, which has one line. */
static void put_line(const char *text) {
    for (; *text; text++) fputc(*text == '\n' || *text == '\r' ? ' ' : *text, stderr);
}

static int32_t label(const char *name) {
    const int32_t found = edgegen_label_named(name, strlen(name));
    if (found >= 0) return found;
    fputs("edgegen: label '", stderr);
    put_line(name);
    fputs("' is unknown to this generator; it knows: ", stderr);
    for (int32_t i = 0; i < edgegen_codec.labels; i++) {
        if (i) fputs(", ", stderr);
        put_line(edgegen_codec.label_names[i]);
    }
    fputc('\n', stderr);
    exit(USAGE);
}

static bool has_suffix(const char *path, const char *suffix) {
    const char *found = strrchr(path, '.');
    /* A name that starts with a dot has no suffix there. */
    return found && found != path && found[-1] != '/' && strcasecmp(found, suffix) == 0;
}

static void set_output(struct edgegen_options *options, const char *path) {
    options->pcap = has_suffix(path, ".pcap");
    if (strcmp(path, "-") != 0 && !options->pcap && !has_suffix(path, ".jsonl"))
        edgegen_usage_error("-o %s: this executable writes .jsonl and .pcap, and - for JSON lines on standard output", path);
    options->output = path;
}

/* The value of argv[*i] where that is `flag`, as `flag value`, `--flag=value` or `-fvalue`; NULL where it is another. */
static const char *value(const char *flag, int argc, char **argv, int *i) {
    const size_t n = strlen(flag);
    if (strncmp(argv[*i], flag, n) != 0) return NULL;
    if (argv[*i][n] == '=' && flag[1] == '-') return argv[*i] + n + 1;
    if (argv[*i][n]) return flag[1] == '-' ? NULL : argv[*i] + n;
    if (*i + 1 == argc) edgegen_usage_error("%s needs a value", flag);
    return argv[++*i];
}

const char *edgegen_take(const char *flag, const char *variable, int *argc, char **argv) {
    const char *file = getenv(variable), *text;
    if (file && !*file) edgegen_usage_error("%s names no file: name one, or unset it", variable);
    int kept = 0;
    for (int i = 0; i < *argc; i++)
        if ((text = value(flag, *argc, argv, &i))) file = text;
        else argv[kept++] = argv[i];
    *argc = kept;
    return file;
}

/* Whether argv[*i] is a flag that says how flows are made, and not which. */
static bool how(struct edgegen_options *options, int argc, char **argv, int *i) {
    const char *text;
    if ((text = value("--batch", argc, argv, i))) options->batch = (int64_t)whole("--batch", text, 1, INT32_MAX);
    else if ((text = value("--threads", argc, argv, i))) options->threads = (int)whole("--threads", text, 1, MOST_THREADS);
    else if ((text = value("--engine", argc, argv, i))) {
        if (strcmp(text, "auto") != 0 && strcmp(text, "native") != 0)
            edgegen_usage_error("--engine %s: this executable has the engine native only", text);
    } else return false;
    return true;
}

/* Whether argv[*i] is a flag that says which flows are made, or how. */
static bool which(struct edgegen_options *options, int argc, char **argv, int *i) {
    struct edgegen_request *request = &options->request;
    const char *text;
    if ((text = value("--label", argc, argv, i))) ((int32_t *)request->labels)[request->label_count++] = label(text);
    else if ((text = value("--seed", argc, argv, i))) request->controls.seed = whole("--seed", text, 0, UINT64_MAX);
    else if ((text = value("--temperature", argc, argv, i))) request->controls.temperature = temperature(text);
    else if ((text = value("--min-packets", argc, argv, i)))
        request->controls.min_packets =
            (int32_t)whole("--min-packets", text, 1, (uint64_t)edgegen_codec.max_packets);
    else return how(options, argc, argv, i);
    return true;
}

static bool of_generate(struct edgegen_options *options, int argc, char **argv, int *i) {
    struct edgegen_request *request = &options->request;
    const char *text;
    if ((text = value("-n", argc, argv, i))) request->count = (int64_t)whole("-n", text, 0, INT64_MAX);
    else if ((text = value("-o", argc, argv, i))) set_output(options, text);
    else if ((text = value("--first", argc, argv, i))) request->first = whole("--first", text, 0, UINT64_MAX);
    else return which(options, argc, argv, i);
    return true;
}

static bool of_bench(struct edgegen_options *options, int argc, char **argv, int *i) {
    const char *text = value("--seconds", argc, argv, i);
    if (!text) return which(options, argc, argv, i);
    options->seconds = (double)whole("--seconds", text, 1, 3600);
    return true;
}

static bool of_pipe(struct edgegen_options *options, int argc, char **argv, int *i) {
    const char *text = value("--most-flows", argc, argv, i);
    if (!text) return how(options, argc, argv, i);
    options->most_flows = (int64_t)whole("--most-flows", text, 1, INT64_MAX);
    return true;
}

static const struct {
    const char *name;
    bool (*flag)(struct edgegen_options *options, int argc, char **argv, int *i); /* whether argv[*i] is one of its */
} verbs[] = {
    [EDGEGEN_GENERATE] = {"generate", of_generate},
    [EDGEGEN_BENCH] = {"bench", of_bench},
    [EDGEGEN_PIPE] = {"pipe", of_pipe},
};

struct edgegen_options edgegen_parse(enum edgegen_verb verb, int argc, char **argv) {
    struct edgegen_options options = {.threads = 1, .seconds = 2, .output = "-", .most_flows = MOST_FLOWS};
    struct edgegen_request *request = &options.request;
    request->controls = (struct edgegen_controls){.temperature = 1, .min_packets = 1};
    request->count = -1;
    request->labels = calloc((size_t)argc + 1, sizeof *request->labels);
    if (!request->labels) {
        fputs("edgegen: there is not enough memory for the labels; free some and try again\n", stderr);
        exit(EXIT_FAILURE);
    }
    for (int i = 0; i < argc; i++)
        if (!verbs[verb].flag(&options, argc, argv, &i))
            edgegen_usage_error("%s is not a flag of %s, and a bundle needs not be named: try --help", argv[i],
                                verbs[verb].name);
    if (verb != EDGEGEN_GENERATE) return options;
    if (request->count < 0) edgegen_usage_error("generate needs -n N, the number of flows");
    if (request->count && (uint64_t)request->count - 1 > UINT64_MAX - request->first)
        edgegen_usage_error("flow numbers end at 18446744073709551615: lower --first or -n");
    return options;
}

int edgegen_options_width(const struct edgegen_options *options, int64_t flows) {
    return edgegen_width(options->batch && options->batch < flows ? options->batch : flows);
}
