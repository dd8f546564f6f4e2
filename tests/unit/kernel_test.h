/* kernel_test.h — what the kernel tests share: instruction sets, random floats, guarded buffers, measured errors. */
#ifndef KERNEL_TEST_H
#define KERNEL_TEST_H

#include "backend/cpu/families.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A family's function for one instruction set; scalar comes first. */
struct level {
    const char *name;
    void (*fill)(struct cpu_kernels *t);
};
#if LORAC_X86
#define LEVELS(family)                                                                                                 \
    {                                                                                                                  \
        {"scalar", family##_scalar}, {"avx2", family##_avx2},                                                          \
        {                                                                                                              \
            "avx512", family##_avx512                                                                                  \
        }                                                                                                              \
    }
#else
#define LEVELS(family)                                                                                                 \
    {                                                                                                                  \
        {                                                                                                              \
            "scalar", family##_scalar                                                                                  \
        }                                                                                                              \
    }
#endif

/* The level's table; false: this CPU lacks its instructions. */
static inline bool open_level(struct cpu_kernels *t, struct level level)
{
    bool has = true;
#if LORAC_X86
    if (!strcmp(level.name, "avx2")) has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(level.name, "avxvnni")) has = cpu_has_avxvnni();
    if (!strncmp(level.name, "avx512", 6))
        has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vnni");
    if (!strcmp(level.name, "avx512vbmi")) has = has && __builtin_cpu_supports("avx512vbmi");
    if (!strcmp(level.name, "avx512bf16")) has = has && __builtin_cpu_supports("avx512bf16");
#endif
    memset(t, 0, sizeof *t);
    if (has) level.fill(t);
    return has;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------
 */

static inline uint64_t draw(uint64_t *state) /* SplitMix64 */
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
/* In (−2, 2), roughly normal. */
static inline float draw_float(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)(draw(state) >> 40) * 0x1p-24f - 0.5f;
    return sum;
}

/* ---- guarded buffers ----------------------------------------------------------------------------------------------
 */

enum { GUARD = 21 }; /* odd, so that the data is aligned to nothing but a float */
static const float GUARD_VALUE = -12345.75f;

/* n random floats between guards, in an exact block. */
static inline float *buffer(size_t n, uint64_t *state)
{
    float *block = aligned_alloc(64, (n + 2 * GUARD + 15) / 16 * 16 * sizeof(float));
    assert_non_null(block);
    for (size_t i = 0; i < n + 2 * GUARD; i++) block[i] = GUARD_VALUE;
    for (size_t i = 0; i < n; i++) block[GUARD + i] = draw_float(state);
    return block + GUARD;
}
static inline float *copy_of(const float *x, size_t n)
{
    uint64_t state = 0;
    float *y = buffer(n, &state);
    memcpy(y, x, n * sizeof *x);
    return y;
}
static inline void release(float *x, size_t n)
{
    for (size_t i = 0; i < GUARD; i++) {
        assert_true(x[-1 - (ptrdiff_t)i] == GUARD_VALUE);
        assert_true(x[n + i] == GUARD_VALUE);
    }
    free(x - GUARD);
}

/* ---- errors -------------------------------------------------------------------------------------------------------
 */

/* The largest |x − y| / max(|y|, top / 100) seen so far in *worst; top = the largest |y|. */
static inline void compare(double *worst, const float *x, const double *y, size_t n)
{
    double top = 1e-30;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs(y[i]));
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)x[i] - y[i]) / fmax(fabs(y[i]), top / 100);
        *worst = error > *worst || isnan(error) ? error : *worst;
    }
}
static inline void compare_floats(double *worst, const float *x, const float *y, size_t n)
{
    double *wide = malloc((n + 1) * sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < n; i++) wide[i] = (double)y[i];
    compare(worst, x, wide, n);
    free(wide);
}
static inline void report(const char *level, const char *what, double worst, double bound)
{
    printf("  %-7s %-28s error %.2e, bound %.0e\n", level, what, worst, bound);
    assert_true(worst <= bound);
}

#endif
