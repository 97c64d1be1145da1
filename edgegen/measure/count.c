/* A plugin of QEMU's user mode that counts instructions, for each function of the program by its symbol.
 *
 * Written when the program ends, to the file named in EDGEGEN_COUNTS: a line `<instructions> <symbol>` each. The few
 * declarations are those of QEMU's plugin interface, whose header Debian does not package. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*executed)(unsigned vcpu, void *data), int flags,
                                          void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t id, void *data), void *data);

EXPORT int qemu_plugin_version = EDGEGEN_PLUGIN_VERSION;

struct function {
    char *symbol;
    uint64_t instructions;
    struct function *next;
};

/* A stretch of code without a jump. */
struct block {
    struct function *function;
    uint64_t instructions;
};

static struct function *functions;

static struct function *find(const char *symbol) {
    for (struct function *f = functions; f; f = f->next)
        if (strcmp(f->symbol, symbol) == 0) return f;
    struct function *f = calloc(1, sizeof *f);
    if (!f || !(f->symbol = strdup(symbol))) abort();
    f->next = functions;
    return functions = f;
}

static void executed(unsigned vcpu, void *data) {
    (void)vcpu;
    const struct block *block = data;
    block->function->instructions += block->instructions;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    const char *symbol = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
    struct block *block = calloc(1, sizeof *block);
    if (!block) abort();
    block->function = find(symbol && *symbol ? symbol : "?");
    block->instructions = qemu_plugin_tb_n_insns(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, block);
}

static void ended(uint64_t id, void *data) {
    (void)id;
    (void)data;
    const char *path = getenv("EDGEGEN_COUNTS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    for (const struct function *f = functions; f; f = f->next)
        fprintf(file, "%llu %s\n", (unsigned long long)f->instructions, f->symbol);
    fclose(file);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
