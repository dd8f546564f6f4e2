/* attention_bf16_forward.h — attention in bf16: q·k and p·v in bf16, sums and soft-max in f32. The includer brings the
 * product: see attention_bf16.h.
 *
 * A block of query vectors meets the key blocks one by one: K is flipped for lanes over keys, V zipped for pairs along
 * keys. PRODUCT_ROWS vectors at a time get their scores, soft-max and share of p·v while all of it is in the first
 * cache. */
#ifndef CPU_ATTENTION_BF16_FORWARD_H
#define CPU_ATTENTION_BF16_FORWARD_H

enum { VECTORS = 192, FEW_VECTORS = 16, CACHE_LINE = 64, BF16_ONE = 0x3f80 };
static const float LOG2E = 0x1.715476p+0f;

struct scratch {
    float *q;                 /* pairs (vectors, pairs(head_dim)) */
    float *sum, *run;         /* (vectors, head_dim padded): of the chunk, of those before */
    float *total, *run_total; /* (vectors, LANES), at the end (vectors) */
    float *max;               /* (vectors): of q·k, without its scale */
    float *sees;              /* u32 (vectors): keys, from the first */
    float *run_max;           /* (vectors): with it */
    float *s, *p;             /* (PRODUCT_ROWS, CPU_KEY_BLOCK): scores; probabilities, in pairs along keys */
    float *kt, *vp;           /* pairs: (pairs(head_dim), CPU_KEY_BLOCK), (CPU_KEY_BLOCK / 2, head_dim padded) */
    float *k, *v;             /* pairs (CPU_KEY_BLOCK, pairs(head_dim)): rows that are not stored in bf16 */
};

static size_t layout(struct scratch *w, float *base, size_t group, size_t head_dim)
{
    size_t vectors = padded(rows_together(group, head_dim, VECTORS) * group, PRODUCT_ROWS);
    size_t wide = vectors * padded(head_dim, LANES);
    size_t rows = CPU_KEY_BLOCK * pairs(head_dim), columns = CPU_KEY_BLOCK / 2 * padded(head_dim, LANES);
    const struct scratch_part parts[] = {{&w->q, vectors * pairs(head_dim)},
                                         {&w->sum, wide},
                                         {&w->run, wide},
                                         {&w->total, vectors * LANES},
                                         {&w->max, vectors},
                                         {&w->sees, vectors},
                                         {&w->run_max, vectors},
                                         {&w->run_total, vectors * LANES},
                                         {&w->s, PRODUCT_ROWS * CPU_KEY_BLOCK},
                                         {&w->p, PRODUCT_ROWS * CPU_KEY_BLOCK / 2},
                                         {&w->kt, rows},
                                         {&w->vp, columns},
                                         {&w->k, rows},
                                         {&w->v, rows}};
    return lay_out(base, parts, sizeof parts / sizeof *parts);
}

static size_t forward_scratch(size_t group, size_t head_dim)
{
    struct scratch unused;
    return layout(&unused, NULL, group, head_dim);
}

struct block {
    const struct cpu_attention *a;
    struct scratch w;
    size_t row, vectors, dim, wide; /* the first row; vectors = rows · group; head_dim and its stride in sums */
    size_t key, keys;               /* the first key; as many as the last row sees of the block */
    float factor;                   /* scale · log2 e */
};

/* Of the block's keys, those that a vector sees. */
static size_t seen_by(const struct block *b, size_t vector)
{
    size_t keys = ((const uint32_t *)b->w.sees)[vector];
    return keys > b->key ? smaller(keys - b->key, CPU_KEY_BLOCK) : 0;
}

/* Of the block's keys, those before what the vector sees. */
static size_t unseen_by(const struct block *b, size_t vector)
{
    size_t keys = ((const uint32_t *)b->w.sees)[vector], window = b->a->window;
    size_t first = window && keys > window ? keys - window : 0;
    return first > b->key ? smaller(first - b->key, CPU_KEY_BLOCK) : 0;
}

static void enter_rows(struct block *b, size_t row, size_t rows)
{
    const struct cpu_attention *a = b->a;
    b->row = row;
    b->vectors = rows * a->group;
    for (size_t v = 0; v < b->vectors; v++) {
        size_t t = row + v / a->group, h = v % a->group;
        narrow((pair *)b->w.q + v * pairs(b->dim), number_at(a->q, a->number, t * a->ldq + h * b->dim),
               kv_of_number(a->number), 0, 1, b->dim);
        ((uint32_t *)b->w.sees)[v] = (uint32_t)(a->position + t + 1);
    }
}

/* The block's rows of K or V in bf16: where they lie, or in `copy`. */
static const void *rows_bf16(const struct block *b, const void *const *pages, float *copy, size_t *row_bytes)
{
    const struct cpu_attention *a = b->a;
    const char *rows = kv_at(a, pages, b->key);
    *row_bytes = a->kv_row;
    if (a->kv == KV_BF16) return rows;
    *row_bytes = pairs(b->dim) * sizeof(pair);
    narrow((pair *)copy, rows, a->kv, a->kv_row, b->keys, b->dim);
    return copy;
}

/* Reads every cache line of the block once, in four runs side by side: a flip reads many rows at once, which the CPU
 * does not foresee, and one run has too few reads under way. Prefetch instructions gained nothing. */
static void stream(const struct block *b)
{
    size_t stride = b->a->kv_row, bytes = kv_bytes(b->a->kv, b->dim), half = b->keys / 2;
    const char *k = kv_at(b->a, b->a->k_pages, b->key), *v = kv_at(b->a, b->a->v_pages, b->key);
    const char *runs[] = {k, k + half * stride, v, v + half * stride};
    for (size_t j = 0; j < b->keys - half; j++)
        for (size_t at = 0; at < bytes; at += CACHE_LINE)
            for (size_t i = 0; i < 4; i++) (void)*(const volatile char *)(runs[i] + j * stride + at);
}

/* Turns to the keys from `key` on; false: the queries see none of them. */
static bool enter_keys(struct block *b, size_t key)
{
    size_t row_bytes;
    b->key = key;
    b->keys = seen_by(b, b->vectors - 1);
    if (!b->keys) return false;
    if (b->vectors <= FEW_VECTORS) stream(b); /* memory's limit */
    const void *k = rows_bf16(b, b->a->k_pages, b->w.k, &row_bytes);
    flip((pair *)b->w.kt, CPU_KEY_BLOCK, k, row_bytes, b->keys, padded(b->keys, GRAIN), b->dim);
    const void *v = rows_bf16(b, b->a->v_pages, b->w.v, &row_bytes);
    zip((pair *)b->w.vp, b->wide, v, row_bytes, b->keys, padded(b->keys, DEPTH_GRAIN), b->dim);
    return true;
}

/* Raises the vector's maximum to that of `top`; what was summed so far shrinks. */
static void raise_max(const struct block *b, size_t vector, __m512 top)
{
    float *sum = b->w.sum + vector * b->wide, *total = b->w.total + vector * LANES, *max = b->w.max + vector;
    float new = _mm512_reduce_max_ps(top), old = *max;
    *max = new;
    if (old == -INFINITY) return; /* nothing was */
    __m512 shrink = exp2_ps(_mm512_set1_ps((old - new) * b->factor));
    for (size_t i = 0; i < b->wide; i += LANES)
        _mm512_storeu_ps(sum + i, _mm512_mul_ps(_mm512_loadu_ps(sum + i), shrink));
    _mm512_storeu_ps(total, _mm512_mul_ps(_mm512_loadu_ps(total), shrink));
}

/* x = cap · tanh(x / cap), x = scale · s, of `width` scores, which keep their unit. */
static void cap_scores(const struct cpu_attention *a, float *s, size_t width)
{
    __m512 in = _mm512_set1_ps(a->scale / a->softcap), out = _mm512_set1_ps(a->softcap / a->scale);
    for (size_t j = 0; j < width; j += LANES)
        _mm512_storeu_ps(s + j, _mm512_mul_ps(tanh_ps(_mm512_mul_ps(_mm512_loadu_ps(s + j), in)), out));
}

/* The scores s (n · LANES) become p = exp(scale (s − max)), in bf16, 0 before `unseen` and from `seen` on. n is known
 * when compiling. The
 * total is that of the rounded p, so that what the rounding moves does not change their sum. */
INLINE void soften(const struct block *b, size_t vector, const float *s, pair *p, size_t unseen, size_t seen, size_t n)
{
    float *total = b->w.total + vector * LANES;
    __m512 x[CPU_KEY_BLOCK / LANES], top, sum;
#pragma GCC unroll 4
    for (size_t j = 0; j < n; j++) {
        x[j] = _mm512_loadu_ps(s + j * LANES);
        if (seen < (j + 1) * LANES || unseen > j * LANES)
            x[j] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), lanes_between(j * LANES, unseen, seen), x[j]);
        top = j ? _mm512_max_ps(top, x[j]) : x[j];
    }
    if (_mm512_cmp_ps_mask(top, _mm512_set1_ps(b->w.max[vector]), _CMP_GT_OQ)) raise_max(b, vector, top);
    sum = _mm512_loadu_ps(total);
    __m512 factor = _mm512_set1_ps(b->factor);
    __m512 offset = _mm512_mul_ps(_mm512_set1_ps(b->w.max[vector]), factor);
#pragma GCC unroll 4
    for (size_t j = 0; j < n; j++) x[j] = exp2_ps(_mm512_fmsub_ps(x[j], factor, offset));
#pragma GCC unroll 2
    for (size_t j = 0; j < n; j += 2) {
        __m512i rounded = join(x[j], j + 1 < n ? x[j + 1] : _mm512_setzero_ps());
        sum = _mm512_dpbf16_ps(sum, (__m512bh)rounded, (__m512bh)_mm512_set1_epi16(BF16_ONE));
        _mm512_storeu_si512(p + j * LANES / 2, rounded);
    }
    _mm512_storeu_ps(total, sum);
}

/* The tile's scores of the vectors v .. v + n and `width` keys. */
static void soften_tile(const struct block *b, size_t v, size_t n, size_t width)
{
    pair *p = (pair *)b->w.p;
    float *s = b->w.s;
    for (size_t i = 0; i < n; i++, v++, s += CPU_KEY_BLOCK, p += CPU_KEY_BLOCK / 2) {
        size_t seen = seen_by(b, v), unseen = unseen_by(b, v);
        if (seen && b->a->softcap > 0) cap_scores(b->a, s, width);
        if (seen <= unseen) /* the chunk begins beyond this row, or the block ends before its window */
            memset(p, 0, width * sizeof *p / 2);
        else if (seen == CPU_KEY_BLOCK && !unseen)
            soften(b, v, s, p, 0, CPU_KEY_BLOCK, 4);
        else if (width > 3 * LANES)
            soften(b, v, s, p, unseen, seen, 4);
        else if (width > 2 * LANES)
            soften(b, v, s, p, unseen, seen, 3);
        else if (width > LANES)
            soften(b, v, s, p, unseen, seen, 2);
        else
            soften(b, v, s, p, unseen, seen, 1);
    }
}

/* The vectors v .. v + n against the block's keys. */
static void attend_tile(const struct block *b, size_t v, size_t n)
{
    size_t seen = seen_by(b, v + n - 1), width = padded(seen, GRAIN);
    if (!seen) return;
    product((struct operands){.c = b->w.s,
                              .ldc = CPU_KEY_BLOCK,
                              .a = (pair *)b->w.q + v * pairs(b->dim),
                              .row = pairs(b->dim),
                              .step = 1,
                              .b = (pair *)b->w.kt,
                              .ldb = CPU_KEY_BLOCK},
            n, width, pairs(b->dim), false);
    soften_tile(b, v, n, width);
    product((struct operands){.c = b->w.sum + v * b->wide,
                              .ldc = b->wide,
                              .a = (pair *)b->w.p,
                              .row = CPU_KEY_BLOCK / 2,
                              .step = 1,
                              .b = (pair *)b->w.vp,
                              .ldb = b->wide},
            n, b->wide, padded(seen, DEPTH_GRAIN) / 2, true);
}

/* The chunk of keys at `begin`: every vector's sum, max and total, these two as in kernels.h. */
static void attend_chunk(struct block *b, size_t begin)
{
    struct scratch *w = &b->w;
    memset(w->sum, 0, b->vectors * b->wide * sizeof *w->sum);
    memset(w->total, 0, b->vectors * LANES * sizeof *w->total);
    for (size_t v = 0; v < b->vectors; v++) w->max[v] = -INFINITY;

    size_t first = first_seen(b->a, b->row) / CPU_KEY_BLOCK * CPU_KEY_BLOCK, end = begin + CPU_KEY_CHUNK;
    for (size_t key = first > begin ? first : begin; key < end && enter_keys(b, key); key += CPU_KEY_BLOCK)
        for (size_t v = 0; v < b->vectors; v += PRODUCT_ROWS) attend_tile(b, v, smaller(PRODUCT_ROWS, b->vectors - v));
    for (size_t v = 0; v < b->vectors; v++) {
        w->max[v] *= b->a->scale;
        w->total[v] = _mm512_reduce_add_ps(_mm512_loadu_ps(w->total + v * LANES));
    }
}

static void swap(float **x, float **y)
{
    float *keep = *x;
    *x = *y, *y = keep;
}

/* All chunks that the rows see, merged in order. */
static void attend_rows(struct block *b)
{
    struct scratch *w = &b->w;
    size_t keys = b->a->position + b->row + b->vectors / b->a->group;
    size_t first = first_seen(b->a, b->row) / CPU_KEY_CHUNK * CPU_KEY_CHUNK;
    for (size_t begin = first; begin < keys; begin += CPU_KEY_CHUNK) {
        attend_chunk(b, begin);
        for (size_t v = 0; begin > first && v < b->vectors; v++)
            merge_chunk(w->run + v * b->wide, w->run_max + v, w->run_total + v, w->sum + v * b->wide, w->max[v],
                        w->total[v], b->dim);
        if (begin == first) swap(&w->sum, &w->run), swap(&w->max, &w->run_max), swap(&w->total, &w->run_total);
    }
    for (size_t v = 0; v < b->vectors; v++)
        finish_vector(b->a, b->row * b->a->group + v, w->run + v * b->wide, w->run_max[v], w->run_total[v]);
}

/* The chunk at key_begin alone: what it adds to every vector. */
static void attend_part(struct block *b)
{
    attend_chunk(b, b->a->key_begin);
    for (size_t v = 0; v < b->vectors; v++) {
        float *part = part_at(b->a, 0, b->row * b->a->group + v);
        memcpy(part, b->w.sum + v * b->wide, b->dim * sizeof *part);
        part[b->dim] = b->w.max[v];
        part[b->dim + 1] = b->w.total[v];
    }
}

static void forward(const struct cpu_attention *a)
{
    struct block b = {.a = a, .dim = a->head_dim, .wide = padded(a->head_dim, LANES), .factor = a->scale * LOG2E};
    size_t step = rows_together(a->group, a->head_dim, VECTORS);
    layout(&b.w, a->scratch, a->group, a->head_dim);
    product_begin();
    for (size_t t = 0; t < a->rows; t += step) {
        enter_rows(&b, t, smaller(step, a->rows - t));
        if (a->parts)
            attend_part(&b);
        else
            attend_rows(&b);
    }
    product_end();
}

#endif
