/* attention_scalar.c — causal attention of the query heads that share a KV head, in plain C: the specification.
 *
 *   s[j] = scale · q·k[j],  p[j] = exp(s[j] − lse),  lse = log Σ exp(s[j]),  out = Σ p[j] v[j],   j = 0 .. position, or
 *   the last `window` of these; with a soft cap s[j] = cap · tanh(scale · q·k[j] / cap)
 *   backward, with D = dout·out:  ds[j] = p[j] (dout·v[j] − D),  dq = scale Σ ds[j] k[j],
 *   dk[j] = scale Σ ds[j] q and dv[j] = Σ p[j] dout over all the rows and heads that see key j.
 *
 * and with a soft cap ds[j] times 1 − (s[j] / cap)².
 *
 * What is stored in bf16 or 8 bits is read exactly, computed in f32 and rounded where it is written. A query only ever
 * reads the keys that it sees, so that a cache may hold anything beyond them. */
#include "backend/cpu/families.h"
#include "backend/cpu/attention_numbers.h"

/* Rows of head_dim floats; a key's dk and dv of the keys wanted. */
struct rows {
    float *q, *dout, *out, *k, *v, *sum, *dk, *dv;
};
enum { ROWS = 6 };

static size_t scratch_floats(size_t group, size_t head_dim, size_t keys)
{
    return (ROWS + 2 * keys) * head_dim;
}

static struct rows rows_of(const struct cpu_attention *a)
{
    size_t n = a->head_dim;
    float *x = a->scratch, *sums = x + ROWS * n;
    return (struct rows){x,         x + n,     x + 2 * n, x + 3 * n,
                         x + 4 * n, x + 5 * n, sums,      sums + (a->key_end - a->key_begin) * n};
}

static float dot(const float *a, const float *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void add_scaled(float *y, const float *x, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += scale * x[i];
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static float score(const struct cpu_attention *a, const float *q, const float *k)
{
    float s = a->scale * dot(q, k, a->head_dim);
    return a->softcap > 0 ? a->softcap * tanhf(s / a->softcap) : s;
}

/* Adds the keys begin .. end, of one block, to the vector's sum, max and total. */
static void attend_block(const struct cpu_attention *a, const struct rows *r, size_t begin, size_t end, float *sum,
                         float *max, float *total)
{
    float s[CPU_KEY_BLOCK], top = *max, block_total = 0;
    for (size_t j = begin; j < end; j++) {
        kv_read(r->k, kv_at(a, a->k_pages, j), a->kv, a->head_dim);
        s[j - begin] = score(a, r->q, r->k);
        top = fmaxf(top, s[j - begin]);
    }
    float shrink = expf(*max - top); /* 0 in the first block */
    for (size_t i = 0; i < a->head_dim; i++) sum[i] *= shrink;
    for (size_t j = begin; j < end; j++) {
        float p = expf(s[j - begin] - top);
        kv_read(r->v, kv_at(a, a->v_pages, j), a->kv, a->head_dim);
        block_total += p;
        add_scaled(sum, r->v, p, a->head_dim);
    }
    *total = *total * shrink + block_total;
    *max = top;
}

/* The chunk of keys at `begin`, of which the vector sees those from `first` on and below `keys`. */
static void attend_chunk(const struct cpu_attention *a, const struct rows *r, size_t begin, size_t first, size_t keys,
                         float *sum, float *max, float *total)
{
    size_t end = keys < begin + CPU_KEY_CHUNK ? keys : begin + CPU_KEY_CHUNK;
    for (size_t i = 0; i < a->head_dim; i++) sum[i] = 0;
    *max = -INFINITY, *total = 0;
    for (size_t j = begin; j < end; j += CPU_KEY_BLOCK) {
        size_t from = j < first ? first : j, to = end - j < CPU_KEY_BLOCK ? end : j + CPU_KEY_BLOCK;
        if (from < to) attend_block(a, r, from, to, sum, max, total);
    }
}

static void forward(const struct cpu_attention *a)
{
    struct rows r = rows_of(a);
    for (size_t v = 0; v < a->rows * a->group; v++) {
        size_t t = v / a->group, h = v % a->group, keys = a->position + t + 1, first = first_seen(a, t);
        float max, total, max2, total2;
        numbers_read(r.q, number_at(a->q, a->number, t * a->ldq + h * a->head_dim), a->number, a->head_dim);
        if (a->parts) {
            float *part = part_at(a, 0, v);
            attend_chunk(a, &r, a->key_begin, first, keys, part, part + a->head_dim, part + a->head_dim + 1);
            continue;
        }
        attend_chunk(a, &r, 0, first, keys, r.out, &max, &total);
        for (size_t begin = CPU_KEY_CHUNK; begin < keys; begin += CPU_KEY_CHUNK) {
            attend_chunk(a, &r, begin, first, keys, r.sum, &max2, &total2);
            merge_chunk(r.out, &max, &total, r.sum, max2, total2, a->head_dim);
        }
        finish_vector(a, v, r.out, max, total);
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Reads q and dout of vector v; returns its D. */
static float enter_vector(const struct cpu_attention *a, const struct rows *r, size_t v)
{
    size_t t = v / a->group, h = v % a->group, at = t * a->ldo + h * a->head_dim;
    numbers_read(r->q, number_at(a->q, a->number, t * a->ldq + h * a->head_dim), a->number, a->head_dim);
    numbers_read(r->dout, number_at(a->dout, a->number, at), a->number, a->head_dim);
    numbers_read(r->out, number_at(a->out, a->number, at), a->number, a->head_dim);
    return dot(r->dout, r->out, a->head_dim);
}

/* p and ds of vector v and key j; d is the vector's D. Leaves the key in r->k. */
static float probability(const struct cpu_attention *a, const struct rows *r, size_t v, size_t j, float d, float *ds)
{
    float lse = a->lse[v / a->group * a->ldlse + v % a->group];
    kv_read(r->k, kv_at(a, a->k_pages, j), a->kv, a->head_dim);
    kv_read(r->v, kv_at(a, a->v_pages, j), a->kv, a->head_dim);
    float s = score(a, r->q, r->k), p = expf(s - lse), part = a->softcap > 0 ? s / a->softcap : 0;
    *ds = p * (dot(r->dout, r->v, a->head_dim) - d) * (1 - part * part);
    return p;
}

static void back_q(const struct cpu_attention *a)
{
    struct rows r = rows_of(a);
    for (size_t v = 0; v < a->rows * a->group; v++) {
        size_t t = v / a->group, h = v % a->group, at = t * a->ldq + h * a->head_dim;
        float ds, d = enter_vector(a, &r, v);
        for (size_t i = 0; i < a->head_dim; i++) r.sum[i] = 0;
        for (size_t j = first_seen(a, t); j < a->position + t + 1; j++) {
            probability(a, &r, v, j, d, &ds);
            add_scaled(r.sum, r.k, a->scale * ds, a->head_dim);
        }
        numbers_write((char *)a->dq + at * number_bytes(a->number), r.sum, a->number, a->head_dim);
    }
}

static void back_kv(const struct cpu_attention *a)
{
    struct rows r = rows_of(a);
    size_t n = a->head_dim, keys = a->key_end - a->key_begin;
    for (size_t i = 0; i < 2 * keys * n; i++) r.dk[i] = 0;
    for (size_t v = 0; v < a->rows * a->group; v++) {
        float ds, d = enter_vector(a, &r, v);
        size_t first = first_seen(a, v / a->group);
        for (size_t j = first > a->key_begin ? first : a->key_begin; j < a->key_end && j <= a->position + v / a->group;
             j++) {
            float p = probability(a, &r, v, j, d, &ds);
            add_scaled(r.dv + (j - a->key_begin) * n, r.dout, p, n);
            add_scaled(r.dk + (j - a->key_begin) * n, r.q, a->scale * ds, n);
        }
    }
    for (size_t i = 0; i < keys; i++) {
        size_t at = (a->key_begin + i) * a->ldk * number_bytes(a->number);
        numbers_write((char *)a->dk + at, r.dk + i * n, a->number, n);
        numbers_write((char *)a->dv + at, r.dv + i * n, a->number, n);
    }
}

void attention_scalar(struct cpu_kernels *t)
{
    t->attention = (struct cpu_attention_kernels){
        .scratch = scratch_floats, .forward = forward, .merge = merge_parts, .back_q = back_q, .back_kv = back_kv};
    t->kv_store = kv_store;
}
