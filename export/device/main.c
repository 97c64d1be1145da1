/* The static executable: engine, weights and codec in one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "json.h"
#include "model.h"
#include "options.h"
#include "output.h"
#include "pcap.h"
#include "pipe.h"
#include "sha256.h"
#include "trust.h"

static const char HELP[] =
    "usage: edgegen generate -n N [-o OUT] [--first I] [FLAG]...\n"
    "       edgegen pipe [--most-flows M] [--batch B] [--threads T]\n"
    "       edgegen bench [--seconds S] [FLAG]...\n"
    "       edgegen verify\n"
    "       edgegen info\n"
    "\n"
    "generate  N labelled flows, as JSON lines to standard output, or to OUT.jsonl or OUT.pcap\n"
    "pipe      answers requests, a line of JSON each, from standard input until it ends\n"
    "bench     how fast this machine makes them, and in how much memory, as JSON\n"
    "verify    generate the golden flows again and compare them with those of the export\n"
    "info      what this generator knows\n"
    "\n"
    "Flow number i is a function of these:\n"
    "  --seed S         0 .. 2^64 - 1, 0 where it is not given\n"
    "  --label L        flows have the labels given in turn; none: labels by their training share\n"
    "  --temperature T  0 for the likeliest packets; 1 as trained\n"
    "  --min-packets P  packets that every flow has at least\n"
    "and not of these:\n"
    "  --first I        number of the first flow\n"
    "  --batch B        flows at a time, for each thread\n"
    "  --threads T      threads, which share the flows between them\n"
    "  EDGEGEN_KERNELS  in the environment: kernels other than the fastest that the processor runs (see info)\n"
    "\n"
    "A request is an object with any of n, label or weights, seed, first, temperature and min_packets, as in\n"
    "  {\"n\": 100, \"label\": [\"dns\", \"web\"], \"seed\": 7}  or  {\"n\": 500, \"weights\": {\"dns\": 3, \"web\": 1}}\n"
    "Its answer is its flows as JSON lines, and at last {\"done\": N, \"seed\": S}. Where that is {\"error\": \"...\"}, the\n"
    "answer is not whole. No request takes more than 65,536 bytes or asks for more than M flows, 1000000 where M is not\n"
    "given.\n"
    "\n"
    "Every verb first checks the signature that `edgegen sign` put beside this file, where it is told to:\n"
    "  --require-signature KEY.pub  refuse to run unless this key signed it; or EDGEGEN_REQUIRE_SIGNATURE\n"
    "  --check-signature KEY.pub    warn where it is not signed at all; or EDGEGEN_CHECK_SIGNATURE\n"
    "\n"
    "A gateway is served best by the widest batch, the default: the weights, which no small cache holds, are then read\n"
    "once for all flows in it. --batch 1 takes the least memory, and the least time to a first flow.\n";

static _Noreturn void out_of_memory(void) {
    edgegen_output_fail("there is not enough memory to generate; free some or lower --batch or --threads");
}

/* To be called first: the code around the kernels is compiled for the same processors. */
static void check_processor(void) {
    if (edgegen_variant()) return;
    const char *only = getenv("EDGEGEN_KERNELS");
    if (only && *only)
        fprintf(stderr, "edgegen: this processor cannot run the kernels that EDGEGEN_KERNELS names (%s); unset it\n", only);
    else
        fputs("edgegen: this processor lacks instructions that the engine needs; export for another target\n", stderr);
    exit(EXIT_FAILURE);
}

static int32_t *new_array(int64_t count) {
    int32_t *array = calloc((size_t)(count ? count : 1), sizeof *array);
    if (!array) out_of_memory();
    return array;
}

static int generate(const struct edgegen_options *options) {
    edgegen_output_open(options->output, options->pcap ? edgegen_pcap_record() : edgegen_json_bound());
    const int width = edgegen_options_width(options, options->request.count);
    struct edgegen_stream *stream = edgegen_open(&options->request, width, options->threads);
    if (!stream) out_of_memory();
    if (options->pcap) edgegen_pcap(stream);
    else edgegen_json_lines(stream);
    edgegen_close(stream);
    edgegen_output_close();
    return EXIT_SUCCESS;
}

/* A verb that takes options. */
static int with_options(enum edgegen_verb verb, int argc, char **argv, int run(const struct edgegen_options *)) {
    check_processor();
    const struct edgegen_options options = edgegen_parse(verb, argc, argv);
    const int status = run(&options);
    free((void *)options.request.labels);
    return status;
}

static void add_words(struct edgegen_sha256 *sha, const uint32_t *words, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const uint8_t little[4] = {(uint8_t)words[i], (uint8_t)(words[i] >> 8), (uint8_t)(words[i] >> 16),
                                   (uint8_t)(words[i] >> 24)};
        edgegen_sha256_add(sha, little, sizeof little);
    }
}

static int verify(void) {
    const struct edgegen_golden *golden = &edgegen_golden;
    const int64_t count = golden->count, size = count * edgegen_codec.length;
    check_processor();
    int32_t *tokens = new_array(size);
    uint32_t *places = (uint32_t *)new_array(size);
    const struct edgegen_request request = {
        .controls = {.seed = golden->seed, .temperature = 1, .min_packets = 1},
        .first = golden->first,
        .count = count,
    };
    int status = EXIT_SUCCESS;
    for (const int *width = edgegen_widths; *width && status == EXIT_SUCCESS; width++) {
        struct edgegen_stream *stream = edgegen_open(&request, *width, 1);
        if (!stream) out_of_memory();
        edgegen_read(stream, count, tokens, places);
        edgegen_close(stream);
        struct edgegen_sha256 sha;
        uint8_t digest[32];
        edgegen_sha256_start(&sha);
        add_words(&sha, (uint32_t *)tokens, size);
        add_words(&sha, places, size);
        edgegen_sha256_finish(&sha, digest);
        if (memcmp(digest, golden->sha256, sizeof digest) == 0) continue;
        fprintf(stderr, "edgegen: the golden flows differ from those of the export (%s, batch %d): copy the file again\n",
                edgegen_variant(), *width);
        status = EXIT_FAILURE;
    }
    if (status == EXIT_SUCCESS)
        printf("%d golden flows are the same as at the export (%s)\n", golden->count, edgegen_variant());
    free(tokens);
    free(places);
    return status;
}

static int info(void) {
    const char *variant = edgegen_variant();
    printf("kernels: %s\nbatch widths:", variant ? variant : "none for this processor");
    for (const int *width = edgegen_widths; *width; width++) printf(" %d", *width);
    printf("\npackets: up to %d\nvocabulary: %d tokens\nlabels:\n", edgegen_codec.max_packets,
           edgegen_codec.mode_starts[edgegen_codec.labels]);
    for (int32_t i = 0; i < edgegen_codec.labels; i++) printf("  %s\n", edgegen_codec.label_names[i]);
    return EXIT_SUCCESS;
}

static int do_verb(int argc, char **argv) {
    if (argc < 2) edgegen_usage_error("name a verb: generate, pipe, bench, verify or info (--help says more)");
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(HELP, stdout);
            return EXIT_SUCCESS;
        }
    const char *verb = argv[1];
    int left = argc - 2;
    const struct edgegen_trust trust = edgegen_trust_asked(&left, argv + 2);
    if (trust.key) {
        check_processor();
        edgegen_trust_check(&trust);
    }
    if (strcmp(verb, "generate") == 0) return with_options(EDGEGEN_GENERATE, left, argv + 2, generate);
    if (strcmp(verb, "bench") == 0) return with_options(EDGEGEN_BENCH, left, argv + 2, edgegen_bench);
    if (strcmp(verb, "pipe") == 0) return with_options(EDGEGEN_PIPE, left, argv + 2, edgegen_pipe);
    if (left) edgegen_usage_error("%s takes no %s: the executable is its own bundle", verb, argv[2]);
    if (strcmp(verb, "verify") == 0) return verify();
    if (strcmp(verb, "info") == 0) return info();
    edgegen_usage_error("%s is not a verb: generate, pipe, bench, verify or info", verb);
}

int main(int argc, char **argv) {
    const int status = do_verb(argc, argv);
    edgegen_output_printed();
    return status;
}
