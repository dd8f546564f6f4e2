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
            g->w[i][l] = importance ? importance[l * g->n + i] : 0;
        }
}

/* What a number weighs where nothing is said of its column: all alike; by its size and its block's; by its square; or
 * the largest alone, which 255 levels then hold as it is. */
enum emphasis { EVEN, BY_SIZE, BY_SQUARE, LARGEST };

struct sizes {
    lane_floats mean, most; /* root mean square of the block, largest of the group */
};

ALWAYS_INLINE float emphasised(enum emphasis emphasis, float x, float mean, float most)
{
    float size = fabsf(x);
    switch (emphasis) {
    case EVEN:
        return 1;
    case BY_SIZE:
        return mean + size;
    case BY_SQUARE:
        return size * size;
    default:
        return size == most ? 1 : 0;
    }
}

FOR_EVERY_CPU static void size_up(const struct groups *g, size_t groups, struct sizes *s)
{
    lane_floats squares = {0}, most = {0};
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            float x = fabsf(g->x[i][l]);
            squares[l] += x * x;
            most[l] = x > most[l] ? x : most[l];
        }
    spread_sums(squares, groups);
    for (size_t l = 0; l < LANES; l++) s->mean[l] = sqrtf(squares[l] / (float)(g->n * groups)), s->most[l] = most[l];
}

/* With importance, what its column does by its size. All weights of a block together are 1, or the weights alike. */
FOR_EVERY_CPU static void weigh(struct groups *g, size_t groups, enum emphasis emphasis)
{
    lane_floats columns = {0}, total = {0};
    struct sizes s;
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            g->x[i][l] = bounded(g->x[i][l]);
            g->w[i][l] = column_weight(g->w[i][l]);
            columns[l] += g->w[i][l];
        }
    size_up(g, groups, &s);
    spread_sums(columns, groups);
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            float x = g->x[i][l], alone = emphasised(emphasis, x, s.mean[l], s.most[l]);
            g->w[i][l] = columns[l] > 0 ? g->w[i][l] * (s.mean[l] + fabsf(x)) : alone;
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
    enum emphasis emphasis;
} makers[QUANT_TYPES] = {
    [QUANT_Q4_0] = {quantize_simple, 32, BY_SIZE},
    [QUANT_Q4_1] = {quantize_simple, 32, BY_SIZE},
    [QUANT_Q5_0] = {quantize_simple, 32, BY_SIZE},
    [QUANT_Q5_1] = {quantize_simple, 32, BY_SIZE},
    [QUANT_Q8_0] = {quantize_simple, 32, LARGEST},
    [QUANT_Q2_K] = {quantize_k, 16, BY_SIZE},
    [QUANT_Q3_K] = {quantize_k, 16, BY_SIZE},
    [QUANT_Q4_K] = {quantize_k, 32, BY_SIZE},
    [QUANT_Q5_K] = {quantize_k, 32, BY_SIZE},
    [QUANT_Q6_K] = {quantize_k, 16, BY_SIZE},
    [QUANT_IQ4_NL] = {quantize_simple, 32, BY_SQUARE},
    [QUANT_IQ4_XS] = {quantize_k, 32, BY_SQUARE},
    [QUANT_GGML_MXFP4] = {quantize_ggml_mxfp4, 32, EVEN},
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
        weigh(&g, groups, makers[type].emphasis);
        makers[type].quantize(type, &g, count / f->block, out + at / f->block * f->block_bytes);
    }
    return true;
}
