/* attention_template.h — attention in f32 over a vector header: attention_scalar.c says what is computed.
 *
 * Included once by each attention_ISA.c, after its vector header. A block of query vectors (whole rows, so that all the
 * heads of a group share what is read) meets the key blocks one by one: K and V of the block are transposed once, for
 * lanes over keys in q·k and dout·v; in the sums over keys the lanes lie along head_dim and K and V are read in place,
 * or, where they are not stored as f32, from a copy.
 * Every product is a tile of 6 vectors × 64 or fewer columns, each sum one chain over the depth in order. A tile may go
 * beyond what one of its rows sees: there p = 0, which adds nothing. So a row's bits depend on that row alone
 * (up to the sign of a zero, and as long as no number is infinite). */
#include "backend/cpu/families.h"
#include "backend/cpu/attention_numbers.h"
#include "backend/cpu/attention_scratch.h"
#include "backend/cpu/vector_math.h"

#define INLINE static inline __attribute__((always_inline))
enum { TILE_ROWS = 6, TILE_COLS = TILE_VECTORS * LANES, CACHE_LINE = 16, FEW_VECTORS = 12 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}
static size_t whole_vectors(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* c[i][j] (+)= Σ_k a[i · row + k · step] · b[k][j]. */
struct operands {
    float *c;
    const float *a, *b;
    size_t ldc, row, step, ldb;
};

/* i < rows, j < vectors · LANES; both known when compiling. The last vector's lanes beyond `last` stay untouched. */
INLINE void product_tile(struct operands o, size_t depth, bool accumulate, size_t last, size_t rows, size_t vectors)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
    vec_mask mask = vec_first(last);
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) {
            const float *c = o.c + i * o.ldc + j * LANES;
            sum[i][j] = !accumulate ? vec_set(0) : vectors == 1 ? vec_load_mask(c, mask) : vec_load(c);
        }
    for (size_t k = 0; k < depth; k++, o.a += o.step, o.b += o.ldb) {
        vec b[TILE_VECTORS];
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) b[j] = vectors == 1 ? vec_load_mask(o.b, mask) : vec_load(o.b + j * LANES);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            vec a = vec_set(o.a[i * o.row]);
#pragma GCC unroll 8
            for (size_t j = 0; j < vectors; j++) sum[i][j] = vec_fma(a, b[j], sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) {
            float *c = o.c + i * o.ldc + j * LANES;
            if (vectors == 1)
                vec_store_mask(c, sum[i][j], mask);
            else
                vec_store(c, sum[i][j]);
        }
}

INLINE void product_rows(struct operands o, size_t depth, bool accumulate, size_t last, size_t rows, size_t vectors)
{
    switch (rows) {
    case 6:
        product_tile(o, depth, accumulate, last, 6, vectors);
        break;
    case 5:
        product_tile(o, depth, accumulate, last, 5, vectors);
        break;
    case 4:
        product_tile(o, depth, accumulate, last, 4, vectors);
        break;
    case 3:
        product_tile(o, depth, accumulate, last, 3, vectors);
        break;
    case 2:
        product_tile(o, depth, accumulate, last, 2, vectors);
        break;
    default:
        product_tile(o, depth, accumulate, last, 1, vectors);
    }
}

/* rows <= TILE_ROWS, any number of columns. Not inlined: one copy of the tiles. */
static __attribute__((noinline)) void product(struct operands o, size_t rows, size_t cols, size_t depth,
                                              bool accumulate)
{
    size_t width;
    for (size_t left = cols; left; left -= width, o.c += width, o.b += width) {
        width = left >= TILE_COLS ? TILE_COLS : left >= 2 * LANES ? 2 * LANES : smaller(left, LANES);
        if (width == TILE_COLS)
            product_rows(o, depth, accumulate, LANES, rows, TILE_VECTORS);
        else if (width == 2 * LANES)
            product_rows(o, depth, accumulate, LANES, rows, 2);
        else
            product_rows(o, depth, accumulate, width, rows, 1);
    }
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* y[d][j] = x[j][d], j < keys <= CPU_KEY_BLOCK; up to whole vectors of keys and of d the rest is 0. */
static void transpose(float *y, const float *x, size_t ldx, size_t keys, size_t dim)
{
    for (size_t j = 0; j < keys; j += LANES)
        for (size_t d = 0; d < dim; d += LANES) {
            vec r[LANES];
            const float *from = x + j * ldx + d;
            if (keys - j >= LANES && dim - d >= LANES) {
#pragma GCC unroll 16
                for (size_t i = 0; i < LANES; i++) r[i] = vec_load(from + i * ldx);
            } else {
                vec_mask mask = vec_first(smaller(dim - d, LANES));
#pragma GCC unroll 16
                for (size_t i = 0; i < LANES; i++)
                    r[i] = i < keys - j ? vec_load_mask(from + i * ldx, mask) : vec_set(0);
            }
            vec_transpose(r);
#pragma GCC unroll 16
            for (size_t i = 0; i < LANES; i++) vec_store(y + (d + i) * CPU_KEY_BLOCK + j, r[i]);
        }
}

/* A block of queries against a block of keys. */
struct block {
    const struct cpu_attention *a;
    struct attention_scratch w;
    size_t row, vectors; /* the first row; vectors = rows · group */
    size_t key, keys;    /* the first key; as many as the last row sees of the block, at most CPU_KEY_BLOCK */
    const float *k, *v;  /* the block's rows, stride ldk */
    size_t ldk;
};

/* Of the block's keys, those that a vector sees. */
static size_t seen_by(const struct block *b, size_t vector)
{
    size_t keys = b->a->position + b->row + vector / b->a->group + 1;
    return keys > b->key ? smaller(keys - b->key, CPU_KEY_BLOCK) : 0;
}

/* Of the block's keys, those before what the vector sees. */
static size_t unseen_by(const struct block *b, size_t vector)
{
    size_t first = first_seen(b->a, b->row + vector / b->a->group);
    return first > b->key ? smaller(first - b->key, CPU_KEY_BLOCK) : 0;
}

/* The lanes j .. j + LANES of a block that lie in from .. to. */
static inline vec_mask lanes_between(size_t j, size_t from, size_t to)
{
    vec_mask below = vec_first(to > j ? smaller(to - j, LANES) : 0);
    return from > j ? vec_mask_without(below, vec_first(smaller(from - j, LANES))) : below;
}

/* Where blocks begin that the first of the queries sees a key of, from `begin` on. */
static size_t first_block(const struct block *b, size_t begin)
{
    size_t first = first_seen(b->a, b->row) / CPU_KEY_BLOCK * CPU_KEY_BLOCK;
    return first > begin ? first : begin;
}

/* Reads a float of every cache line once, in order. A transposition reads many rows at once, which the processor does
 * not foresee; this it does (measured from memory: 1.2 to 1.8 times as fast; prefetch instructions gained nothing). */
static void stream(const float *x, size_t ldx, size_t rows, size_t dim)
{
    for (size_t i = 0; i < rows; i++, x += ldx)
        for (size_t d = 0; d < dim; d += CACHE_LINE) (void)*(const volatile float *)(x + d);
}

/* The block's rows of K or V as f32, stride b->ldk: where they lie, or in `copy`. */
static const float *key_rows(struct block *b, const void *const *pages, float *copy)
{
    const struct cpu_attention *a = b->a;
    const char *rows = kv_at(a, pages, b->key);
    if (a->kv == KV_F32) {
        b->ldk = a->kv_row / sizeof(float);
        if (b->vectors <= FEW_VECTORS) stream((const float *)rows, b->ldk, b->keys, a->head_dim); /* memory's limit */
        return (const float *)rows;
    }
    b->ldk = a->head_dim;
    for (size_t j = 0; j < b->keys; j++) kv_read(copy + j * b->ldk, rows + j * a->kv_row, a->kv, a->head_dim);
    return copy;
}

/* Turns to the keys from `key` on; false: the queries see none of them. */
static bool enter_keys(struct block *b, size_t key, bool values_too)
{
    const struct cpu_attention *a = b->a;
    b->key = key;
    b->keys = seen_by(b, b->vectors - 1);
    if (!b->keys) return false;
    b->k = key_rows(b, a->k_pages, b->w.k);
    b->v = key_rows(b, a->v_pages, b->w.v);
    transpose(b->w.kt, b->k, b->ldk, b->keys, a->head_dim);
    if (values_too) transpose(b->w.vt, b->v, b->ldk, b->keys, a->head_dim);
    return true;
}

/* x *= scale */
static void multiply(float *x, size_t n, float scale)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(x + i, vec_mul(vec_load(x + i), vec_set(scale)));
    for (; i < n; i++) x[i] *= scale;
}

/* y (rows, width) = scale · x, whose rows begin at element `at` and lie ld apart. */
static void gather(float *y, const struct cpu_attention *a, const void *x, size_t at, size_t ld, size_t rows,
                   float scale)
{
    size_t width = a->group * a->head_dim;
    for (size_t t = 0; t < rows; t++)
        numbers_read(y + t * width, number_at(x, a->number, at + t * ld), a->number, width);
    if (scale != 1) multiply(y, rows * width, scale);
}

static float dot(const float *x, const float *y, size_t n)
{
    vec sum = vec_set(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) sum = vec_fma(vec_load(x + i), vec_load(y + i), sum);
    if (i < n) sum = vec_fma(vec_load_first(x + i, n - i), vec_load_first(y + i, n - i), sum);
    return vec_sum(sum);
}

/* Rows `row` .. row + rows of the queries into scratch; for backward also dout, and lse and D in max and total. */
static void enter_rows(struct block *b, size_t row, size_t rows, bool backward)
{
    const struct cpu_attention *a = b->a;
    size_t dim = a->head_dim;
    b->row = row;
    b->vectors = rows * a->group;
    gather(b->w.q, a, a->q, row * a->ldq, a->ldq, rows, a->scale);
    if (!backward) return;
    gather(b->w.dout, a, a->dout, row * a->ldo, a->ldo, rows, 1);
    gather(b->w.sum, a, a->out, row * a->ldo, a->ldo, rows, 1);
    for (size_t v = 0; v < b->vectors; v++) {
        b->w.max[v] = a->lse[(row + v / a->group) * a->ldlse + v % a->group];
        b->w.total[v] = dot(b->w.dout + v * dim, b->w.sum + v * dim, dim);
    }
}

/* s = q kᵀ of the vectors v .. v + n and the first `seen` keys. */
static void scores(const struct block *b, size_t v, size_t n, size_t seen)
{
    size_t dim = b->a->head_dim;
    struct operands o = {.c = b->w.s + v * CPU_KEY_BLOCK,
                         .ldc = CPU_KEY_BLOCK,
                         .a = b->w.q + v * dim,
                         .row = dim,
                         .step = 1,
                         .b = b->w.kt,
                         .ldb = CPU_KEY_BLOCK};
    product(o, n, whole_vectors(seen), dim, false);
}

/* sum += weights · x, x: the block's rows of K or V. */
static void mix(const struct block *b, const float *weights, const float *x, size_t v, size_t n, size_t seen)
{
    size_t dim = b->a->head_dim;
    struct operands o = {.c = b->w.sum + v * dim,
                         .ldc = dim,
                         .a = weights + v * CPU_KEY_BLOCK,
                         .row = CPU_KEY_BLOCK,
                         .step = 1,
                         .b = x,
                         .ldb = b->ldk};
    product(o, n, dim, seen, true);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* x = cap · tanh(x / cap) */
static void cap_scores(float *x, size_t width, float cap)
{
    for (size_t j = 0; j < width; j += LANES)
        vec_store(x + j, vec_mul(vec_set(cap), vec_tanh(vec_mul(vec_load(x + j), vec_set(1 / cap)))));
}

/* s (width, a multiple of LANES) becomes p relative to the running maximum, 0 before `unseen` and from `seen` on. */
static void soften(const struct block *b, size_t vector, size_t unseen, size_t seen, size_t width)
{
    float *s = b->w.s + vector * CPU_KEY_BLOCK, *sum = b->w.sum + vector * b->a->head_dim, old = b->w.max[vector];
    vec top = vec_set(-INFINITY), total = vec_set(0);
    if (seen <= unseen) { /* the chunk begins beyond this row, or the block ends before its window */
        memset(s, 0, width * sizeof *s);
        return;
    }
    if (b->a->softcap > 0) cap_scores(s, width, b->a->softcap);
    for (size_t j = 0; j < width; j += LANES) {
        vec x = vec_load(s + j);
        if (seen < j + LANES || unseen > j) x = vec_select(lanes_between(j, unseen, seen), x, vec_set(-INFINITY));
        vec_store(s + j, x);
        top = vec_max(top, x);
    }
    float max = vec_top(top);
    if (max > old) { /* shrink what was summed so far: to 0 in the first block */
        float shrink = expf(old - max);
        multiply(sum, b->a->head_dim, shrink);
        b->w.total[vector] *= shrink;
        b->w.max[vector] = old = max;
    }
    for (size_t j = 0; j < width; j += LANES) {
        vec p = vec_exp(vec_sub(vec_load(s + j), vec_set(old)));
        vec_store(s + j, p);
        total = vec_add(total, p);
    }
    b->w.total[vector] += vec_sum(total);
}

/* The chunk of keys at `begin`: its sum, max and total of every vector. */
static void attend_chunk(struct block *b, size_t begin)
{
    const struct cpu_attention *a = b->a;
    memset(b->w.sum, 0, b->vectors * a->head_dim * sizeof(float));
    for (size_t v = 0; v < b->vectors; v++) b->w.max[v] = -INFINITY, b->w.total[v] = 0;

    size_t key = first_block(b, begin), end = begin + CPU_KEY_CHUNK;
    for (; key < end && enter_keys(b, key, false); key += CPU_KEY_BLOCK)
        for (size_t v = 0, n; v < b->vectors; v += n) {
            n = smaller(TILE_ROWS, b->vectors - v);
            size_t seen = seen_by(b, v + n - 1);
            if (!seen) continue;
            scores(b, v, n, seen);
            for (size_t i = v; i < v + n; i++) soften(b, i, unseen_by(b, i), seen_by(b, i), whole_vectors(seen));
            mix(b, b->w.s, b->v, v, n, seen);
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
    const struct cpu_attention *a = b->a;
    struct attention_scratch *w = &b->w;
    size_t dim = a->head_dim, keys = a->position + b->row + b->vectors / a->group;
    size_t first = first_seen(a, b->row) / CPU_KEY_CHUNK * CPU_KEY_CHUNK;
    for (size_t begin = first; begin < keys; begin += CPU_KEY_CHUNK) {
        attend_chunk(b, begin);
        for (size_t v = 0; begin > first && v < b->vectors; v++)
            merge_chunk(w->run + v * dim, w->run_max + v, w->run_total + v, w->sum + v * dim, w->max[v], w->total[v],
                        dim);
        if (begin == first) swap(&w->sum, &w->run), swap(&w->max, &w->run_max), swap(&w->total, &w->run_total);
    }
    for (size_t v = 0; v < b->vectors; v++)
        finish_vector(a, b->row * a->group + v, w->run + v * dim, w->run_max[v], w->run_total[v]);
}

/* The chunk at key_begin alone: what it adds to every vector. */
static void attend_part(struct block *b)
{
    size_t dim = b->a->head_dim;
    attend_chunk(b, b->a->key_begin);
    for (size_t v = 0; v < b->vectors; v++) {
        float *part = part_at(b->a, 0, b->row * b->a->group + v);
        memcpy(part, b->w.sum + v * dim, dim * sizeof *part);
        part[dim] = b->w.max[v];
        part[dim + 1] = b->w.total[v];
    }
}

static void forward(const struct cpu_attention *a)
{
    struct block b = {.a = a};
    size_t step = attention_block_rows(a->group, a->head_dim);
    attention_layout(&b.w, a->scratch, a->group, a->head_dim);
    for (size_t t = 0; t < a->rows; t += step) {
        enter_rows(&b, t, smaller(step, a->rows - t), false);
        if (a->parts)
            attend_part(&b);
        else
            attend_rows(&b);
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* s becomes p and dp becomes ds = p (dp − D), of soft-capped s times 1 − (s / cap)²; both 0 before `unseen` and from
 * `seen` on. */
static void differentiate(const struct block *b, size_t vector, size_t unseen, size_t seen, size_t width)
{
    float *s = b->w.s + vector * CPU_KEY_BLOCK, *dp = b->w.dp + vector * CPU_KEY_BLOCK;
    vec lse = vec_set(b->w.max[vector]), d = vec_set(b->w.total[vector]);
    float cap = b->a->softcap;
    if (cap > 0) cap_scores(s, width, cap);
    for (size_t j = 0; j < width; j += LANES) {
        vec x = vec_load(s + j), p = vec_exp(vec_sub(x, lse)), ds = vec_mul(p, vec_sub(vec_load(dp + j), d));
        if (cap > 0) {
            vec part = vec_mul(x, vec_set(1 / cap));
            ds = vec_mul(ds, vec_fnma(part, part, vec_set(1)));
        }
        if (seen < j + LANES || unseen > j) {
            vec_mask mask = lanes_between(j, unseen, seen);
            p = vec_select(mask, p, vec_set(0));
            ds = vec_select(mask, ds, vec_set(0));
        }
        vec_store(s + j, p);
        vec_store(dp + j, ds);
    }
}

/* p and ds of the vectors v .. v + n and the first `seen` keys, rounded up to whole vectors. */
static void probabilities(const struct block *b, size_t v, size_t n, size_t seen)
{
    size_t dim = b->a->head_dim, width = whole_vectors(seen);
    struct operands o = {.c = b->w.dp + v * CPU_KEY_BLOCK,
                         .ldc = CPU_KEY_BLOCK,
                         .a = b->w.dout + v * dim,
                         .row = dim,
                         .step = 1,
                         .b = b->w.vt,
                         .ldb = CPU_KEY_BLOCK};
    scores(b, v, n, seen);
    product(o, n, width, dim, false);
    for (size_t i = v; i < v + n; i++) differentiate(b, i, unseen_by(b, i), seen_by(b, i), width);
}

static void back_q(const struct cpu_attention *a)
{
    struct block b = {.a = a};
    size_t step = attention_block_rows(a->group, a->head_dim), width = a->group * a->head_dim;
    attention_layout(&b.w, a->scratch, a->group, a->head_dim);
    for (size_t t = 0, rows; t < a->rows; t += rows) {
        rows = smaller(step, a->rows - t);
        enter_rows(&b, t, rows, true);
        memset(b.w.sum, 0, rows * width * sizeof(float));
        for (size_t key = first_block(&b, 0); enter_keys(&b, key, true); key += CPU_KEY_BLOCK)
            for (size_t v = 0, n; v < b.vectors; v += n) {
                n = smaller(TILE_ROWS, b.vectors - v);
                size_t seen = seen_by(&b, v + n - 1);
                if (!seen) continue;
                probabilities(&b, v, n, seen);
                mix(&b, b.w.dp, b.k, v, n, seen);
            }
        multiply(b.w.sum, rows * width, a->scale);
        for (size_t i = 0; i < rows; i++)
            numbers_write((char *)a->dq + (t + i) * a->ldq * number_bytes(a->number), b.w.sum + i * width, a->number,
                          width);
    }
}

/* dk, dv of the keys first .. last of the block, from all vectors of the block that see them. */
static void add_to_keys(const struct block *b, size_t first, size_t last)
{
    const struct cpu_attention *a = b->a;
    size_t dim = a->head_dim, start = a->position + b->row;
    for (size_t j = first, n; j < last; j += n) {
        n = smaller(TILE_ROWS, last - j);
        size_t v = b->key + j > start ? (b->key + j - start) * a->group : 0;
        if (v >= b->vectors) return;
        struct operands o = {.c = b->w.dv + j * dim,
                             .ldc = dim,
                             .a = b->w.s + v * CPU_KEY_BLOCK + j,
                             .row = 1,
                             .step = CPU_KEY_BLOCK,
                             .b = b->w.dout + v * dim,
                             .ldb = dim};
        product(o, n, dim, b->vectors - v, true);
        o.c = b->w.dk + j * dim;
        o.a = b->w.dp + v * CPU_KEY_BLOCK + j;
        o.b = b->w.q + v * dim;
        product(o, n, dim, b->vectors - v, true);
    }
}

/* The block of keys from `key` on; of it, dk and dv of the keys first .. last. */
static void back_kv_block(struct block *b, size_t key, size_t first, size_t last)
{
    const struct cpu_attention *a = b->a;
    size_t step = attention_block_rows(a->group, a->head_dim), dim = a->head_dim;
    memset(b->w.dk, 0, CPU_KEY_BLOCK * dim * sizeof(float));
    memset(b->w.dv, 0, CPU_KEY_BLOCK * dim * sizeof(float));
    b->row = a->rows - 1; /* the last row sees all the keys */
    b->vectors = a->group;
    enter_keys(b, key, true);
    size_t width = whole_vectors(b->keys);

    size_t end = key + CPU_KEY_BLOCK - 1 + a->window; /* queries from here on see none of the block's keys */
    for (size_t t = key > a->position ? (key - a->position) / step * step : 0; t < a->rows; t += step) {
        if (a->window && a->position + t >= end) break;
        enter_rows(b, t, smaller(step, a->rows - t), true);
        for (size_t v = 0, n; v < b->vectors; v += n) {
            n = smaller(TILE_ROWS, b->vectors - v);
            size_t seen = seen_by(b, v + n - 1), whole = whole_vectors(seen);
            if (seen) probabilities(b, v, n, seen);
            for (size_t i = v; i < v + n && whole < width; i++) {
                memset(b->w.s + i * CPU_KEY_BLOCK + whole, 0, (width - whole) * sizeof(float));
                memset(b->w.dp + i * CPU_KEY_BLOCK + whole, 0, (width - whole) * sizeof(float));
            }
        }
        add_to_keys(b, first, last);
    }
    for (size_t j = first; j < last; j++) {
        size_t at = (key + j) * a->ldk * number_bytes(a->number);
        numbers_write((char *)a->dk + at, b->w.dk + j * dim, a->number, dim);
        numbers_write((char *)a->dv + at, b->w.dv + j * dim, a->number, dim);
    }
}

static void back_kv(const struct cpu_attention *a)
{
    struct block b = {.a = a};
    attention_layout(&b.w, a->scratch, a->group, a->head_dim);
    for (size_t key = a->key_begin / CPU_KEY_BLOCK * CPU_KEY_BLOCK; key < a->key_end; key += CPU_KEY_BLOCK) {
        size_t first = key < a->key_begin ? a->key_begin - key : 0;
        back_kv_block(&b, key, first, smaller(a->key_end - key, CPU_KEY_BLOCK));
    }
}

static size_t scratch_floats(size_t group, size_t head_dim, size_t keys)
{
    return attention_scratch_floats(group, head_dim);
}

static void fill_attention(struct cpu_kernels *t)
{
    t->attention = (struct cpu_attention_kernels){
        .scratch = scratch_floats, .forward = forward, .merge = merge_parts, .back_q = back_q, .back_kv = back_kv};
    t->kv_store = kv_store;
}
