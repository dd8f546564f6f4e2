/* attention_scalar.c — causal attention of the query heads that share a KV head, in plain C: the specification.
 *
 *   s[j] = scale · q·k[j],  p[j] = exp(s[j] − lse),  lse = log Σ exp(s[j]),  out = Σ p[j] v[j],   j = 0 .. position
 *   backward, with D = dout·out:  ds[j] = p[j] (dout·v[j] − D),  dq = scale Σ ds[j] k[j],
 *   dk[j] = scale Σ ds[j] q and dv[j] = Σ p[j] dout over all the rows and heads that see key j.
 *
 * Owns the size of the scratch for every instruction set; itself it needs none. A query only ever reads the keys that
 * it sees, so that a cache may hold anything beyond them. */
#include "backend/cpu/families.h"
#include "backend/cpu/attention_scratch.h"

#include <math.h>

size_t cpu_attention_scratch(size_t group, size_t head_dim)
{
    return attention_scratch_floats(group, head_dim);
}

/* ---- one query head at one row ----------------------------------------------------------------------------------- */

/* Where row t, head h finds its vectors. */
struct query {
    const float *q, *dout;
    float *out, *lse, *dq;
    size_t keys; /* how many it sees */
};

static struct query query_at(const struct cpu_attention *a, size_t t, size_t h)
{
    size_t in = t * a->ldq + h * a->head_dim, out = t * a->ldo + h * a->head_dim;
    return (struct query){.q = a->q + in,
                          .dout = a->dout ? a->dout + out : NULL,
                          .out = a->out + out,
                          .lse = a->lse ? a->lse + t * a->ldlse + h : NULL,
                          .dq = a->dq ? a->dq + in : NULL,
                          .keys = a->position + t + 1};
}

static const float *key_at(const struct cpu_attention *a, const float *const *pages, size_t key)
{
    return pages[key / a->page_tokens] + key % a->page_tokens * a->ldk;
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

/* Adds a block of keys to out, the sum and the maximum of a query. */
static void attend_block(const struct cpu_attention *a, struct query q, size_t begin, size_t end, float *max,
                         float *sum)
{
    float s[CPU_KEY_BLOCK], top = *max, block_sum = 0;
    for (size_t j = begin; j < end; j++) {
        s[j - begin] = a->scale * dot(q.q, key_at(a, a->k_pages, j), a->head_dim);
        top = fmaxf(top, s[j - begin]);
    }
    float shrink = expf(*max - top); /* 0 in the first block */
    for (size_t i = 0; i < a->head_dim; i++) q.out[i] *= shrink;
    for (size_t j = begin; j < end; j++) {
        float p = expf(s[j - begin] - top);
        block_sum += p;
        add_scaled(q.out, key_at(a, a->v_pages, j), p, a->head_dim);
    }
    *sum = *sum * shrink + block_sum;
    *max = top;
}

static void attention(const struct cpu_attention *a)
{
    for (size_t t = 0; t < a->rows; t++)
        for (size_t h = 0; h < a->group; h++) {
            struct query q = query_at(a, t, h);
            float max = -INFINITY, sum = 0;
            for (size_t i = 0; i < a->head_dim; i++) q.out[i] = 0;
            for (size_t j = 0; j < q.keys; j += CPU_KEY_BLOCK)
                attend_block(a, q, j, q.keys - j < CPU_KEY_BLOCK ? q.keys : j + CPU_KEY_BLOCK, &max, &sum);
            for (size_t i = 0; i < a->head_dim; i++) q.out[i] /= sum;
            if (q.lse) *q.lse = max + logf(sum);
        }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* p and ds of query q and key j; d is the query's D. */
static float probability(const struct cpu_attention *a, struct query q, size_t j, float d, float *ds)
{
    float p = expf(a->scale * dot(q.q, key_at(a, a->k_pages, j), a->head_dim) - *q.lse);
    *ds = p * (dot(q.dout, key_at(a, a->v_pages, j), a->head_dim) - d);
    return p;
}

static void attention_back_q(const struct cpu_attention *a)
{
    for (size_t t = 0; t < a->rows; t++)
        for (size_t h = 0; h < a->group; h++) {
            struct query q = query_at(a, t, h);
            float ds, d = dot(q.dout, q.out, a->head_dim);
            for (size_t i = 0; i < a->head_dim; i++) q.dq[i] = 0;
            for (size_t j = 0; j < q.keys; j++) {
                probability(a, q, j, d, &ds);
                add_scaled(q.dq, key_at(a, a->k_pages, j), a->scale * ds, a->head_dim);
            }
        }
}

static void attention_back_kv(const struct cpu_attention *a)
{
    for (size_t j = a->key_begin; j < a->key_end; j++)
        for (size_t i = 0; i < a->head_dim; i++) a->dk[j * a->ldk + i] = a->dv[j * a->ldk + i] = 0;

    for (size_t t = 0; t < a->rows; t++)
        for (size_t h = 0; h < a->group; h++) {
            struct query q = query_at(a, t, h);
            float ds, d = dot(q.dout, q.out, a->head_dim);
            for (size_t j = a->key_begin; j < a->key_end && j < q.keys; j++) {
                float p = probability(a, q, j, d, &ds);
                add_scaled(a->dv + j * a->ldk, q.dout, p, a->head_dim);
                add_scaled(a->dk + j * a->ldk, q.q, a->scale * ds, a->head_dim);
            }
        }
}

void attention_scalar(struct cpu_kernels *t)
{
    t->attention = attention;
    t->attention_back_q = attention_back_q;
    t->attention_back_kv = attention_back_kv;
}
