/* The static executable: engine, weights and codec in one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "loop.h"
#include "model.h"
#include "options.h"
#include "output.h"
#include "sha256.h"

/* Flows kept in memory at a time: enough that the rows which idle at the end of a chunk do not matter. */
enum { CHUNK = 1024 };

static const char HELP[] =
    "usage: edgegen generate -n N [--label L]... [--seed S] [--first I] [--batch B] [--temperature T] [-o OUT.jsonl]\n"
    "       edgegen verify\n"
    "       edgegen info\n"
    "\n"
    "generate  flows as JSON lines, to standard output or OUT.jsonl; labels by their training share or in turn\n"
    "verify    generate the golden flows again and compare them with those of the export\n"
    "info      what this generator knows\n";

static _Noreturn void out_of_memory(void) {
    fputs("edgegen: there is not enough memory to generate; free some or lower --batch\n", stderr);
    exit(EXIT_FAILURE);
}

static void check_processor(void) {
    if (edgegen_variant()) return;
    fputs("edgegen: this processor lacks instructions that the engine is compiled for; export for another target\n", stderr);
    exit(EXIT_FAILURE);
}

static int32_t *new_array(int64_t count) {
    int32_t *array = calloc((size_t)(count ? count : 1), sizeof *array);
    if (!array) out_of_memory();
    return array;
}

static struct edgegen_instance *open_instance(int64_t batch, int64_t count) {
    struct edgegen_instance *instance = edgegen_open(edgegen_width(batch && batch < count ? batch : count));
    if (!instance) out_of_memory();
    return instance;
}

static int generate(int argc, char **argv) {
    const struct edgegen_options options = edgegen_parse(argc, argv);
    const int64_t length = edgegen_codec.length, room = options.count < CHUNK ? options.count : CHUNK;
    check_processor();
    struct edgegen_instance *instance = open_instance(options.batch, options.count);
    int32_t *labels = new_array(room), *tokens = new_array(room * length);
    uint32_t *places = (uint32_t *)new_array(room * length);
    edgegen_output_open(options.output, edgegen_json_bound());
    for (int64_t done = 0; done < options.count; done += room) {
        const int64_t count = options.count - done < room ? options.count - done : room;
        const uint64_t first = options.first + (uint64_t)done;
        for (int64_t i = 0; i < count; i++)
            labels[i] = options.label_count ? options.labels[(first + (uint64_t)i) % (uint64_t)options.label_count]
                                            : EDGEGEN_DRAWN_LABEL;
        edgegen_loop(instance, options.seed, first, count, labels, options.temperature, tokens, places);
        for (int64_t i = 0; i < count; i++)
            edgegen_output_add(edgegen_json(edgegen_output_room(), tokens + i * length, places + i * length));
    }
    edgegen_output_close();
    edgegen_close(instance);
    free(labels);
    free(tokens);
    free(places);
    free(options.labels);
    return EXIT_SUCCESS;
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
    int32_t *labels = new_array(count), *tokens = new_array(size);
    uint32_t *places = (uint32_t *)new_array(size);
    for (int64_t i = 0; i < count; i++) labels[i] = EDGEGEN_DRAWN_LABEL;
    int status = EXIT_SUCCESS;
    for (const int *width = edgegen_widths; *width && status == EXIT_SUCCESS; width++) {
        struct edgegen_instance *instance = edgegen_open(*width);
        if (!instance) out_of_memory();
        edgegen_loop(instance, golden->seed, golden->first, count, labels, 1, tokens, places);
        edgegen_close(instance);
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
    free(labels);
    free(tokens);
    free(places);
    return status;
}

static int info(void) {
    const char *variant = edgegen_variant();
    printf("kernels: %s\nbatch widths:", variant ? variant : "none for this processor");
    for (const int *width = edgegen_widths; *width; width++) printf(" %d", *width);
    printf("\npackets: up to %d\nvocabulary: %d tokens\nlabels:\n", edgegen_codec.max_packets,
           edgegen_codec.label_base + edgegen_codec.labels);
    for (int32_t i = 0; i < edgegen_codec.labels; i++) printf("  %s\n", edgegen_codec.label_names[i]);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    if (argc < 2) edgegen_usage_error("name a verb: generate, verify or info (--help says more)");
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) return fputs(HELP, stdout) < 0;
    const char *verb = argv[1];
    if (strcmp(verb, "generate") == 0) return generate(argc - 2, argv + 2);
    if (argc > 2) edgegen_usage_error("%s takes no %s: the executable is its own bundle", verb, argv[2]);
    if (strcmp(verb, "verify") == 0) return verify();
    if (strcmp(verb, "info") == 0) return info();
    edgegen_usage_error("%s is not a verb: generate, verify or info", verb);
}
