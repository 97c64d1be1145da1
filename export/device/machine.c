#define _POSIX_C_SOURCE 200809L
#include "machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LINE_BYTES = 8192 };

void edgegen_print_string(const char *text) {
    putchar('"');
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c < 0x20 || c > 0x7E) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

/* The first line of a file without its end; false where there is none. */
static bool first_line(const char *path, char *line, size_t bytes) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    const bool found = fgets(line, (int)bytes, file) != NULL;
    fclose(file);
    if (found) line[strcspn(line, "\n")] = 0;
    return found;
}

/* What /proc/cpuinfo says of the first of `names` that it has. */
static bool cpu_fact(const char *const *names, char *text, size_t bytes) {
    char line[LINE_BYTES];
    for (; *names; names++) {
        FILE *file = fopen("/proc/cpuinfo", "r");
        if (!file) return false;
        bool found = false;
        while (!found && fgets(line, sizeof line, file)) {
            const char *colon = strchr(line, ':');
            const size_t n = strlen(*names);
            if (!colon || strncmp(line, *names, n) != 0 || !strchr(" \t:", line[n])) continue;
            snprintf(text, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
            text[strcspn(text, "\n")] = 0;
            found = true;
        }
        fclose(file);
        if (found) return true;
    }
    return false;
}

static void print_fact(const char *name, bool known, const char *text) {
    printf(", \"%s\": ", name);
    if (known) edgegen_print_string(text);
    else fputs("null", stdout);
}

/* A whole number in a file, in units of 1 / `scale`. */
static void print_number(const char *name, const char *path, double scale) {
    char line[64];
    printf(", \"%s\": ", name);
    if (first_line(path, line, sizeof line) && strspn(line, "-0123456789") == strlen(line) && *line)
        printf("%.6g", strtod(line, NULL) / scale);
    else fputs("null", stdout);
}

/* Features that decide how fast a generator runs, of all that the processor names. */
static void print_features(void) {
    static const char *const names[] = {"flags", "Features", NULL};
    static const char *const wanted[] = {"avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp",
                                         "neon", "vfpv4", "sve", "i8mm"};
    char line[LINE_BYTES];
    if (!cpu_fact(names, line, sizeof line)) *line = 0;
    fputs(", \"features\": [", stdout);
    const char *separator = "";
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (strcmp(word, wanted[i]) == 0) {
                printf("%s\"%s\"", separator, word);
                separator = ", ";
            }
    putchar(']');
}

void edgegen_print_machine(void) {
    static const char *const models[] = {"model name", "Model", "Hardware", "CPU part", NULL};
    static const char cpu[] = "/sys/devices/system/cpu/cpu0/cpufreq/";
    struct utsname system;
    char text[LINE_BYTES], path[256];
    const bool named = uname(&system) == 0;
    fputs("{\"system\": ", stdout);
    snprintf(text, sizeof text, "%s %s %s", named ? system.sysname : "?", named ? system.release : "?",
             named ? system.machine : "?");
    edgegen_print_string(text);
    print_fact("cpu", cpu_fact(models, text, sizeof text), text);
    print_features();
    printf(", \"cores\": %ld, \"memory_mb\": %.0f", sysconf(_SC_NPROCESSORS_ONLN),
           (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / 1e6);
    snprintf(path, sizeof path, "%sscaling_governor", cpu);
    print_fact("governor", first_line(path, text, sizeof text), text);
    snprintf(path, sizeof path, "%sscaling_cur_freq", cpu);
    print_number("mhz", path, 1e3);
    snprintf(path, sizeof path, "%scpuinfo_max_freq", cpu);
    print_number("mhz_most", path, 1e3);
    print_number("celsius", "/sys/class/thermal/thermal_zone0/temp", 1e3);
    print_fact("load", first_line("/proc/loadavg", text, sizeof text), text);
    putchar('}');
}
