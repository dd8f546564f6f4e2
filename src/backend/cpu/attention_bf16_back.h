/* attention_bf16_back.h — the gradients of attention in bf16: factors in bf16, sums in f32. The includer brings the
 * product: see attention_bf16.h.
 *
 * Lanes lie over the query vectors: with sᵀ = K qᵀ and dpᵀ = V doutᵀ nothing but q and dout is flipped, once a block of
 * them. A block of keys gives pᵀ and dsᵀ, then
 *   dv += pᵀ dout,  dk += dsᵀ q   in pairs along the vectors,     dqᵀ += Kᵀ dsᵀ   in pairs along the keys.
 * dq is summed over the keys in order, dk and dv over the vectors: so it does not matter which of them a call computes,
 * nor which rows or keys. */
#ifndef CPU_ATTENTION_BF16_BACK_H
#define CPU_ATTENTION_BF16_BACK_H

enum { VECTORS = 128, ROUNDED = 32, QUERY_COLS = 64 }; /* ROUNDED lanes are rounded at once */
static const float LOG2E = 0x1.715476p+0f;

struct scratch {
    float *rows;     /* pairs (vectors, pairs(head_dim)): q or dout */
    float *qt, *dot; /* pairs (pairs(head_dim), lanes) */
    float *qz, *doz; /* pairs (lanes / 2, head_dim padded) */
    float *lse, *d;  /* (lanes): lse · log2 e, ∞ in lanes without a vector; D */
    float *dqt;      /* (head_dim padded, lanes) */
    float *k, *v;    /* pairs (CPU_KEY_BLOCK, pairs(head_dim)): the block's rows */
    float *kz;       /* pairs (CPU_KEY_BLOCK / 2, head_dim padded) */
    float *kzt;      /* the same flipped, where a product needs it so */
    float *s, *dp;   /* (PRODUCT_ROWS, lanes) */
    float *pt, *dst; /* pairs (CPU_KEY_BLOCK, lanes / 2): along vectors */
    float *dsz;      /* pairs (CPU_KEY_BLOCK / 2, lanes): along keys */
    float *line;     /* (LANES, head_dim padded), and once more */
    float *dk, *dv;  /* (keys wanted in whole blocks, head_dim padded) */
};

static size_t lanes_of(size_t group, size_t head_dim)
{
    return padded(rows_together(group, head_dim, VECTORS) * group, ROUNDED);
}

static size_t layout(struct scratch *w, float *base, size_t group, size_t head_dim, size_t keys)
{
    size_t lanes = lanes_of(group, head_dim), half = pairs(head_dim), wide = padded(head_dim, LANES);
    size_t held = keys ? keys + 2 * CPU_KEY_BLOCK : 0; /* whole blocks */
    const struct scratch_part parts[] = {{&w->rows, lanes * half},
                                         {&w->qt, half * lanes},
                                         {&w->dot, half * lanes},
                                         {&w->qz, lanes / 2 * wide},
                                         {&w->doz, lanes / 2 * wide},
                                         {&w->lse, lanes},
                                         {&w->d, lanes},
                                         {&w->dqt, wide * lanes},
                                         {&w->k, CPU_KEY_BLOCK * half},
                                         {&w->v, CPU_KEY_BLOCK * half},
                                         {&w->kz, CPU_KEY_BLOCK / 2 * wide},
                                         {&w->kzt, SIDE_BY_SIDE ? CPU_KEY_BLOCK / 2 * wide : 0},
                                         {&w->s, PRODUCT_ROWS * lanes},
                                         {&w->dp, PRODUCT_ROWS * lanes},
                                         {&w->pt, CPU_KEY_BLOCK * lanes / 2},
                                         {&w->dst, CPU_KEY_BLOCK * lanes / 2},
                                         {&w->dsz, CPU_KEY_BLOCK / 2 * lanes},
                                         {&w->line, 2 * LANES * wide},
                                         {&w->dk, held * wide},
                                         {&w->dv, held * wide}};
    return lay_out(base, parts, sizeof parts / sizeof *parts);
}

static size_t back_scratch(size_t group, size_t head_dim, size_t keys)
{
    struct scratch unused;
    return layout(&unused, NULL, group, head_dim, keys);
}

struct block {
    const struct cpu_attention *a;
    struct scratch w;
    size_t dim, wide, lanes;    /* head_dim, padded; the vectors, padded */
    size_t row, vectors, start; /* the first row and its position; vectors = rows · group */
    size_t key, keys;           /* the first key; as many as the last row sees of the block */
    size_t first_key;           /* of dk, dv in scratch: a multiple of CPU_KEY_BLOCK */
};

/* ---- queries ----------------------------------------------------------------------------------------------------- */

/* Element of x where vector v of the block begins. */
static const void *vector_at(const struct block *b, const void *x, size_t ld, size_t v)
{
    size_t group = b->a->group;
    return number_at(x, b->a->number, (b->row + v / group) * ld + v % group * b->dim);
}

/* The block's vectors of x flipped and zipped; they stay in w.rows. */
static void enter_vectors(struct block *b, const void *x, size_t ld, float *flipped, float *zipped)
{
    pair *rows = (pair *)b->w.rows;
    size_t half = pairs(b->dim), bytes = half * sizeof(pair);
    for (size_t v = 0; v < b->vectors; v += b->a->group) /* a row's heads lie side by side */
        narrow(rows + v * half, vector_at(b, x, ld, v), kv_of_number(b->a->number), b->dim * number_bytes(b->a->number),
               b->a->group, b->dim);
    flip((pair *)flipped, b->lanes, rows, bytes, b->vectors, b->lanes, b->dim);
    zip((pair *)zipped, b->wide, rows, bytes, b->vectors, b->lanes, b->dim);
}

/* D = dout · out of a vector whose dout lies in w.rows. */
static float dot_out(const struct block *b, size_t v)
{
    float *dout = b->w.line, *out = b->w.line + LANES * b->wide;
    __m512 sum = _mm512_setzero_ps();
    read_bf16(dout, (const uint16_t *)((const pair *)b->w.rows + v * pairs(b->dim)), b->dim);
    numbers_read(out, vector_at(b, b->a->out, b->a->ldo, v), b->a->number, b->dim);
    for (size_t i = 0; i < b->dim; i += LANES) {
        vec_mask mask = vec_first(smaller(b->dim - i, LANES));
        sum = _mm512_fmadd_ps(vec_load_mask(dout + i, mask), vec_load_mask(out + i, mask), sum);
    }
    return _mm512_reduce_add_ps(sum);
}

static void enter_rows(struct block *b, size_t row, size_t rows)
{
    const struct cpu_attention *a = b->a;
    b->row = row;
    b->start = a->position + row;
    b->vectors = rows * a->group;
    b->lanes = padded(b->vectors, ROUNDED);
    enter_vectors(b, a->q, a->ldq, b->w.qt, b->w.qz);
    enter_vectors(b, a->dout, a->ldo, b->w.dot, b->w.doz);
    for (size_t v = 0; v < b->lanes; v++) {
        bool there = v < b->vectors;
        b->w.lse[v] = there ? a->lse[(row + v / a->group) * a->ldlse + v % a->group] * LOG2E : INFINITY;
        b->w.d[v] = there ? dot_out(b, v) : 0;
    }
    if (a->dq) memset(b->w.dqt, 0, b->wide * b->lanes * sizeof(float));
}

/* The first vector that sees key `key`. */
static size_t first_vector(const struct block *b, size_t key)
{
    return key > b->start ? (key - b->start) * b->a->group : 0;
}

/* The first vector beyond `key` that does not see it any more. */
static size_t last_vector(const struct block *b, size_t key)
{
    size_t end = key + b->a->window;
    return !b->a->window ? SIZE_MAX : end > b->start ? (end - b->start) * b->a->group : 0;
}

/* Of the block's key j; nobody sees those beyond its last. */
static size_t first_to_see(const struct block *b, size_t j)
{
    return j < b->keys ? first_vector(b, b->key + j) : SIZE_MAX;
}

static void store_dq(const struct block *b)
{
    const struct cpu_attention *a = b->a;
    __m512 scale = _mm512_set1_ps(a->scale);
    for (size_t v = 0; v < b->vectors; v += LANES) {
        for (size_t i = 0; i < b->wide; i += LANES) {
            __m512 r[LANES];
#pragma GCC unroll 16
            for (size_t j = 0; j < LANES; j++)
                r[j] = _mm512_mul_ps(_mm512_loadu_ps(b->w.dqt + (i + j) * b->lanes + v), scale);
            vec_transpose(r);
#pragma GCC unroll 16
            for (size_t j = 0; j < LANES; j++) _mm512_storeu_ps(b->w.line + j * b->wide + i, r[j]);
        }
        for (size_t j = 0; j < LANES && v + j < b->vectors; j++)
            numbers_write((void *)vector_at(b, a->dq, a->ldq, v + j), b->w.line + j * b->wide, a->number, b->dim);
    }
}

/* ---- a block of keys --------------------------------------------------------------------------------------------- */

static void enter_keys(struct block *b, size_t key, size_t keys)
{
    const struct cpu_attention *a = b->a;
    const char *k = kv_at(a, a->k_pages, key), *v = kv_at(a, a->v_pages, key);
    size_t half = pairs(b->dim);
    b->key = key;
    b->keys = keys;
    narrow((pair *)b->w.k, k, a->kv, a->kv_row, keys, b->dim);
    narrow((pair *)b->w.v, v, a->kv, a->kv_row, keys, b->dim);
    if (!a->dq) return;
    size_t whole = padded(keys, DEPTH_GRAIN);
    zip((pair *)b->w.kz, b->wide, b->w.k, half * sizeof(pair), keys, whole, b->dim);
    if (SIDE_BY_SIDE) turn(b->w.kzt, CPU_KEY_BLOCK / 2, b->w.kz, b->wide, whole / 2, b->wide);
}

/* The vectors that see a key. */
struct seers {
    size_t first, last;
};
static struct seers seers_of(const struct block *b, size_t j)
{
    return (struct seers){first_to_see(b, j), last_vector(b, b->key + j)};
}

/* p and ds of LANES vectors from lane v on and one key; s, dp: a tile's row. */
INLINE void differentiate(const struct block *b, const float *s, const float *dp, size_t v, struct seers by, __m512 *p,
                          __m512 *ds)
{
    __m512 x = _mm512_loadu_ps(s + v), factor = _mm512_set1_ps(b->a->scale * LOG2E), slope;
    float cap = b->a->softcap;
    if (cap > 0) {
        __m512 part = tanh_ps(_mm512_mul_ps(x, _mm512_set1_ps(b->a->scale / cap)));
        slope = _mm512_fnmadd_ps(part, part, _mm512_set1_ps(1));
        x = part;
        factor = _mm512_set1_ps(cap * LOG2E);
    }
    *p = exp2_ps(_mm512_fmsub_ps(x, factor, _mm512_loadu_ps(b->w.lse + v)));
    *ds = _mm512_mul_ps(*p, _mm512_sub_ps(_mm512_loadu_ps(dp + v), _mm512_loadu_ps(b->w.d + v)));
    if (cap > 0) *ds = _mm512_mul_ps(*ds, slope);
    if (by.first > v || by.last < v + LANES) {
        __mmask16 seen = lanes_between(v, by.first, by.last);
        *p = _mm512_maskz_mov_ps(seen, *p);
        *ds = _mm512_maskz_mov_ps(seen, *ds);
    }
}

/* The tile's keys j and j + 1 (even and odd keys of the block; they may lie beyond the last): pᵀ and dsᵀ of the lanes
 * from `from` on. */
static void round_keys(const struct block *b, size_t tile, size_t j, size_t from)
{
    const float *s = b->w.s + (j - tile) * b->lanes, *dp = b->w.dp + (j - tile) * b->lanes;
    pair *pt = (pair *)b->w.pt + j * b->lanes / 2, *dst = (pair *)b->w.dst + j * b->lanes / 2;
    pair *dsz = (pair *)b->w.dsz + j / 2 * b->lanes;
    struct seers one = seers_of(b, j), two = seers_of(b, j + 1);
    const __m512i order = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                             _mm512_set1_epi32(0x00010001));
    const __m512i zipped = _mm512_or_si512(order, _mm512_set1_epi32(0x00100000)); /* words i and 16 + i */
    for (size_t v = from; v < b->lanes; v += ROUNDED) {
        __m512 p[4], ds[4];
        differentiate(b, s, dp, v, one, p, ds);
        differentiate(b, s, dp, v + LANES, one, p + 1, ds + 1);
        differentiate(b, s + b->lanes, dp + b->lanes, v, two, p + 2, ds + 2);
        differentiate(b, s + b->lanes, dp + b->lanes, v + LANES, two, p + 3, ds + 3);
        _mm512_storeu_si512(pt + v / 2, join(p[0], p[1]));
        _mm512_storeu_si512(pt + (v + b->lanes) / 2, join(p[2], p[3]));
        _mm512_storeu_si512(dst + v / 2, join(ds[0], ds[1]));
        _mm512_storeu_si512(dst + (v + b->lanes) / 2, join(ds[2], ds[3]));
        _mm512_storeu_si512(dsz + v, _mm512_permutexvar_epi16(zipped, join(ds[0], ds[2])));
        _mm512_storeu_si512(dsz + v + LANES, _mm512_permutexvar_epi16(zipped, join(ds[1], ds[3])));
    }
    memset(dsz, 0, from * sizeof *dsz);
}

/* The lanes that a tile of keys from j on is computed for begin here. */
static size_t tile_lanes(const struct block *b, size_t j)
{
    return first_vector(b, b->key + j) / ROUNDED * ROUNDED;
}

/* pᵀ and dsᵀ of the block's keys. */
static void probabilities(const struct block *b)
{
    size_t half = pairs(b->dim);
    for (size_t j = 0; j < b->keys; j += PRODUCT_ROWS) {
        size_t n = smaller(PRODUCT_ROWS, b->keys - j), from = tile_lanes(b, j), width = b->lanes - from;
        struct operands o = {.c = b->w.s + from,
                             .ldc = b->lanes,
                             .a = (pair *)b->w.k + j * half,
                             .row = half,
                             .step = 1,
                             .b = (pair *)b->w.qt + from,
                             .ldb = b->lanes};
        product(o, n, width, half, false);
        o.c = b->w.dp + from;
        o.a = (pair *)b->w.v + j * half;
        o.b = (pair *)b->w.dot + from;
        product(o, n, width, half, false);
        for (size_t i = 0; i < padded(n, DEPTH_GRAIN); i += 2) round_keys(b, j, j + i, from);
    }
}

static void add_to_keys(const struct block *b)
{
    for (size_t j = 0; j < b->keys; j += PRODUCT_ROWS) {
        size_t n = smaller(PRODUCT_ROWS, b->keys - j), from = tile_lanes(b, j) / 2;
        size_t at = (b->key - b->first_key + j) * b->wide, in = j * b->lanes / 2 + from;
        struct operands o = {.c = b->w.dv + at,
                             .ldc = b->wide,
                             .a = (pair *)b->w.pt + in,
                             .row = b->lanes / 2,
                             .step = 1,
                             .b = (pair *)b->w.doz + from * b->wide,
                             .ldb = b->wide};
        product(o, n, b->wide, padded(b->vectors, DEPTH_GRAIN) / 2 - from, true);
        o.c = b->w.dk + at;
        o.a = (pair *)b->w.dst + in;
        o.b = (pair *)b->w.qz + from * b->wide;
        product(o, n, b->wide, padded(b->vectors, DEPTH_GRAIN) / 2 - from, true);
    }
}

static void add_to_queries(const struct block *b)
{
    const size_t row = CPU_KEY_BLOCK / 2;
    for (size_t v = 0, width; v < b->lanes; v += width) {
        width = smaller(QUERY_COLS, b->lanes - v);
        size_t last = smaller(v + width, b->vectors) - 1, sees = b->start + last / b->a->group + 1;
        if (v >= b->vectors || sees <= b->key) continue;
        for (size_t i = 0; i < b->dim; i += PRODUCT_ROWS)
            product((struct operands){.c = b->w.dqt + i * b->lanes + v,
                                      .ldc = b->lanes,
                                      .a = SIDE_BY_SIDE ? (pair *)b->w.kzt + i * row : (pair *)b->w.kz + i,
                                      .row = SIDE_BY_SIDE ? row : 1,
                                      .step = SIDE_BY_SIDE ? 1 : b->wide,
                                      .b = (pair *)b->w.dsz + v,
                                      .ldb = b->lanes},
                    smaller(PRODUCT_ROWS, b->dim - i), width, padded(smaller(sees - b->key, b->keys), DEPTH_GRAIN) / 2,
                    true);
    }
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

/* The keys first .. last that the block of rows needs. */
static void back_rows(struct block *b, size_t first, size_t last)
{
    const struct cpu_attention *a = b->a;
    size_t sees = b->start + b->vectors / a->group;
    for (size_t key = first; key < last && key < sees; key += CPU_KEY_BLOCK) {
        enter_keys(b, key, smaller(sees - key, CPU_KEY_BLOCK));
        probabilities(b);
        if (a->dq) add_to_queries(b);
        if (key + b->keys > a->key_begin && key < a->key_end) add_to_keys(b);
    }
    if (a->dq) store_dq(b);
}

static void store_keys(const struct block *b)
{
    const struct cpu_attention *a = b->a;
    for (size_t key = a->key_begin; key < a->key_end; key++) {
        float *dk = b->w.dk + (key - b->first_key) * b->wide, *dv = b->w.dv + (key - b->first_key) * b->wide;
        size_t at = key * a->ldk * number_bytes(a->number);
        for (size_t i = 0; i < b->dim; i++) dk[i] *= a->scale;
        numbers_write((char *)a->dk + at, dk, a->number, b->dim);
        numbers_write((char *)a->dv + at, dv, a->number, b->dim);
    }
}

/* Either gradient, or both. */
static void back_both(const struct cpu_attention *a)
{
    struct block b = {.a = a, .dim = a->head_dim, .wide = padded(a->head_dim, LANES)};
    size_t step = rows_together(a->group, a->head_dim, VECTORS), keys = a->key_end - a->key_begin;
    b.first_key = a->key_begin / CPU_KEY_BLOCK * CPU_KEY_BLOCK;
    layout(&b.w, a->scratch, a->group, a->head_dim, keys);
    size_t held = keys ? padded(a->key_end, CPU_KEY_BLOCK) - b.first_key : 0;
    memset(b.w.dk, 0, held * b.wide * sizeof(float));
    memset(b.w.dv, 0, held * b.wide * sizeof(float));
    product_begin();
    size_t first_row = a->dq || b.first_key < a->position ? 0 : (b.first_key - a->position) / step * step;
    for (size_t t = first_row; t < a->rows; t += step) {
        enter_rows(&b, t, smaller(step, a->rows - t));
        if (a->window && b.start + 1 >= a->key_end + a->window && !a->dq) break; /* beyond all windows */
        if (a->dq)
            back_rows(&b, first_seen(a, t) / CPU_KEY_BLOCK * CPU_KEY_BLOCK, SIZE_MAX);
        else
            back_rows(&b, b.first_key, a->key_end);
    }
    product_end();
    store_keys(&b);
}

static void back_q(const struct cpu_attention *a)
{
    struct cpu_attention alone = *a;
    alone.key_begin = alone.key_end = 0;
    back_both(&alone);
}

static void back_kv(const struct cpu_attention *a)
{
    struct cpu_attention alone = *a;
    alone.dq = NULL;
    back_both(&alone);
}

#endif
