/* gemv_codes.h — rows of the formats of codes.h times one row of int8 activations; the body of gemv_codes_avx2.c,
 * gemv_codes_avxvnni.c and gemv_codes_avx512.c, with the same results.
 *
 * A lane adds up four products of a step exactly and scales them. Four or eight rows share the activations; a row's
 * lanes do not know its neighbours, so its bits do not depend on how rows are grouped. */
#include "backend/cpu/code_scales.h"
#include "backend/cpu/prefetch.h"

enum { VECS = 4, ROWS = VECS * TOGETHER };

/* ---- integers -------------------------------------------------------------------------------------------------- */

#if defined(__AVX512VNNI__)
#define DPBUSD _mm512_dpbusd_epi32
#elif defined(__AVXVNNI__)
#define DPBUSD _mm256_dpbusd_avx_epi32
#endif

/* start + Σ code · q of each lane's four. */
static ALWAYS_INLINE vec add_products(vec start, vec codes, vec q)
{
#ifdef DPBUSD
    return DPBUSD(start, codes, q);
#else
    return V(add_epi32)(start, V(madd_epi16)(V(maddubs_epi16)(codes, q), V(set1_epi16)(1)));
#endif
}

/* −zero · Σ q of each lane's four: what codes_dot starts with. */
static ALWAYS_INLINE vec codes_start(const int zero, vec q)
{
    const vec none = VSI(setzero)();
#ifndef DPBUSD
    if (zero == 128) return none;
#endif
    return zero ? V(sub_epi32)(none, add_products(none, V(set1_epi8)((char)zero), q)) : none;
}

/* Σ (code − zero) · q of each lane's four. Sums of two products take 16 bits where there is no vpdpbusd: larger codes
 * are made signed, and lend their signs to q. */
static ALWAYS_INLINE vec codes_dot(const int zero, vec start, vec codes, vec q)
{
#ifndef DPBUSD
    if (zero == 128) {
        codes = VSI(xor)(codes, V(set1_epi8)((char)0x80));
        q = V(sign_epi8)(q, codes), codes = V(abs_epi8)(codes);
    }
#endif
    (void)zero;
    return add_products(start, codes, q);
}

/* ---- scales of rows together ----------------------------------------------------------------------------------- */

/* d and Σ q · d of step 0 .. 7, or of the halves of steps 0 .. 3 and 4 .. 7. */
struct x_chunk {
    const int8_t *q;
    __m256 d[2], sum[2];
};

/* Numbers of steps as those of their halves. */
static ALWAYS_INLINE void spread(__m256 halves[2], __m256 steps)
{
    const __m256i first = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    halves[0] = _mm256_permutevar8x32_ps(steps, first);
    halves[1] = _mm256_permutevar8x32_ps(steps, _mm256_add_epi32(first, _mm256_set1_epi32(4)));
}

/* Σ q of the halves of four steps. */
static ALWAYS_INLINE __m256 sums_of_halves(const int8_t *q)
{
    const __m256i ones = _mm256_set1_epi8(1), in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i four[4];
    for (size_t j = 0; j < 4; j++) {
        __m256i pairs = _mm256_maddubs_epi16(ones, load32((const uint8_t *)q + BLOCK * j));
        four[j] = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
    __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(four[0], four[1]), _mm256_hadd_epi32(four[2], four[3]));
    return _mm256_cvtepi32_ps(_mm256_permutevar8x32_epi32(sums, in_order));
}

/* Halves have minimums in Q2_K alone, whose chunks are whole. */
static ALWAYS_INLINE struct x_chunk x_chunk_at(const struct coded f, struct cpu_q8 x, size_t b, size_t steps)
{
    struct x_chunk c = {.q = x.q + b * BLOCK};
    c.d[0] = floats_few(x.d + b, steps), c.sum[0] = floats_few(x.sum + b, steps);
    if (f.halves) spread(c.d, c.d[0]);
    for (size_t i = 0; f.halves && f.minimum && i < 2; i++)
        c.sum[i] = _mm256_mul_ps(c.d[i], sums_of_halves(c.q + i * CHUNK / 2));
    return c;
}

/* Numbers of a chunk's steps, or of their halves, of the rows of a vector: the first step's of all rows first. */
struct step_numbers {
    _Alignas(64) float at[TOGETHER * 2 * STEPS];
};

/* x[row][i]: of steps, or of the halves of steps 0 .. 3 and 4 .. 7. */
static ALWAYS_INLINE void put_numbers(const bool halves, struct step_numbers *y, __m256 (*x)[2])
{
#ifdef __AVX512VL__
    const __m512i steps = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const __m512i pairs = _mm512_setr_epi32(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
    for (int i = 0; i < (halves ? 2 : 1); i++) {
        __m512 two = _mm512_insertf32x8(_mm512_castps256_ps512(x[0][i]), x[1][i], 1);
        _mm512_store_ps(y->at + 16 * i, _mm512_permutexvar_ps(halves ? pairs : steps, two));
    }
#else
    for (int i = 0; i < (halves ? 2 : 1); i++) _mm256_store_ps(y->at + 8 * i, x[0][i]);
#endif
}

/* Those of step j in all lanes that they belong to. */
static ALWAYS_INLINE vecf numbers_of(const bool halves, const struct step_numbers *y, size_t j)
{
#ifdef __AVX512VL__
    const __m512i rows = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i parts = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    if (halves) return _mm512_permutevar_ps(_mm512_broadcast_f32x4(_mm_load_ps(y->at + 4 * j)), parts);
    return _mm512_permutevar_ps(_mm512_castpd_ps(_mm512_set1_pd(*(const double *)(const void *)(y->at + 2 * j))), rows);
#else
    if (!halves) return _mm256_broadcast_ss(y->at + j);
    __m256 pair = _mm256_castpd_ps(_mm256_broadcast_sd((const double *)(const void *)(y->at + 2 * j)));
    return _mm256_permutevar_ps(pair, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
#endif
}

/* The scales of the rows of a vector times the activations', and their minimums' part of the sums. */
static ALWAYS_INLINE void scale_chunk(enum quant_type type, const struct quant_matrix *w, struct step_numbers *y,
                                      struct coded_row *row, __m256 *mins, const struct x_chunk *x, size_t steps)
{
    const struct coded f = coded[type];
    __m256 d[TOGETHER][2];
    for (int t = 0; t < TOGETHER; t++) {
        const struct chunk_scales s = next_scales(type, w, row + t, steps);
        for (int i = 0; i < (f.halves ? 2 : 1); i++) {
            d[t][i] = _mm256_mul_ps(s.d[i], x->d[i]);
            if (f.minimum) mins[t] = _mm256_fmadd_ps(s.m[i], x->sum[i], mins[t]);
        }
    }
    put_numbers(f.halves, y, d);
}

/* ---- a chunk --------------------------------------------------------------------------------------------------- */

struct sums {
    vecf sum[VECS];
    __m256 mins[ROWS];
};

static ALWAYS_INLINE vec dot_at(enum quant_type type, const uint8_t *const *row, size_t j, vec q, vec start,
                                vec rest_start)
{
    if (!codes_fractions(type)) return codes_dot(coded[type].zero, start, codes_at(type, row, j), q);
    const bool nf4 = type == QUANT_NF4;
    vec nibbles = nibbles_high_first(row, 16 * j);
    vec high = codes_dot(coded[type].zero, start, look_up(nf4 ? nf4_codes : fp4_codes, nibbles), q);
    vec rest = codes_dot(FRACTION_ZERO, rest_start, look_up(nf4 ? nf4_rests : fp4_rests, nibbles), q);
    return V(add_epi32)(V(slli_epi32)(high, 7), rest);
}

static ALWAYS_INLINE void add_chunk(enum quant_type type, const struct quant_matrix *w, struct coded_row *row,
                                    struct sums *s, const struct x_chunk *x, size_t steps)
{
    const struct coded f = coded[type];
    const uint8_t *chunk[ROWS];
    struct step_numbers n[VECS];
    for (size_t r = 0; r < ROWS; r++) chunk[r] = row[r].chunk;
    for (size_t v = 0; v < VECS; v++) scale_chunk(type, w, n + v, row + TOGETHER * v, s->mins + TOGETHER * v, x, steps);
    for (size_t j = 0; j < steps; j++) {
        vec q = all256(load32((const uint8_t *)x->q + BLOCK * j)), start = codes_start(f.zero, q), rest = start;
        if (codes_fractions(type)) rest = codes_start(FRACTION_ZERO, q);
#pragma GCC unroll 4
        for (size_t v = 0; v < VECS; v++) {
            vecf dot = V(cvtepi32_ps)(dot_at(type, chunk + TOGETHER * v, j, q, start, rest));
            s->sum[v] = V(fmadd_ps)(dot, numbers_of(f.halves, &n[v], j), s->sum[v]);
        }
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static ALWAYS_INLINE __m256 sum_of_row(const struct sums *s, size_t r)
{
#ifdef __AVX512VL__
    return r % 2 ? _mm512_extractf32x8_ps(s->sum[r / 2], 1) : _mm512_castps512_ps256(s->sum[r / 2]);
#else
    return s->sum[r];
#endif
}
/* What the next rows need of the scales and minimums from byte `from` on: they lie apart from the codes. */
static ALWAYS_INLINE void prefetch_scales(enum quant_type type, const struct quant_planes *p, size_t from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) {
        prefetch((uintptr_t)p->scales + from + i, 64);
        if (coded[type].minimum) prefetch((uintptr_t)p->mins + from + i, 64);
    }
}

/* ROWS rows; of fewer the last one stands for those missing, and they are not stored. */
static ALWAYS_INLINE void few_rows(enum quant_type type, float *y, const struct quant_matrix *w, struct coded_rows *all,
                                   size_t rows, struct cpu_q8 x)
{
    const size_t bytes = ROWS * coded[type].chunk_bytes, blocks = w->cols / BLOCK;
    const uint8_t *data = all->next.chunk;
    const size_t scales = (all->next.group + ROWS * all->groups) * all->scale_bytes, more = ROWS * all->chunk_scales;
    struct coded_row row[ROWS];
    struct sums s;
    for (size_t v = 0; v < VECS; v++) s.sum[v] = V(setzero_ps)();
    for (size_t r = 0; r < ROWS; r++) {
        row[r] = r < rows ? next_row(type, all) : row[r - 1];
        s.mins[r] = _mm256_setzero_ps();
    }
    for (size_t b = 0; b < blocks; b += STEPS) {
        const size_t steps = blocks - b < STEPS ? blocks - b : STEPS;
        const struct x_chunk chunk = x_chunk_at(coded[type], x, b, steps);
        prefetch(prefetch_from(data, ROWS, w->row_bytes, b / STEPS * bytes), bytes);
        if (type >= QUANT_PLANES) prefetch_scales(type, &w->planes, scales + b / STEPS * more, more);
        add_chunk(type, w, row, &s, &chunk, steps);
    }
    for (size_t r = 0; r < rows; r++) y[r] = sum8(_mm256_add_ps(sum_of_row(&s, r), s.mins[r]));
}

#define GEMV(type)                                                                                                     \
    static void gemv_##type(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)          \
    {                                                                                                                  \
        struct coded_rows all = coded_rows_from(QUANT_##type, w, row, 0);                                              \
        for (size_t i = 0; i < rows; i += ROWS)                                                                        \
            few_rows(QUANT_##type, y + i, w, &all, rows - i < ROWS ? rows - i : ROWS, x);                              \
    }

/* A file that offers fewer formats defines EACH itself. */
#ifndef EACH
#define EACH(f)                                                                                                        \
    f(Q5_0) f(Q5_1) f(Q2_K) f(Q3_K) f(IQ4_NL) f(IQ4_XS) f(TQ2_0) f(GGML_MXFP4) f(GGML_NVFP4) f(Q1_0) f(Q2_0)           \
        f(AFFINE2) f(AFFINE3) f(AFFINE4) f(AFFINE5) f(AFFINE6) f(AFFINE8) f(MXFP4) f(NVFP4) f(NF4) f(FP4) f(INT8)      \
            f(GRID1) f(GRID2) f(GRID3) f(GRID3_S)
#endif
EACH(GEMV)

static void fill_gemv_codes(struct cpu_kernels *t)
{
#define ENTRY(type) t->gemv_q8[QUANT_##type] = gemv_##type;
    EACH(ENTRY)
}
