/* attention.c — speed of the attention kernels on one thread, for each instruction set of this CPU.
 *
 * Training shapes: GFLOP/s, counting 2 · head_dim · T² / 2 a head and product (forward 2 products, back_q 3, back_kv
 * 4), and its share of a bare FMA loop measured just before. Decoding: GB/s of K and V, and its share of a bare sum
 * over as much memory. Each number is the best of several runs. */
#include "backend/cpu/families.h"
#include "backend/cpu/peaks.h"

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

/* Kernels, and what they are given: bf16 everywhere, or f32. */
struct subject {
    const char *name;
    const struct cpu_attention_kernels *k;
    enum number number;
    enum kv_type kv;
    double peak; /* GFLOP/s */
};

static void *numbers(size_t n, enum number number)
{
    float *x = floats(n);
    for (size_t i = 0; number == NUMBER_BF16 && i < n; i++) ((uint16_t *)x)[i] = float_to_bf16(x[i]);
    return x;
}

static void *keys(size_t tokens, size_t dim, enum kv_type kv, const struct cpu_kernels *scalar)
{
    float *x = floats(tokens * dim);
    char *y = aligned_alloc(64, (tokens * kv_bytes(kv, dim) + 63) / 64 * 64);
    if (!y) abort();
    for (size_t i = 0; i < tokens; i++) scalar->kv_store(y + i * kv_bytes(kv, dim), kv, x + i * dim, NUMBER_F32, dim);
    free(x);
    return y;
}

static struct cpu_attention problem(const struct subject *s, size_t rows, size_t position, size_t group, size_t dim,
                                    const void **pages)
{
    size_t tokens = position + rows, width = group * dim;
    struct cpu_kernels scalar = {0};
    struct cpu_attention a = {.number = s->number,
                              .kv = s->kv,
                              .ldq = width,
                              .ldo = width,
                              .ldlse = group,
                              .page_tokens = tokens,
                              .kv_row = kv_bytes(s->kv, dim),
                              .ldk = dim,
                              .rows = rows,
                              .group = group,
                              .head_dim = dim,
                              .position = position,
                              .scale = 1 / sqrtf((float)dim),
                              .key_end = rows > 1 ? tokens : 0};
    attention_scalar(&scalar);
    pages[0] = keys(tokens, dim, s->kv, &scalar);
    pages[1] = keys(tokens, dim, s->kv, &scalar);
    a.k_pages = pages;
    a.v_pages = pages + 1;
    a.q = numbers(rows * width, s->number);
    a.out = numbers(rows * width, s->number);
    a.lse = floats(rows * group);
    a.dout = numbers(rows * width, s->number);
    a.dq = numbers(rows * width, s->number);
    a.dk = numbers(rows > 1 ? tokens * dim : 1, s->number);
    a.dv = numbers(rows > 1 ? tokens * dim : 1, s->number);
    a.scratch = floats(s->k->scratch(group, dim, a.key_end));
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
    for (int run = 0; run < 3 || spent < 0.2; run++) {
        double start = now();
        kernel(a);
        double seconds = now() - start;
        best = fmin(best, seconds);
        spent += seconds;
    }
    return best;
}

static void train(const struct subject *s, size_t tokens, size_t group, size_t dim)
{
    const void *pages[2];
    struct cpu_attention a = problem(s, tokens, 0, group, dim, pages);
    double product = 2.0 * (double)dim * (double)tokens * (double)tokens / 2 * (double)group * 1e-9;
    double forward = seconds_of(s->k->forward, &a);
    double back_q = seconds_of(s->k->back_q, &a), back_kv = seconds_of(s->k->back_kv, &a);
    double back = s->k->back ? seconds_of(s->k->back, &a) : back_q + back_kv;
    printf("  T %4zu  heads %2zu  head_dim %3zu   forward %6.1f us %5.1f GFLOP/s (%2.0f %%)   back_q %5.1f (%2.0f %%)"
           "   back_kv %5.1f (%2.0f %%)   back %6.1f us\n",
           tokens, group, dim, 1e6 * forward, 2 * product / forward, 100 * 2 * product / forward / s->peak,
           3 * product / back_q, 100 * 3 * product / back_q / s->peak, 4 * product / back_kv,
           100 * 4 * product / back_kv / s->peak, 1e6 * back);
    release(a);
}

static void decode(const struct subject *s, size_t tokens, size_t group, size_t dim)
{
    const void *pages[2];
    struct cpu_attention a = problem(s, 1, tokens - 1, group, dim, pages);
    double bytes = 2.0 * (double)(tokens * kv_bytes(s->kv, dim)), limit = read_speed(pages[0], tokens * dim / 4);
    double seconds = seconds_of(s->k->forward, &a), speed = bytes / seconds * 1e-9;
    printf("  decode  keys %6zu  heads %2zu  head_dim %3zu   %7.1f us   %5.1f GB/s (%2.0f %% of %.1f)\n", tokens, group,
           dim, 1e6 * seconds, speed, 100 * speed / limit, limit);
    release(a);
}

static void measure(const struct subject *s)
{
    printf("%s: peak %.1f GFLOP/s\n", s->name, s->peak);
    train(s, 512, 3, 64);
    train(s, 128, 3, 64);
    train(s, 2048, 4, 128);
    decode(s, 512, 3, 64);
    decode(s, 8192, 3, 64);
    decode(s, 131072, 3, 64);
    decode(s, 131072, 1, 128);
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
        levels[i].fill(&t);
        measure(&(struct subject){levels[i].name, &t.attention, NUMBER_F32, KV_F32, best_of(levels[i].peak)});
    }
#if LORAC_X86
    if (!__builtin_cpu_supports("avx512bf16")) return 0;
    struct cpu_peaks peaks = {0};
    struct cpu_kernels t = {0};
    attention_avx512bf16(&t);
    peaks_avx512bf16(&peaks);
    double best = 0;
    for (int i = 0; i < 40; i++) {
        float sink;
        double start = now(), flops = peaks.bf16(200000, &sink);
        best = fmax(best, flops / (now() - start) * 1e-9);
    }
    measure(&(struct subject){"avx512bf16, f32", &t.attention_bf16, NUMBER_F32, KV_F32, best});
    measure(&(struct subject){"avx512bf16, bf16", &t.attention_bf16, NUMBER_BF16, KV_BF16, best});
    measure(&(struct subject){"avx512bf16, bf16, 8-bit cache", &t.attention_bf16, NUMBER_BF16, KV_Q8, best});
#endif
    return 0;
}
