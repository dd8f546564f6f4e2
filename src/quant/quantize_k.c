/* quantize_k.c — super-blocks of 256: the k-quants and IQ4_XS.
 *
 * Groups are fitted alone; the super-block's scale and minimum come from the largest of theirs. Then, in turn: each
 * group takes the integers around its own fit that err least, and the two outer numbers are solved again by least
 * squares over all 256. The best round stays. */
#include "quant/k_quants.h"
#include "quant/quantize_ggml.h"

#include <math.h>
#include <string.h>

enum { GROUPS = 16, ROUNDS = 3 };

struct k_kind {
    struct levels levels;
    size_t group;
    int scale_lo, scale_hi, min_hi; /* min_hi 0: no minimums */
};
struct super {
    float d, dmin, error;
    int s[GROUPS], m[GROUPS];
    float q[K_SUPER];
};

static struct k_kind kind_of(enum quant_type type)
{
    switch ((int)type) {
    case QUANT_Q2_K:
        return (struct k_kind){{0, 3, NULL}, 16, 0, 15, 15};
    case QUANT_Q3_K:
        return (struct k_kind){{-4, 3, NULL}, 16, -32, 31, 0};
    case QUANT_Q4_K:
        return (struct k_kind){{0, 15, NULL}, 32, 0, 63, 63};
    case QUANT_Q5_K:
        return (struct k_kind){{0, 31, NULL}, 32, 0, 63, 63};
    case QUANT_Q6_K:
        return (struct k_kind){{-32, 31, NULL}, 16, -128, 127, 0};
    default:
        return (struct k_kind){levels_iq4, 32, -32, 31, 0};
    }
}

static int round_within(float v, int lo, int hi)
{
    return v > (float)lo ? v < (float)hi ? (int)lrintf(v) : hi : lo;
}

/* The integers around the group's own fit that err least. */
static float choose(const struct k_kind *k, struct super *t, size_t g, struct fit f, const float *x, const float *w)
{
    float best = INFINITY, q[FIT_MOST];
    int s0 = t->d != 0 ? round_within(f.d / t->d, k->scale_lo, k->scale_hi) : 0;
    int m0 = t->dmin != 0 ? round_within(-f.m / t->dmin, 0, k->min_hi) : 0;
    for (int s = s0 - 1; s <= s0 + 1; s++)
        for (int m = m0 - 1; m <= m0 + 1; m++) {
            if (s < k->scale_lo || s > k->scale_hi || m < 0 || m > k->min_hi) continue;
            float e = fit_levels(&k->levels, t->d * (float)s, -t->dmin * (float)m, x, w, k->group, q);
            if (!(e < best)) continue;
            best = e;
            t->s[g] = s;
            t->m[g] = m;
            memcpy(t->q + g * k->group, q, k->group * sizeof *q);
        }
    return best;
}

static void choose_all(const struct k_kind *k, struct super *t, const struct fit *fits, const float *x, const float *w)
{
    t->d = to_half_and_back(t->d);
    t->dmin = to_half_and_back(t->dmin);
    t->error = 0;
    for (size_t g = 0; g < K_SUPER / k->group; g++)
        t->error += choose(k, t, g, fits[g], x + g * k->group, w + g * k->group);
}

/* d and dmin by least squares: x ≈ d · (s q) + dmin · (−m). */
static void solve_outer(const struct k_kind *k, struct super *t, const float *x, const float *w)
{
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0, d, dmin;
    for (size_t i = 0; i < K_SUPER; i++) {
        double a = (double)t->s[i / k->group] * (double)t->q[i], b = -t->m[i / k->group], wi = w[i];
        aa += wi * a * a, ab += wi * a * b, bb += wi * b * b;
        ax += wi * a * x[i], bx += wi * b * x[i];
    }
    if (solve_2(aa, ab, bb, ax, bx, &d, &dmin) && dmin >= 0) {
        t->d = (float)d;
        t->dmin = (float)dmin;
    } else if (aa > 0) {
        t->d = (float)((ax - ab * t->dmin) / aa);
    }
}

static void search(const struct k_kind *k, struct super *best, const float *x, const float *w)
{
    struct fit fits[GROUPS];
    float scale = 0, min = 0;
    for (size_t g = 0; g < K_SUPER / k->group; g++) {
        fits[g] = fit_block(&k->levels, k->min_hi ? MINIMUM_NEGATIVE : MINIMUM_NONE, false, x + g * k->group,
                            w + g * k->group, k->group);
        if (fabsf(fits[g].d) > fabsf(scale)) scale = fits[g].d;
        min = fmaxf(min, -fits[g].m);
    }
    best->error = INFINITY;
    for (int shift = 0; shift < 3; shift++) {
        struct super t = {.d = scale / ((float)(k->scale_lo < 0 ? k->scale_lo : k->scale_hi) - 0.5f * (float)shift),
                          .dmin = k->min_hi ? min / ((float)k->min_hi - 0.5f * (float)shift) : 0};
        for (int round = 0; round < ROUNDS; round++) {
            choose_all(k, &t, fits, x, w);
            if (t.error < best->error) *best = t;
            solve_outer(k, &t, x, w);
        }
    }
}

/* ---- layouts -------------------------------------------------------------------------------- */

static void put_q2_k(const struct super *t, uint8_t *out)
{
    for (size_t j = 0; j < 16; j++) out[j] = (uint8_t)(t->s[j] | t->m[j] << 4);
    for (size_t i = 0; i < K_SUPER; i++) out[16 + i / 128 * 32 + i % 32] |= (uint8_t)((int)t->q[i] << i / 32 % 4 * 2);
    put_half(out + 80, t->d);
    put_half(out + 82, t->dmin);
}

static void put_q3_k(const struct super *t, uint8_t *out)
{
    for (size_t i = 0; i < K_SUPER; i++) {
        int code = (int)t->q[i] + 4;
        out[i % 32] |= (uint8_t)(code >> 2 << i / 32);
        out[32 + i / 128 * 32 + i % 32] |= (uint8_t)((code & 3) << i / 32 % 4 * 2);
    }
    for (size_t j = 0; j < 16; j++) {
        int s = t->s[j] + 32;
        out[96 + j % 8] |= (uint8_t)((s & 15) << j / 8 * 4);
        out[104 + j % 4] |= (uint8_t)(s >> 4 << j / 4 * 2);
    }
    put_half(out + 108, t->d);
}

/* As k_scale_min reads them. */
static void put_scales(const struct super *t, uint8_t *scales)
{
    for (size_t j = 0; j < 4; j++) {
        scales[j] = (uint8_t)(t->s[j] | t->s[j + 4] >> 4 << 6);
        scales[j + 4] = (uint8_t)(t->m[j] | t->m[j + 4] >> 4 << 6);
        scales[j + 8] = (uint8_t)((t->s[j + 4] & 15) | (t->m[j + 4] & 15) << 4);
    }
}

static void put_q4_q5_k(const struct super *t, bool five, uint8_t *out)
{
    uint8_t *nibbles = out + (five ? Q5_K_NIBBLES : Q4_K_NIBBLES);
    put_half(out, t->d);
    put_half(out + 2, t->dmin);
    put_scales(t, out + K_SCALES);
    for (size_t i = 0; i < K_SUPER; i++) {
        int code = (int)t->q[i];
        nibbles[i / 64 * 32 + i % 32] |= (uint8_t)((code & 15) << i / 32 % 2 * 4);
        if (five) out[Q5_K_HIGH + i % 32] |= (uint8_t)(code >> 4 << i / 32);
    }
}

static void put_q4_k(const struct super *t, uint8_t *out)
{
    put_q4_q5_k(t, false, out);
}

static void put_q5_k(const struct super *t, uint8_t *out)
{
    put_q4_q5_k(t, true, out);
}

static void put_q6_k(const struct super *t, uint8_t *out)
{
    for (size_t i = 0; i < K_SUPER; i++) {
        int code = (int)t->q[i] + 32;
        size_t j = i / 32;
        out[j / 4 * 64 + j % 2 * 32 + i % 32] |= (uint8_t)((code & 15) << j % 4 / 2 * 4);
        out[Q6_K_HIGH + j / 4 * 32 + i % 32] |= (uint8_t)(code >> 4 << j % 4 * 2);
    }
    for (size_t j = 0; j < 16; j++) out[Q6_K_SCALES + j] = (uint8_t)(int8_t)t->s[j];
    put_half(out + Q6_K_D, t->d);
}

static void put_iq4_xs(const struct super *t, uint8_t *out)
{
    unsigned high = 0;
    for (size_t b = 0; b < 8; b++) {
        unsigned s = (unsigned)(t->s[b] + 32);
        out[4 + b / 2] |= (uint8_t)((s & 15) << b % 2 * 4);
        high |= s >> 4 << 2 * b;
        put_iq4(out + 8 + 16 * b, t->q + 32 * b);
    }
    put_half(out, t->d);
    put_u16(out + 2, (uint16_t)high);
}

void quantize_block_k(enum quant_type type, const float *x, const float *w, uint8_t *out)
{
    static void (*const put[QUANT_TYPES])(const struct super *t, uint8_t *out) = {
        [QUANT_Q2_K] = put_q2_k, [QUANT_Q3_K] = put_q3_k, [QUANT_Q4_K] = put_q4_k,
        [QUANT_Q5_K] = put_q5_k, [QUANT_Q6_K] = put_q6_k, [QUANT_IQ4_XS] = put_iq4_xs,
    };
    struct k_kind k = kind_of(type);
    struct super best;
    search(&k, &best, x, w);
    memset(out, 0, quant_formats[type].block_bytes);
    put[type](&best, out);
}
