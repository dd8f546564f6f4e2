/* quantize_k.c — super-blocks of 256: the k-quants and IQ4_XS.
 *
 * Groups are fitted alone; the super-block's scale and minimum come from the largest of theirs. Then, in turn: each
 * group takes the integers around its own fit that err least, and the two outer numbers are solved again by least
 * squares over all 256. The best round stays. Two super-blocks of 8 groups each lie side by side. */
#include "quant/pack.h"
#include "quant/parts.h"
#include "quant/quantize_fit.h"
#include "quant/quantize_k.h"

#include <math.h>
#include <string.h>

enum { SHIFTS = 3, ROUNDS = 3 };

/* How a type stores a group's scale and minimum. */
static const struct k_kind {
    struct levels levels;
    int scale_lo, scale_hi, min_hi; /* min_hi 0: no minimums */
} kinds[QUANT_TYPES] = {
    [QUANT_Q2_K] = {{0, 3, NULL}, 0, 15, 15},       [QUANT_Q3_K] = {{-4, 3, NULL}, -32, 31, 0},
    [QUANT_Q4_K] = {{0, 15, NULL}, 0, 63, 63},      [QUANT_Q5_K] = {{0, 31, NULL}, 0, 63, 63},
    [QUANT_Q6_K] = {{-32, 31, NULL}, -128, 127, 0}, [QUANT_IQ4_XS] = {{.table = table_iq4}, -32, 31, 0},
};

/* Lane by lane: what its super-block stores (d, dmin) and errs (error), and what its group does (s, m; its own error).
 */
struct supers {
    lane_floats d, dmin, error, s, m, own;
};

/* ---- integers of the groups ------------------------------------------------------------------- */

/* The scale and minimum that s and m stand for. */
static void stands_for(const struct supers *t, struct fits *f)
{
    for (size_t l = 0; l < LANES; l++) {
        f->d[l] = t->d[l] * t->s[l];
        f->m[l] = -t->dmin[l] * t->m[l];
    }
}

ALWAYS_INLINE float near(float value, float unit, float off, float lo, float hi)
{
    float n = unit != 0 ? value / unit : 0;
    n = n > lo ? n : lo;
    n = (n < hi ? n : hi) + 0x1.8p23f - 0x1.8p23f + off;
    n = n > lo ? n : lo;
    return n < hi ? n : hi;
}

/* The integers `off` from the nearest to the group's fit; those that err less than what it has stay. */
FOR_EVERY_CPU static void try_integers(const struct k_kind *k, const struct groups *g, const struct fits *fits,
                                       float off_s, float off_m, struct supers *t)
{
    struct supers n = *t;
    struct fits f;
    for (size_t l = 0; l < LANES; l++) {
        n.s[l] = near(fits->d[l], t->d[l], off_s, (float)k->scale_lo, (float)k->scale_hi);
        n.m[l] = near(-fits->m[l], t->dmin[l], off_m, 0, (float)k->min_hi);
    }
    stands_for(&n, &f);
    fit_errors(&k->levels, g, &f);
    for (size_t l = 0; l < LANES; l++) {
        bool better = f.error[l] < t->own[l];
        t->s[l] = better ? n.s[l] : t->s[l];
        t->m[l] = better ? n.m[l] : t->m[l];
        t->own[l] = better ? f.error[l] : t->own[l];
    }
}

static void choose_integers(const struct k_kind *k, const struct groups *g, const struct fits *fits, struct supers *t)
{
    for (size_t l = 0; l < LANES; l++) {
        t->d[l] = half_scale(t->d[l]);
        t->dmin[l] = half_scale(t->dmin[l]);
        t->own[l] = INFINITY;
    }
    int around = k->min_hi ? 1 : 0;
    for (int s = -1; s <= 1; s++)
        for (int m = -around; m <= around; m++) try_integers(k, g, fits, (float)s, (float)m, t);
    memcpy(t->error, t->own, sizeof t->own);
    spread_sums(t->error, K_SUPER / g->n);
}

/* ---- the outer numbers -------------------------------------------------------------------------- */

/* Solves [aa ab; ab bb] (p, r) = (ax, bx); false: singular. */
static bool solve_2(double aa, double ab, double bb, double ax, double bx, double *p, double *r)
{
    double det = aa * bb - ab * ab;
    if (!(det > 1e-9 * aa * bb)) return false;
    *p = (ax * bb - bx * ab) / det;
    *r = (bx * aa - ax * ab) / det;
    return true;
}

/* Better d and dmin of the super-block at `lane` by least squares: what is left ≈ Δd · (s q) + Δdmin · (−m). */
static void solve_super(const struct fit_sums *u, struct supers *t, size_t lane, size_t groups)
{
    double aa = 0, ab = 0, bb = 0, ar = 0, br = 0, d = 0, dmin = 0;
    for (size_t l = lane; l < lane + groups; l++) {
        double s = t->s[l], m = -t->m[l];
        aa += s * s * u->qq[l], ab += s * m * u->q[l], bb += m * m * u->w[l];
        ar += s * u->qr[l], br += m * u->r[l];
    }
    if (!(solve_2(aa, ab, bb, ar, br, &d, &dmin) && t->dmin[lane] + dmin >= 0)) {
        dmin = 0;
        d = aa > 0 ? ar / aa : 0;
    }
    for (size_t l = lane; l < lane + groups; l++) t->d[l] += (float)d, t->dmin[l] += (float)dmin;
}

static void solve_outer(const struct k_kind *k, const struct groups *g, struct supers *t)
{
    struct fit_sums sums;
    struct fits f;
    stands_for(t, &f);
    fit_sums(&k->levels, g, &f, &sums);
    for (size_t l = 0; l < LANES; l += K_SUPER / g->n) solve_super(&sums, t, l, K_SUPER / g->n);
}

/* ---- the search --------------------------------------------------------------------------------- */

/* The largest scale and minimum become the largest integers, `inside` of them left out. */
static void first_outer(const struct k_kind *k, const struct fits *fits, float inside, size_t groups, struct supers *t)
{
    float top = (float)(k->scale_lo < 0 ? k->scale_lo : k->scale_hi) - inside, bottom = (float)k->min_hi - inside;
    for (size_t lane = 0; lane < LANES; lane += groups) {
        float scale = 0, minimum = 0;
        for (size_t l = lane; l < lane + groups; l++) {
            if (fabsf(fits->d[l]) > fabsf(scale)) scale = fits->d[l];
            minimum = fmaxf(minimum, -fits->m[l]);
        }
        for (size_t l = lane; l < lane + groups; l++) {
            t->d[l] = scale / top;
            t->dmin[l] = k->min_hi ? minimum / bottom : 0;
        }
    }
}

static void keep_better(struct supers *best, const struct supers *t)
{
    for (size_t l = 0; l < LANES; l++) {
        if (!(t->error[l] < best->error[l])) continue;
        best->d[l] = t->d[l], best->dmin[l] = t->dmin[l], best->error[l] = t->error[l];
        best->s[l] = t->s[l], best->m[l] = t->m[l];
    }
}

static void search(const struct k_kind *k, const struct groups *g, struct supers *best)
{
    struct fits fits;
    fit_groups(&k->levels, k->min_hi ? MINIMUM_NEGATIVE : MINIMUM_NONE, g, &fits);
    for (size_t l = 0; l < LANES; l++) best->error[l] = INFINITY;
    for (int shift = 0; shift < SHIFTS; shift++) {
        struct supers t = {0};
        first_outer(k, &fits, 0.5f * (float)shift, K_SUPER / g->n, &t);
        for (int round = 0; round < ROUNDS; round++) {
            choose_integers(k, g, &fits, &t);
            keep_better(best, &t);
            if (round + 1 < ROUNDS) solve_outer(k, g, &t);
        }
    }
}

/* Lanes from `lane` on as one super-block. */
static void gather(const struct supers *t, uint8_t codes[GROUP_MOST][LANES], size_t n, size_t lane, struct super *out)
{
    out->d = t->d[lane];
    out->dmin = t->dmin[lane];
    for (size_t j = 0; j < K_SUPER / n; j++) {
        out->s[j] = (int)t->s[lane + j];
        out->m[j] = (int)t->m[lane + j];
        for (size_t i = 0; i < n; i++) out->codes[j * n + i] = codes[i][lane + j];
    }
}

void quantize_k(enum quant_type type, const struct groups *g, size_t blocks, uint8_t *out)
{
    const struct k_kind *k = &kinds[type];
    struct supers best = {0};
    struct fits f;
    uint8_t codes[GROUP_MOST][LANES];
    search(k, g, &best);
    stands_for(&best, &f);
    fit_codes(&k->levels, g, &f, codes);
    for (size_t b = 0; b < blocks; b++) {
        struct super super;
        gather(&best, codes, g->n, b * K_SUPER / g->n, &super);
        put_super(type, &super, out + b * quant_formats[type].block_bytes);
    }
}
