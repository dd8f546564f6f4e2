/* gemv_chunks_avx512.h — rows of formats of up to four bits times one row of int8 activations, with AVX-512 VNNI; the
 * body of gemv_chunks_avx512.c and gemv_chunks_avx512vbmi.c.
 *
 * 256 codes of a row are taken out where they lie: 64 bytes are shifted and masked, and what that leaves in a vector
 * are codes of columns far apart. So the activations are brought, once for all rows, into the order in which the codes
 * come. Lanes of a sum belong to one half of a block each; vectors whose lanes belong to the same halves are added up
 * in integers before they are scaled. A row's chain knows no other row. */
#include "backend/cpu/code_scales.h"
#include "backend/cpu/prefetch.h"

enum { VECTORS = 4, ROWS = 4, HALF = 16, HALVES = CHUNK / HALF, MOST_CHUNKS = 32 /* of a row at a time */ };

/* ---- orders ---------------------------------------------------------------------------------------------------- */

/* Where byte i of vector v is from: the column in the chunk. */
enum order {
    IN_PAIRS,   /* 16 (i / 4) + 4 (i % 4) + v: bits 2 v of byte after byte */
    IN_NIBBLES, /* 128 (v / 2) + 2 i + v % 2 */
    IN_EIGHTS,  /* 32 (i / 8) + 8 v + i % 8 */
    IN_BLOCKS,  /* 128 (i / 32) + 32 v + i % 32: bits 2 v of 32 bytes after 32 bytes */
};
static ALWAYS_INLINE enum order order_of(enum quant_type type)
{
    if (type == QUANT_AFFINE2) return IN_PAIRS;
    if (type == QUANT_AFFINE3) return IN_EIGHTS;
    return type >= QUANT_PLANES ? IN_NIBBLES : IN_BLOCKS;
}

/* Sums of a chunk, and the one that a vector is added to. */
static ALWAYS_INLINE size_t sums_of(enum order order)
{
    return order == IN_BLOCKS ? VECTORS : order == IN_NIBBLES ? 2 : 1;
}
static ALWAYS_INLINE size_t sum_of(enum order order, size_t v)
{
    return v * sums_of(order) / VECTORS;
}

/* Numbers of the halves in the lanes of sum k. */
static ALWAYS_INLINE __m512 lanes_of(enum order order, __m512 halves, size_t k)
{
    const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i fours = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 8, 8, 8, 8, 9, 9, 9, 9);
    if (sums_of(order) == 1) return halves;
    __m512i at = order == IN_NIBBLES ? _mm512_add_epi32(pairs, _mm512_set1_epi32(8 * (int)k))
                                     : _mm512_add_epi32(fours, _mm512_set1_epi32(2 * (int)k));
    return _mm512_permutexvar_ps(at, halves);
}

/* ---- activations ----------------------------------------------------------------------------------------------- */

struct x_chunk {
    _Alignas(64) int8_t q[VECTORS][64];
    int32_t start[VECTORS][HALVES]; /* of each sum: −zero · Σ q */
    float d[HALVES], sum[HALVES];   /* Σ q · d: of halves, or of a block in its first half's place */
};

/* 16 bytes so that the words of four that go to one vector lie together. */
static ALWAYS_INLINE __m128i words_of(enum order order, __m128i q)
{
    if (order == IN_PAIRS)
        return _mm_shuffle_epi8(q, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    if (order == IN_NIBBLES)
        return _mm_shuffle_epi8(q, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    return q;
}
/* Where word i of half h goes: lane + 16 · vector. */
static ALWAYS_INLINE size_t place_of(enum order order, size_t h, size_t i)
{
    switch (order) {
    case IN_PAIRS:
        return 16 * i + h;
    case IN_NIBBLES:
        return 16 * (h / 8 * 2 + i / 2) + h % 8 * 2 + i % 2;
    case IN_EIGHTS:
        return 16 * (h % 2 * 2 + i / 2) + h / 2 * 2 + i % 2;
    default:
        return 16 * (h % 8 / 2) + h / 8 * 8 + h % 2 * 4 + i;
    }
}

static ALWAYS_INLINE int sum_of_half(const int8_t *q)
{
    __m128i bytes = _mm_xor_si128(load16((const uint8_t *)q), _mm_set1_epi8((char)0x80));
    __m128i sums = _mm_sad_epu8(bytes, _mm_setzero_si128());
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4) - 128 * HALF;
}

static ALWAYS_INLINE void arrange_chunk(enum quant_type type, struct x_chunk *to, struct cpu_q8 x, size_t b,
                                        size_t steps)
{
    const struct coded f = coded[type];
    const enum order order = order_of(type);
    const __m512i zero = _mm512_set1_epi8((char)f.zero), none = _mm512_setzero_si512();
    __m512i start[VECTORS] = {none, none, none, none};
    memset(to, 0, sizeof *to);
    for (size_t h = 0; h < 2 * steps; h++) {
        const int8_t *q = x.q + b * BLOCK + h * HALF;
        uint32_t words[4];
        _mm_storeu_si128((__m128i *)words, words_of(order, load16((const uint8_t *)q)));
        for (size_t i = 0; i < 4; i++) memcpy(to->q[0] + 4 * place_of(order, h, i), words + i, 4);
        to->d[h] = x.d[b + h / 2];
        if (f.halves && f.minimum)
            to->sum[h] = to->d[h] * (float)sum_of_half(q);
        else if (h % 2 == 0)
            to->sum[h] = x.sum[b + h / 2];
    }
    for (size_t v = 0; v < VECTORS; v++) {
        __m512i *sum = start + sum_of(order, v);
        *sum = _mm512_dpbusd_epi32(*sum, zero, _mm512_load_si512(to->q[v]));
    }
    for (size_t k = 0; k < VECTORS; k++) _mm512_store_si512(to->start[k], _mm512_sub_epi32(none, start[k]));
}

/* Keeps a vector in a register: to load again what lies across two lines is slow when they are not there yet. */
#define LOAD_ONCE(x) __asm__("" : "+v"(x))

/* ---- codes ----------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void take_pairs(__m512i v[VECTORS], __m512i bytes)
{
    LOAD_ONCE(bytes);
    v[0] = low_bits(bytes, 2), v[1] = low_bits(_mm512_srli_epi16(bytes, 2), 2);
    v[2] = low_bits(_mm512_srli_epi16(bytes, 4), 2), v[3] = low_bits(_mm512_srli_epi16(bytes, 6), 2);
}

static ALWAYS_INLINE void take_nibbles(__m512i v[VECTORS], const uint8_t *codes, const uint8_t *table)
{
    for (size_t t = 0; t < VECTORS; t += 2) {
        __m512i bytes = _mm512_loadu_si512(codes + 32 * t);
        LOAD_ONCE(bytes);
        v[t] = low_bits(bytes, 4), v[t + 1] = low_bits(_mm512_srli_epi16(bytes, 4), 4);
        if (table) v[t] = look_up(table, v[t]), v[t + 1] = look_up(table, v[t + 1]);
    }
}

/* The third bit of block j's codes is bit j of 32 bytes. */
static ALWAYS_INLINE void take_q3_k(__m512i v[VECTORS], const uint8_t *super)
{
    const __m512i third = _mm512_set1_epi8(4);
    const __m256i bits = load32(super);
    __m512i high = both(bits, _mm256_srli_epi16(bits, 4));
    take_pairs(v, _mm512_loadu_si512(super + 32));
    v[0] = _mm512_ternarylogic_epi32(v[0], _mm512_slli_epi16(high, 2), third, 0xF8); /* v | (high & third) */
    v[1] = _mm512_ternarylogic_epi32(v[1], _mm512_slli_epi16(high, 1), third, 0xF8);
    v[2] = _mm512_ternarylogic_epi32(v[2], high, third, 0xF8);
    v[3] = _mm512_ternarylogic_epi32(v[3], _mm512_srli_epi16(high, 1), third, 0xF8);
}

#ifdef __AVX512VBMI__
/* 96 bytes: three hold eight codes, and go to 64 bits, of which a byte takes any eight. */
static ALWAYS_INLINE void take_threes(__m512i v[VECTORS], const uint8_t *codes)
{
#define THREE(q, v) (q) * 12 + (v)*3 + ((q) > 3 ? 32 : 0) /* in two loads that overlap by 32 */
#define RUN3(q, v)  THREE(q, v), THREE(q, v) + 1, THREE(q, v) + 2, 0, 0, 0, 0, 0
#define EIGHTS3(v)                                                                                                     \
    {                                                                                                                  \
        RUN3(0, v), RUN3(1, v), RUN3(2, v), RUN3(3, v), RUN3(4, v), RUN3(5, v), RUN3(6, v), RUN3(7, v)                 \
    }
    static const uint8_t places[VECTORS][64] = {EIGHTS3(0), EIGHTS3(1), EIGHTS3(2), EIGHTS3(3)};
    const __m512i shifts = _mm512_set1_epi64((long long)bit_eights[3].shift);
    __m512i first = _mm512_loadu_si512(codes), last = _mm512_loadu_si512(codes + 32);
    for (size_t i = 0; i < VECTORS; i++) {
        __m512i eights = _mm512_permutex2var_epi8(first, _mm512_loadu_si512(places[i]), last);
        v[i] = low_bits(_mm512_multishift_epi64_epi8(shifts, eights), 3);
    }
}
#endif

static ALWAYS_INLINE void take(enum quant_type type, __m512i v[VECTORS], const uint8_t *chunk)
{
    switch (type) {
    case QUANT_Q2_K:
        take_pairs(v, _mm512_loadu_si512(chunk + 16));
        return;
    case QUANT_Q3_K:
        take_q3_k(v, chunk);
        return;
    case QUANT_TQ2_0:
    case QUANT_AFFINE2:
        take_pairs(v, _mm512_loadu_si512(chunk));
        return;
#ifdef __AVX512VBMI__
    case QUANT_AFFINE3:
        take_threes(v, chunk);
        return;
#endif
    default:
        take_nibbles(v, chunk, table_of(type));
    }
}

/* ---- scales ---------------------------------------------------------------------------------------------------- */

/* Of the halves of a chunk's blocks; m: as x_chunk's sums want it. */
struct scales {
    __m512 d, m;
};

static ALWAYS_INLINE __m512 numbers_u8(__m128i bytes)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

static ALWAYS_INLINE __m512 halves_of(const bool halves, const __m256 x[2])
{
    const __m512i blocks = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    if (halves) return _mm512_insertf32x8(_mm512_castps256_ps512(x[0]), x[1], 1);
    return _mm512_permutexvar_ps(blocks, _mm512_castps256_ps512(x[0]));
}

static ALWAYS_INLINE struct scales scales_of_super(enum quant_type type, const uint8_t *chunk)
{
    const __m128i low = _mm_set1_epi8(15);
    struct scales s;
    if (type == QUANT_TQ2_0) {
        s.d = _mm512_set1_ps(load_half(chunk + 64));
    } else if (type == QUANT_Q3_K) {
        __m512 scales = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scale_bytes_q3_k(chunk)));
        s.d = _mm512_mul_ps(scales, _mm512_set1_ps(load_half(chunk + 108)));
    } else {
        __m128i d = _mm_and_si128(load16(chunk), low), m = _mm_and_si128(_mm_srli_epi16(load16(chunk), 4), low);
        s.d = _mm512_mul_ps(numbers_u8(d), _mm512_set1_ps(load_half(chunk + 80)));
        s.m = _mm512_mul_ps(numbers_u8(m), _mm512_set1_ps(-load_half(chunk + 82)));
    }
    return s;
}

/* Groups that chunks and rows are made of have their scales side by side: `each` for a chunk, of which its halves take
 * those of `lane`. */
struct walk {
    bool side_by_side;
    size_t each, all; /* all: of the matrix */
    __m512i lane;
};
static ALWAYS_INLINE struct walk walk_of(const struct quant_matrix *w)
{
    const __m512i halves = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const size_t group = w->planes.group;
    struct walk k = {.side_by_side = group <= CHUNK && CHUNK % group == 0 && w->cols % group == 0};
    if (!k.side_by_side) return k;
    k.each = CHUNK / group, k.all = w->rows * (w->cols / group);
    k.lane = _mm512_srlv_epi32(halves, _mm512_set1_epi32(__builtin_ctzll(group / HALF)));
    return k;
}

static ALWAYS_INLINE __m512 sixteen_e8m0(__m128i bytes)
{
    __m512i e = _mm512_cvtepu8_epi32(bytes), x = _mm512_slli_epi32(e, 23);
    x = _mm512_mask_mov_epi32(x, _mm512_testn_epi32_mask(e, e), _mm512_set1_epi32(0x00400000));
    return _mm512_castsi512_ps(
        _mm512_mask_mov_epi32(x, _mm512_cmpeq_epi32_mask(e, _mm512_set1_epi32(255)), _mm512_set1_epi32(0x7FC00000)));
}
/* The bits, shifted, are an f16 of a 256th of the number. */
static ALWAYS_INLINE __m512 sixteen_e4m3(__m128i bytes)
{
    const __m128i sign = _mm_set1_epi8((char)0x80), none = _mm_set1_epi8((char)0xFF);
    __m256i half =
        _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7), _mm256_set1_epi16((short)0xBF80));
    __m512 x = _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256));
    return _mm512_mask_mov_ps(x, _mm_cmpeq_epi8_mask(_mm_or_si128(bytes, sign), none),
                              _mm512_set1_ps(__builtin_nanf("")));
}
static ALWAYS_INLINE __m512 sixteen_scales(enum scale_type type, const uint8_t *scales, size_t first)
{
    const uint8_t *p = scales + first * scale_bytes(type);
    switch (type) {
    case SCALE_F32:
        return _mm512_loadu_ps(p);
    case SCALE_F16:
        return _mm512_cvtph_ps(load32(p));
    case SCALE_BF16:
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(p)), 16));
    case SCALE_E8M0:
        return sixteen_e8m0(load16(p));
    default:
        return sixteen_e4m3(load16(p));
    }
}

/* Sixteen are read, of which a chunk's are used: near the plane's end, one after the other. */
static ALWAYS_INLINE struct scales scales_of_chunk(enum quant_type type, const struct quant_matrix *w,
                                                   const struct walk *walk, struct coded_row *row, size_t steps)
{
    const struct quant_planes *p = &w->planes;
    const bool minimum = coded[type].minimum;
    struct scales s;
    if (walk->side_by_side && steps == STEPS && row->group + HALVES <= walk->all) {
        s.d = _mm512_permutexvar_ps(walk->lane, sixteen_scales(p->scale_type, p->scales, row->group));
        if (minimum) s.m = _mm512_permutexvar_ps(walk->lane, sixteen_scales(p->scale_type, p->mins, row->group));
        if (!minimum) s.d = _mm512_mul_ps(s.d, _mm512_set1_ps(p->factor * plane_unit(type)));
        row->group += walk->each;
    } else {
        const struct chunk_scales blocks = next_scales(type, w, row, steps);
        s.d = halves_of(coded[type].halves, blocks.d);
        if (minimum) s.m = halves_of(false, blocks.m);
    }
    return s;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* A chain for each sum of a chunk: one would be waited for. */
struct sums {
    __m512 sum[VECTORS], mins;
};

static ALWAYS_INLINE void add_chunk(enum quant_type type, struct sums *all, const uint8_t *chunk, struct scales s,
                                    const struct x_chunk *x)
{
    const enum order order = order_of(type);
    const __m512 d = _mm512_mul_ps(s.d, _mm512_load_ps(x->d));
    __m512i codes[VECTORS], dot[VECTORS];
    take(type, codes, chunk);
#pragma GCC unroll 4
    for (size_t k = 0; k < sums_of(order); k++) dot[k] = _mm512_load_si512(x->start[k]);
#pragma GCC unroll 4
    for (size_t v = 0; v < VECTORS; v++) {
        __m512i *to = dot + sum_of(order, v);
        *to = _mm512_dpbusd_epi32(*to, codes[v], _mm512_load_si512(x->q[v]));
    }
#pragma GCC unroll 4
    for (size_t k = 0; k < sums_of(order); k++)
        all->sum[k] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[k]), lanes_of(order, d, k), all->sum[k]);
    if (coded[type].minimum) all->mins = _mm512_fmadd_ps(s.m, _mm512_load_ps(x->sum), all->mins);
}

enum { AHEAD = 12288 }; /* bytes of a row's codes that are asked for before they are read */

/* The scales of what is asked for while a row is read. */
static ALWAYS_INLINE void ask_for_scales(enum quant_type type, const struct quant_matrix *w,
                                         const struct coded_rows *all, size_t blocks)
{
    const size_t chunks = AHEAD / coded[type].chunk_bytes, bytes = (blocks * all->chunk_scales + STEPS - 1) / STEPS;
    const size_t from = all->next.group * all->scale_bytes + chunks * all->chunk_scales;
    for (size_t i = 0; i < bytes; i += 64) {
        prefetch_near((uintptr_t)w->planes.scales + from + i, 1);
        if (coded[type].minimum) prefetch_near((uintptr_t)w->planes.mins + from + i, 1);
    }
}

static ALWAYS_INLINE __m512 one_row(enum quant_type type, const struct quant_matrix *w, struct coded_rows *all,
                                    const struct walk *walk, size_t blocks, const struct x_chunk *x)
{
    const __m512 none = _mm512_setzero_ps();
    const size_t bytes = coded[type].chunk_bytes;
    struct sums s = {{none, none, none, none}, none};
    if (type >= QUANT_PLANES) ask_for_scales(type, w, all, blocks);
    struct coded_row row = next_row(type, all);
    const uint8_t *chunk = row.chunk;
    for (size_t c = 0; c < blocks / STEPS; c++, chunk += bytes) {
        prefetch_near((uintptr_t)chunk + AHEAD, bytes);
        add_chunk(type, &s, chunk,
                  type >= QUANT_PLANES ? scales_of_chunk(type, w, walk, &row, STEPS) : scales_of_super(type, chunk),
                  x + c);
    }
    if (type >= QUANT_PLANES && blocks % STEPS) {
        uint8_t last[CHUNK] = {0};
        memcpy(last, chunk, bytes * (blocks % STEPS) / STEPS);
        add_chunk(type, &s, last, scales_of_chunk(type, w, walk, &row, blocks % STEPS), x + blocks / STEPS);
    }
#pragma GCC unroll 4
    for (size_t k = 1; k < sums_of(order_of(type)); k++) s.sum[0] = _mm512_add_ps(s.sum[0], s.sum[k]);
    return coded[type].minimum ? _mm512_add_ps(s.sum[0], s.mins) : s.sum[0];
}

/* The sums of the lanes of four rows. */
static ALWAYS_INLINE __m128 add_lanes(const __m512 v[ROWS])
{
    __m512d a = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1])));
    __m512d b = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3])));
    __m512 all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* y[i] = or, from the second part of a row on, += */
static ALWAYS_INLINE void few_rows(enum quant_type type, float *y, const struct quant_matrix *w, struct coded_rows *all,
                                   const struct walk *walk, size_t rows, size_t blocks, const struct x_chunk *x,
                                   bool add)
{
    const __mmask8 mask = (__mmask8)((1u << rows) - 1);
    __m512 v[ROWS];
    for (size_t r = 0; r < ROWS; r++) v[r] = r < rows ? one_row(type, w, all, walk, blocks, x) : _mm512_setzero_ps();
    __m128 sums = add_lanes(v);
    if (add) sums = _mm_add_ps(sums, _mm_maskz_loadu_ps(mask, y));
    _mm_mask_storeu_ps(y, mask, sums);
}

static ALWAYS_INLINE void gemv(enum quant_type type, float *y, const struct quant_matrix *w, size_t row, size_t rows,
                               struct cpu_q8 x)
{
    struct x_chunk chunks[MOST_CHUNKS];
    struct walk walk = {0};
    const size_t blocks = w->cols / BLOCK, most = MOST_CHUNKS * STEPS;
    if (type >= QUANT_PLANES) walk = walk_of(w);
    for (size_t b = 0; b < blocks; b += most) {
        const size_t some = blocks - b < most ? blocks - b : most;
        struct coded_rows all = coded_rows_from(type, w, row, b * BLOCK);
        for (size_t i = 0; i < some; i += STEPS)
            arrange_chunk(type, chunks + i / STEPS, x, b + i, some - i < STEPS ? some - i : STEPS);
        for (size_t i = 0; i < rows; i += ROWS)
            few_rows(type, y + i, w, &all, &walk, rows - i < ROWS ? rows - i : ROWS, some, chunks, b > 0);
    }
}

#define GEMV(type)                                                                                                     \
    static void gemv_##type(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)          \
    {                                                                                                                  \
        gemv(QUANT_##type, y, w, row, rows, x);                                                                        \
    }
EACH(GEMV)

static void fill_gemv_chunks(struct cpu_kernels *t)
{
#define ENTRY(type) t->gemv_q8[QUANT_##type] = gemv_##type;
    EACH(ENTRY)
}
