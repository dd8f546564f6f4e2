/* quantize_ggml.c — runs of blocks: which function writes a type, and the numbers and weights that it is given. */
#include "quant/quantize_ggml.h"
#include "quant/pack.h"
#include "quant/parts.h"
#include "quant/quantize_fit.h"

#include <math.h>
#include <string.h>

/* ---- numbers and weights -------------------------------------------------------------------- */

ALWAYS_INLINE float bounded(float x)
{
    x = x == x ? x : 0;
    x = x > -65504 ? x : -65504;
    return x < 65504 ? x : 65504;
}

ALWAYS_INLINE float column_weight(float importance)
{
    importance = importance > 0 ? importance : 0; /* NaN too */
    return importance < 1e12f ? importance : 1e12f;
}

/* `count` groups of x, number by number; what lanes are left hold zeros. */
static void load(const float *x, const float *importance, size_t count, struct groups *g)
{
    if (count < LANES) memset(g->x, 0, sizeof g->x), memset(g->w, 0, sizeof g->w);
    for (size_t l = 0; l < count; l++)
        for (size_t i = 0; i < g->n; i++) {
            g->x[i][l] = x[l * g->n + i];
            g->w[i][l] = importance ? importance[l * g->n + i] : 1;
        }
}

/* A number weighs what its column does, times its size and its block's. All of a block together weigh 1, or alike. */
FOR_EVERY_CPU static void weigh(struct groups *g, size_t groups)
{
    lane_floats size = {0}, columns = {0}, total = {0};
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            g->x[i][l] = bounded(g->x[i][l]);
            g->w[i][l] = column_weight(g->w[i][l]);
            size[l] += g->x[i][l] * g->x[i][l];
            columns[l] += g->w[i][l];
        }
    spread_sums(size, groups);
    spread_sums(columns, groups);
    for (size_t l = 0; l < LANES; l++) size[l] = sqrtf(size[l] / (float)(g->n * groups));
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            g->w[i][l] = (columns[l] > 0 ? g->w[i][l] : 1) * (size[l] + fabsf(g->x[i][l]));
            total[l] += g->w[i][l];
        }
    spread_sums(total, groups);
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) g->w[i][l] = total[l] > 0 ? g->w[i][l] / total[l] : 1;
}

/* ---- types ---------------------------------------------------------------------------------- */

static FOR_EVERY_CPU void copy(enum quant_type type, const float *x, size_t n, uint8_t *out)
{
    if (type == QUANT_F32)
        memcpy(out, x, 4 * n);
    else
        for (size_t i = 0; i < n; i++)
            put_u16(out + 2 * i, type == QUANT_F16 ? float_to_half(x[i]) : float_to_bf16(x[i]));
}

static const struct {
    quantize_groups_fn *quantize;
    size_t group;
} makers[QUANT_TYPES] = {
    [QUANT_Q4_0] = {quantize_simple, 32},
    [QUANT_Q4_1] = {quantize_simple, 32},
    [QUANT_Q5_0] = {quantize_simple, 32},
    [QUANT_Q5_1] = {quantize_simple, 32},
    [QUANT_Q8_0] = {quantize_simple, 32},
    [QUANT_Q2_K] = {quantize_k, 16},
    [QUANT_Q3_K] = {quantize_k, 16},
    [QUANT_Q4_K] = {quantize_k, 32},
    [QUANT_Q5_K] = {quantize_k, 32},
    [QUANT_Q6_K] = {quantize_k, 16},
    [QUANT_IQ4_NL] = {quantize_simple, 32},
    [QUANT_IQ4_XS] = {quantize_k, 32},
    [QUANT_GGML_MXFP4] = {quantize_ggml_mxfp4, 32},
};

bool quantize_ggml(enum quant_type type, const float *x, const float *importance, size_t n, uint8_t *out)
{
    const struct quant_format *f = &quant_formats[type];
    if (type <= QUANT_BF16) return copy(type, x, n, out), true;
    if (!makers[type].quantize) return false;
    struct groups g = {.n = makers[type].group};
    size_t groups = f->block / g.n, most = LANES / groups * f->block;
    for (size_t at = 0; at < n; at += most) {
        size_t count = n - at < most ? n - at : most;
        load(x + at, importance ? importance + at : NULL, count / g.n, &g);
        weigh(&g, groups);
        makers[type].quantize(type, &g, count / f->block, out + at / f->block * f->block_bytes);
    }
    return true;
}
