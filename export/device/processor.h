/* What this processor can run, asked once at start to choose a kernel variant. */
#ifndef EDGEGEN_PROCESSOR_H
#define EDGEGEN_PROCESSOR_H

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

/* The register sets that the operating system saves: XCR0. */
static inline uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static inline bool has_x86_64_v3(void) {
    unsigned a, b, c, d;
    const unsigned wanted1 = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C | bit_SSE4_2 | bit_POPCNT;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & wanted1) != wanted1) return false;
    const unsigned wanted7 = bit_AVX2 | bit_BMI | bit_BMI2;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & wanted7) != wanted7) return false;
    return (saved_registers() & 6) == 6; /* SSE and AVX state */
}

static inline bool has_x86_64_v4_vnni(void) {
    unsigned a, b, c, d;
    if (!has_x86_64_v3() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned wanted = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    if ((b & wanted) != wanted || !(c & bit_AVX512VNNI)) return false;
    return (saved_registers() & 0xe6) == 0xe6; /* and the AVX-512 state */
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

enum { CAPABILITY_ASIMDDP = 1 << 20 };

static inline bool has_dotprod(void) { return getauxval(AT_HWCAP) & CAPABILITY_ASIMDDP; }

#elif defined(__arm__)
#include <sys/auxv.h>

enum { CAPABILITY_NEON = 1 << 12, CAPABILITY_VFPV4 = 1 << 16, CAPABILITY_IDIVA = 1 << 17 };

/* What all of the executable, compiled for a Cortex-A7, needs: a Cortex-A5 may have the first two and cannot divide. */
static inline bool has_neon_vfpv4_idiva(void) {
    const unsigned long wanted = CAPABILITY_NEON | CAPABILITY_VFPV4 | CAPABILITY_IDIVA;
    return (getauxval(AT_HWCAP) & wanted) == wanted;
}
#endif

#endif
