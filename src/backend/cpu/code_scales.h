/* code_scales.h — the scales and minimums of the codes of codes.h, a chunk of a row at a time.
 *
 * Rows are walked from chunk to chunk; of planes a row knows the group that it has come to. Reads nothing past a row's
 * own. */
#ifndef CPU_CODE_SCALES_H
#define CPU_CODE_SCALES_H

#include "backend/cpu/codes.h"

/* ---- scales of a chunk ----------------------------------------------------------------------------------------- */

/* Of step j in lane j of d[0] and m[0]; of halves the first eight in [0], the last in [1]. Beyond the chunk's end they
 * are zero. */
struct chunk_scales {
    __m256 d[2], m[2];
};

static ALWAYS_INLINE uint64_t word_at(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Bytes at .. at + n of p, n <= 16, and zeros; none beyond them is read, but some before. */
static ALWAYS_INLINE __m128i load_few(const uint8_t *p, size_t at, size_t n)
{
    uint64_t low = 0;
    if (n == 16) return load16(p + at);
    if (n >= 8)
        return _mm_set_epi64x(n > 8 ? (long long)(word_at(p + at + n - 8) >> 8 * (16 - n)) : 0,
                              (long long)word_at(p + at));
    if (n && at + n >= 8)
        low = word_at(p + at + n - 8) >> 8 * (8 - n);
    else
        memcpy(&low, p + at, n);
    return _mm_cvtsi64_si128((long long)low);
}

static ALWAYS_INLINE __m256 floats_few(const float *p, size_t n)
{
    /* Masked loads from memory took five times as long. */
    if (n == 8) return _mm256_loadu_ps(p);
    if (n == 4) return _mm256_zextps128_ps256(_mm_loadu_ps(p));
    if (n == 1) return _mm256_zextps128_ps256(_mm_load_ss(p));
    return _mm256_maskload_ps(p, first8(n));
}

static ALWAYS_INLINE __m256 numbers_e8m0(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), bits = _mm256_slli_epi32(e, 23);
    bits = _mm256_blendv_epi8(bits, _mm256_set1_epi32(0x00400000), _mm256_cmpeq_epi32(e, _mm256_setzero_si256()));
    return _mm256_castsi256_ps(
        _mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7FC00000), _mm256_cmpeq_epi32(e, _mm256_set1_epi32(255))));
}

static ALWAYS_INLINE __m256 numbers_e4m3(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), size = _mm256_and_si256(e, _mm256_set1_epi32(0x7F));
    __m256 x = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(size, 20)), _mm256_set1_ps(0x1p120f));
    x = _mm256_blendv_ps(x, _mm256_set1_ps(__builtin_nanf("")),
                         _mm256_castsi256_ps(_mm256_cmpeq_epi32(size, _mm256_set1_epi32(0x7F))));
    return _mm256_or_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_srli_epi32(e, 7), 31)));
}

/* The first n; what stands for nothing must not be a subnormal, which products take long with. */
static ALWAYS_INLINE __m256 keep_few(__m256 x, size_t n)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(first8(n)));
}

/* Scales first .. first + n of a plane, n <= 8, the rest 0. */
static ALWAYS_INLINE __m256 plane_scales(enum scale_type type, const uint8_t *scales, size_t first, size_t n)
{
    switch (type) {
    case SCALE_F32:
        return floats_few((const float *)(const void *)(scales + 4 * first), n);
    case SCALE_F16:
        return _mm256_cvtph_ps(load_few(scales, 2 * first, 2 * n));
    case SCALE_BF16:
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_few(scales, 2 * first, 2 * n)), 16));
    case SCALE_E8M0:
        return keep_few(numbers_e8m0(load_few(scales, first, n)), n);
    default:
        return numbers_e4m3(load_few(scales, first, n));
    }
}

/* What the numbers behind the codes are counted in. */
static ALWAYS_INLINE float plane_unit(enum quant_type type)
{
    return type == QUANT_MXFP4 || type == QUANT_NVFP4 ? 0.5f : codes_fractions(type) ? 1.0f / FRACTIONS : 1;
}

/* A row on the way: its chunk, and where in its groups it is. */
struct coded_row {
    const uint8_t *chunk;
    size_t group, left; /* columns left in it; planes alone */
};

/* From a column on that begins a block. */
static ALWAYS_INLINE struct coded_row coded_row_at(enum quant_type type, const struct quant_matrix *w, size_t row,
                                                   size_t col)
{
    struct coded_row r = {.chunk = w->data + row * w->row_bytes + col * coded[type].chunk_bytes / CHUNK};
    if (type < QUANT_PLANES) return r;
    size_t flat = row * w->cols + col;
    r.group = flat / w->planes.group, r.left = w->planes.group - flat % w->planes.group;
    return r;
}

/* Rows from a column on, one after the other: divisions are slow. */
struct coded_rows {
    struct coded_row next;
    size_t row_bytes, group, groups, rest; /* a row: whole groups, and columns of another */
    size_t scale_bytes, chunk_scales;      /* bytes of a scale, and of a chunk's */
};
static ALWAYS_INLINE struct coded_rows coded_rows_from(enum quant_type type, const struct quant_matrix *w, size_t row,
                                                       size_t col)
{
    struct coded_rows r = {.next = coded_row_at(type, w, row, col), .row_bytes = w->row_bytes};
    if (type < QUANT_PLANES) return r;
    r.group = w->planes.group, r.groups = w->cols / r.group, r.rest = w->cols % r.group;
    r.scale_bytes = scale_bytes(w->planes.scale_type), r.chunk_scales = CHUNK * r.scale_bytes / r.group;
    return r;
}
static ALWAYS_INLINE struct coded_row next_row(enum quant_type type, struct coded_rows *r)
{
    const struct coded_row row = r->next;
    r->next.chunk += r->row_bytes;
    if (type < QUANT_PLANES) return row;
    r->next.group += r->groups;
    if (r->next.left <= r->rest) r->next.group++, r->next.left += r->group;
    r->next.left -= r->rest;
    return row;
}

/* n groups from `first` on; step j belongs to first + lane j. */
struct groups {
    size_t first, n;
    __m256i lane;
};

/* Each step's by itself. */
static inline struct groups walk_groups(size_t group, struct coded_row *r, size_t steps)
{
    int lane[STEPS] = {0}, last = 0;
    const size_t first = r->group;
    for (size_t j = 0; j < steps; j++) {
        lane[j] = last = (int)(r->group - first);
        r->left -= BLOCK;
        if (!r->left) r->group++, r->left = group;
    }
    return (struct groups){first, (size_t)last + 1, _mm256_loadu_si256((const __m256i *)lane)};
}

/* Moves the row on by `steps`. */
static ALWAYS_INLINE struct groups next_groups(size_t group, struct coded_row *r, size_t steps)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const size_t first = r->group, cols = steps * BLOCK;
    if (r->left == group && !(group & (group - 1)) && group <= CHUNK) { /* a short chunk is the row's last */
        int shift = __builtin_ctzll(group);
        size_t n = (cols + group - 1) >> shift;
        r->group += n;
        return (struct groups){first, n, _mm256_srlv_epi32(lane, _mm256_set1_epi32(shift - 5))};
    }
    if (r->left <= cols) return walk_groups(group, r, steps);
    r->left -= cols;
    return (struct groups){first, 1, _mm256_setzero_si256()};
}

static ALWAYS_INLINE struct chunk_scales scales_of_planes(enum quant_type type, const struct quant_planes *p,
                                                          struct coded_row *r, size_t steps)
{
    struct chunk_scales s;
    if (coded[type].halves) { /* groups of 16 */
        const __m256 unit = _mm256_set1_ps(p->factor * plane_unit(type));
        for (size_t i = 0, n = 2 * steps; i < 2; i++, r->group += n < 8 ? n : 8, n -= n < 8 ? n : 8)
            s.d[i] = _mm256_mul_ps(plane_scales(p->scale_type, p->scales, r->group, n < 8 ? n : 8), unit);
        return s;
    }
    const struct groups g = next_groups(p->group, r, steps);
    s.d[0] = _mm256_permutevar8x32_ps(plane_scales(p->scale_type, p->scales, g.first, g.n), g.lane);
    if (!coded[type].minimum) {
        s.d[0] = _mm256_mul_ps(s.d[0], _mm256_set1_ps(p->factor * plane_unit(type)));
        return s;
    }
    s.m[0] = _mm256_permutevar8x32_ps(plane_scales(p->scale_type, p->mins, g.first, g.n), g.lane);
    if (coded[type].zero) s.m[0] = _mm256_fmadd_ps(s.d[0], _mm256_set1_ps(coded[type].zero), s.m[0]);
    return s;
}

/* ---- scales of blocks ---- */

static ALWAYS_INLINE __m256 times(__m256i x, float d)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(x), _mm256_set1_ps(d));
}

static ALWAYS_INLINE struct chunk_scales scales_q2_k(const uint8_t *super)
{
    const __m128i both = load16(super), low = _mm_set1_epi8(15);
    const __m128i d = _mm_and_si128(both, low), m = _mm_and_si128(_mm_srli_epi16(both, 4), low);
    float scale = load_half(super + 80), min = -load_half(super + 82);
    return (struct chunk_scales){
        {times(_mm256_cvtepu8_epi32(d), scale), times(_mm256_cvtepu8_epi32(_mm_srli_si128(d, 8)), scale)},
        {times(_mm256_cvtepu8_epi32(m), min), times(_mm256_cvtepu8_epi32(_mm_srli_si128(m, 8)), min)}};
}

/* Six bits less 32: four low ones from nibbles of 8 bytes, two high ones from 4 bytes. */
static ALWAYS_INLINE __m128i scale_bytes_q3_k(const uint8_t *super)
{
    enum { SCALES = 96 };
    uint32_t top;
    memcpy(&top, super + SCALES + 8, sizeof top);
    __m128i x = _mm_loadl_epi64((const __m128i *)(super + SCALES));
    __m128i low = _mm_and_si128(_mm_unpacklo_epi64(x, _mm_srli_epi16(x, 4)), _mm_set1_epi8(15));
    __m128i high = _mm_srlv_epi32(_mm_set1_epi32((int)top), _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}
static ALWAYS_INLINE struct chunk_scales scales_q3_k(const uint8_t *super)
{
    const __m128i scale = scale_bytes_q3_k(super);
    float d = load_half(super + 108);
    return (struct chunk_scales){
        .d = {times(_mm256_cvtepi8_epi32(scale), d), times(_mm256_cvtepi8_epi32(_mm_srli_si128(scale, 8)), d)}};
}

static ALWAYS_INLINE struct chunk_scales scales_iq4_xs(const uint8_t *super)
{
    uint32_t nibbles;
    uint16_t top;
    memcpy(&top, super + 2, sizeof top), memcpy(&nibbles, super + 4, sizeof nibbles);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)nibbles), _mm256_slli_epi32(lane, 2));
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(top), _mm256_slli_epi32(lane, 1));
    low = _mm256_and_si256(low, _mm256_set1_epi32(15)), high = _mm256_and_si256(high, _mm256_set1_epi32(3));
    __m256i scale = _mm256_or_si256(low, _mm256_slli_epi32(high, 4));
    return (struct chunk_scales){.d = {times(_mm256_sub_epi32(scale, _mm256_set1_epi32(32)), load_half(super))}};
}

/* `bytes` bytes at the head of each of n <= 8 blocks, `stride` apart, one after the other; beyond them 0. */
static ALWAYS_INLINE __m128i heads(const uint8_t *p, const size_t stride, size_t n, const size_t bytes)
{
    uint64_t part[2] = {0};
    for (size_t i = 0; i < n; i++, p += stride) {
        uint64_t head = 0;
        memcpy(&head, p, bytes);
        part[i * bytes / 8] |= head << 8 * (i * bytes % 8);
    }
    return _mm_set_epi64x((long long)part[1], (long long)part[0]);
}
/* Unrolled for a whole chunk, and for two blocks: rows of 576 end so. */
static ALWAYS_INLINE __m128i heads_of(const uint8_t *p, const size_t stride, size_t n, const size_t all,
                                      const size_t bytes)
{
    return n == all ? heads(p, stride, all, bytes) : n == 2 ? heads(p, stride, 2, bytes) : heads(p, stride, n, bytes);
}

/* 2^(e − 128) */
static ALWAYS_INLINE __m256 half_e8m0(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), one = _mm256_set1_epi32(1);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(small, bits, _mm256_cmpgt_epi32(e, one)));
}

/* As quant/ggml_quants.c has it. */
static ALWAYS_INLINE __m256 half_ue4m3(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), size = _mm256_and_si256(e, _mm256_set1_epi32(0x7F));
    __m256 x = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(size, 20)), _mm256_set1_ps(0x1p119f));
    __m256i none = _mm256_cmpeq_epi32(e, _mm256_set1_epi32(0x7F));
    return _mm256_andnot_ps(_mm256_castsi256_ps(none), x);
}

/* Formats of blocks shorter than a chunk. */
static ALWAYS_INLINE struct chunk_scales scales_of_blocks(enum quant_type type, const uint8_t *chunk, size_t steps)
{
    const __m256i pairs = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3), fours = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const size_t stride = coded[type].chunk_bytes / STEPS;
    struct chunk_scales s;
    __m128i wide;
    switch (type) {
    case QUANT_GGML_MXFP4:
        s.d[0] = keep_few(half_e8m0(heads_of(chunk, stride, steps, 8, 1)), steps);
        return s;
    case QUANT_GGML_NVFP4:
        wide = heads_of(chunk, 2 * stride, steps / 2, 4, 4);
        s.d[0] = half_ue4m3(wide), s.d[1] = half_ue4m3(_mm_srli_si128(wide, 8));
        return s;
    case QUANT_Q1_0:
        s.d[0] = _mm256_permutevar8x32_ps(_mm256_cvtph_ps(heads_of(chunk, 18, steps / 4, 2, 2)), fours);
        return s;
    case QUANT_Q2_0:
        s.d[0] = _mm256_permutevar8x32_ps(_mm256_cvtph_ps(heads_of(chunk, 18, steps / 2, 4, 2)), pairs);
        return s;
    default:
        s.d[0] = _mm256_cvtph_ps(heads_of(chunk, stride, steps, 8, 2));
        if (type == QUANT_Q5_1) s.m[0] = _mm256_cvtph_ps(heads_of(chunk + 2, stride, steps, 8, 2));
        return s;
    }
}

/* Of the row's chunk, which has `steps` steps; the formats of 256 have them all. Moves the row to the next. */
static ALWAYS_INLINE struct chunk_scales next_scales(enum quant_type type, const struct quant_matrix *w,
                                                     struct coded_row *r, size_t steps)
{
    const uint8_t *chunk = r->chunk;
    r->chunk += coded[type].chunk_bytes;
    if (type >= QUANT_PLANES) return scales_of_planes(type, &w->planes, r, steps);
    if (type == QUANT_Q2_K) return scales_q2_k(chunk);
    if (type == QUANT_Q3_K) return scales_q3_k(chunk);
    if (type == QUANT_IQ4_XS) return scales_iq4_xs(chunk);
    if (type == QUANT_TQ2_0) return (struct chunk_scales){.d = {_mm256_set1_ps(load_half(chunk + 64))}};
    return scales_of_blocks(type, chunk, steps);
}

#endif
