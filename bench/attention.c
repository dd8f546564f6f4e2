/* attention.c — speed of the attention kernels on one thread, for each instruction set of this CPU.
 *
 * Training shapes: GFLOP/s, counting 2 · head_dim · T² / 2 a head and product (forward 2 products, back_q 3, back_kv
 * 4), and its share of a bare FMA loop measured just before. Decoding: GB/s of K and V, and its share of a bare sum
 * over as much memory. Each number is the best of several runs. */
#include "backend/cpu/families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *floats(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
    if (!x) abort();
    for (size_t i = 0; i < n; i++) x[i] = (float)((i * 2654435761u >> 8) % 2001) * 1e-3f - 1;
    return x;
}

/* ---- the machine's limits ---------------------------------------------------------------------------------------- */

/* Fourteen chains of x = x · a + b on vectors of `lanes` floats. */
#define FMA_LOOP(name, flags, lanes)                                                                                   \
    typedef float name##_vector __attribute__((vector_size(4 * (lanes))));                                             \
    __attribute__((target(flags), optimize("fp-contract=fast"))) static double name(void)                              \
    {                                                                                                                  \
        name##_vector x[14] = {{0}}, a = {0}, b = {0};                                                                 \
        enum { turns = 2000000 };                                                                                      \
        __asm__ volatile("" : "+x"(a), "+x"(b));                                                                       \
        for (int i = 0; i < 14; i++) __asm__ volatile("" : "+x"(x[i]));                                                \
        double start = now();                                                                                          \
        for (int t = 0; t < turns; t++) {                                                                              \
            _Pragma("GCC unroll 14") for (int i = 0; i < 14; i++) x[i] = x[i] * a + b;                                 \
        }                                                                                                              \
        double seconds = now() - start;                                                                                \
        for (int i = 0; i < 14; i++) __asm__ volatile("" : : "x"(x[i]));                                               \
        return 2.0 * 14 * (lanes)*turns / seconds * 1e-9;                                                              \
    }
FMA_LOOP(fma_loop_4, "fma", 4)
FMA_LOOP(fma_loop_8, "avx2,fma", 8)
FMA_LOOP(fma_loop_16, "avx512f", 16)

static double best_of(double (*measure)(void))
{
    double best = 0;
    for (int i = 0; i < 40; i++) best = fmax(best, measure());
    return best;
}

__attribute__((target("avx2"))) static double read_speed(const float *x, size_t n)
{
    typedef float eight __attribute__((vector_size(32)));
    double best = 0;
    for (int run = 0; run < 5; run++) {
        eight sum[8] = {{0}};
        double start = now();
        for (size_t i = 0; i + 64 <= n; i += 64)
            for (size_t j = 0; j < 8; j++) sum[j] += *(const eight *)(x + i + 8 * j);
        for (size_t j = 0; j < 8; j++) __asm__ volatile("" : : "x"(sum[j]));
        best = fmax(best, (double)n * sizeof(float) / (now() - start) * 1e-9);
    }
    return best;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static struct cpu_attention problem(size_t rows, size_t position, size_t group, size_t dim, const float **pages)
{
    size_t tokens = position + rows, width = group * dim;
    struct cpu_attention a = {.ldq = width,
                              .ldo = width,
                              .ldlse = group,
                              .page_tokens = tokens,
                              .ldk = dim,
                              .rows = rows,
                              .group = group,
                              .head_dim = dim,
                              .position = position,
                              .scale = 1 / sqrtf((float)dim),
                              .key_end = tokens};
    pages[0] = floats(tokens * dim);
    pages[1] = floats(tokens * dim);
    a.k_pages = pages;
    a.v_pages = pages + 1;
    a.q = floats(rows * width);
    a.out = floats(rows * width);
    a.lse = floats(rows * group);
    a.dout = floats(rows * width);
    a.dq = floats(rows * width);
    a.dk = floats(rows > 1 ? tokens * dim : 1);
    a.dv = floats(rows > 1 ? tokens * dim : 1);
    a.scratch = floats(cpu_attention_scratch(group, dim));
    return a;
}

static void release(struct cpu_attention a)
{
    const void *all[] = {a.k_pages[0], a.v_pages[0], a.q, a.out, a.lse, a.dout, a.dq, a.dk, a.dv, a.scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free((void *)all[i]);
}

static double seconds_of(void (*kernel)(const struct cpu_attention *), const struct cpu_attention *a)
{
    double best = INFINITY, spent = 0;
    for (int run = 0; run < 3 || spent < 0.3; run++) {
        double start = now();
        kernel(a);
        double seconds = now() - start;
        best = fmin(best, seconds);
        spent += seconds;
    }
    return best;
}

static void train(const struct cpu_kernels *t, double peak, size_t tokens, size_t group, size_t dim)
{
    const float *pages[2];
    struct cpu_attention a = problem(tokens, 0, group, dim, pages);
    double product = 2.0 * (double)dim * (double)tokens * (double)tokens / 2 * (double)group * 1e-9;
    double forward = 2 * product / seconds_of(t->attention, &a);
    double back_q = 3 * product / seconds_of(t->attention_back_q, &a);
    double back_kv = 4 * product / seconds_of(t->attention_back_kv, &a);
    printf("  T %4zu  heads %2zu  head_dim %3zu   forward %5.1f (%2.0f %%)   back_q %5.1f (%2.0f %%)   back_kv %5.1f "
           "(%2.0f %%)"
           "  GFLOP/s\n",
           tokens, group, dim, forward, 100 * forward / peak, back_q, 100 * back_q / peak, back_kv,
           100 * back_kv / peak);
    release(a);
}

static void decode(const struct cpu_kernels *t, size_t tokens, size_t group, size_t dim)
{
    const float *pages[2];
    struct cpu_attention a = problem(1, tokens - 1, group, dim, pages);
    double bytes = 2.0 * (double)(tokens * dim) * sizeof(float), limit = read_speed(pages[0], tokens * dim);
    double speed = bytes / seconds_of(t->attention, &a) * 1e-9;
    printf("  decode  keys %6zu  heads %2zu  head_dim %3zu   %5.1f GB/s (%2.0f %% of %.1f)\n", tokens, group, dim,
           speed, 100 * speed / limit, limit);
    release(a);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*fill)(struct cpu_kernels *t);
        double (*peak)(void);
    } levels[] = {{"scalar", attention_scalar, fma_loop_4},
                  {"avx2", attention_avx2, fma_loop_8},
                  {"avx512", attention_avx512, fma_loop_16}};
    bool has[] = {true, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (!has[i]) continue;
        struct cpu_kernels t = {0};
        double peak = best_of(levels[i].peak);
        levels[i].fill(&t);
        printf("%s: FMA loop %.1f GFLOP/s\n", levels[i].name, peak);
        train(&t, peak, 512, 3, 64);
        train(&t, peak, 128, 3, 64);
        train(&t, peak, 2048, 4, 128);
        decode(&t, 512, 3, 64);
        decode(&t, 8192, 3, 64);
        decode(&t, 131072, 3, 64);
        decode(&t, 131072, 1, 128);
    }
    return 0;
}
