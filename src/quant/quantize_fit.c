/* quantize_fit.c — least squares over candidates. See quantize_fit.h. */
#include "quant/quantize_fit.h"
#include "quant/pack.h"
#include "quant/parts.h"

#include <math.h>
#include <string.h>

enum { REFINE = 2 };

/* ---- nearest levels ------------------------------------------------------------------------- */

/* What the inner loops need of levels: `rise` above `middle` each, from `lo` on; or whole numbers. */
struct ladder {
    bool steps;
    float lo, hi, middle[15], rise[15];
};

static struct ladder ladder_of(const struct levels *v)
{
    struct ladder s = {.steps = v->table != NULL, .lo = (float)v->lo, .hi = (float)v->hi};
    if (!v->table) return s;
    for (size_t k = 0; k < 15; k++) {
        s.middle[k] = 0.5f * (float)(v->table[k] + v->table[k + 1]);
        s.rise[k] = (float)(v->table[k + 1] - v->table[k]);
    }
    s.lo = v->table[0];
    s.hi = v->table[15];
    return s;
}

ALWAYS_INLINE float clamp(float a, float lo, float hi)
{
    a = a > lo ? a : lo;
    return a < hi ? a : hi;
}

/* Adding and taking 1.5 · 2^23 leaves the nearest whole number. */
ALWAYS_INLINE float level_of(const struct ladder *s, bool steps, float a)
{
    if (!steps) return clamp(a, s->lo, s->hi) + 0x1.8p23f - 0x1.8p23f;
    float level = s->lo;
    for (size_t k = 0; k < 15; k++) level += a > s->middle[k] ? s->rise[k] : 0;
    return level;
}

ALWAYS_INLINE void invert(const lane_floats d, lane_floats inverse)
{
    for (size_t l = 0; l < LANES; l++) inverse[l] = fabsf(d[l]) >= 0x1p-127f ? 1 / d[l] : 0;
}

/* ---- sums, errors, codes -------------------------------------------------------------------- */

ALWAYS_INLINE void sums_over(const struct ladder *v, bool steps, const struct groups *g, const struct fits *f,
                             struct fit_sums *out)
{
    lane_floats inverse;
    struct fit_sums s = {0};
    invert(f->d, inverse);
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            float w = g->w[i][l], x = g->x[i][l] - f->m[l], q = level_of(v, steps, x * inverse[l]);
            float r = x - f->d[l] * q, wq = w * q, wr = w * r;
            s.w[l] += w;
            s.q[l] += wq;
            s.qq[l] += wq * q;
            s.r[l] += wr;
            s.qr[l] += wr * q;
            s.rr[l] += wr * r;
        }
    *out = s;
}

FOR_EVERY_CPU void fit_sums(const struct levels *v, const struct groups *g, const struct fits *f, struct fit_sums *s)
{
    struct ladder ladder = ladder_of(v);
    if (ladder.steps)
        sums_over(&ladder, true, g, f, s);
    else
        sums_over(&ladder, false, g, f, s);
}

ALWAYS_INLINE void errors_over(const struct ladder *v, bool steps, const struct groups *g, struct fits *f)
{
    lane_floats inverse, error = {0};
    invert(f->d, inverse);
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            float q = level_of(v, steps, (g->x[i][l] - f->m[l]) * inverse[l]);
            float e = f->d[l] * q + f->m[l] - g->x[i][l];
            error[l] += g->w[i][l] * e * e;
        }
    memcpy(f->error, error, sizeof error);
}

FOR_EVERY_CPU void fit_errors(const struct levels *v, const struct groups *g, struct fits *f)
{
    struct ladder ladder = ladder_of(v);
    if (ladder.steps)
        errors_over(&ladder, true, g, f);
    else
        errors_over(&ladder, false, g, f);
}

ALWAYS_INLINE void codes_over(const struct ladder *v, bool steps, const struct groups *g, const struct fits *f,
                              uint8_t codes[GROUP_MOST][LANES])
{
    lane_floats inverse;
    invert(f->d, inverse);
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++)
            codes[i][l] = (uint8_t)(int)(level_of(v, steps, (g->x[i][l] - f->m[l]) * inverse[l]) - v->lo);
}

FOR_EVERY_CPU void fit_codes(const struct levels *v, const struct groups *g, const struct fits *f,
                             uint8_t codes[GROUP_MOST][LANES])
{
    struct ladder ladder = ladder_of(v);
    if (ladder.steps) { /* how many middles lie below */
        for (size_t k = 0; k < 15; k++) ladder.rise[k] = 1;
        ladder.lo = 0;
        codes_over(&ladder, true, g, f, codes);
    } else {
        codes_over(&ladder, false, g, f, codes);
    }
}

/* ---- least squares -------------------------------------------------------------------------- */

/* The best d for the levels that gave s at f. */
FOR_EVERY_CPU static void solve_scale(const struct fit_sums *s, struct fits *f)
{
    for (size_t l = 0; l < LANES; l++) {
        float d = s->qq[l] > 0 ? s->qr[l] / s->qq[l] : 0;
        f->d[l] += d;
        f->error[l] = s->rr[l] - d * s->qr[l];
    }
}

/* The best d and m, m at most `most`; both stay where all levels are one. */
FOR_EVERY_CPU static void solve_line(const struct fit_sums *s, float most, struct fits *f)
{
    for (size_t l = 0; l < LANES; l++) {
        float w = s->w[l], q = s->q[l], qq = s->qq[l], r = s->r[l], qr = s->qr[l], det = qq * w - q * q;
        bool solved = det > 1e-6f * qq * w;
        float over = solved ? 1 / det : 0, d = (qr * w - r * q) * over, m = (qq * r - q * qr) * over;
        float room = most - f->m[l];
        bool held = m > room;
        m = held ? room : m;
        d = held ? (qr - m * q) / (qq > 0 ? qq : 1) : d;
        f->d[l] += d;
        f->m[l] += m;
        f->error[l] = s->rr[l] - 2 * (d * qr + m * r) + d * d * qq + 2 * d * m * q + m * m * w;
    }
}

FOR_EVERY_CPU static void keep_better(struct fits *best, const struct fits *f)
{
    for (size_t l = 0; l < LANES; l++) {
        bool better = f->error[l] < best->error[l];
        best->d[l] = better ? f->d[l] : best->d[l];
        best->m[l] = better ? f->m[l] : best->m[l];
        best->error[l] = better ? f->error[l] : best->error[l];
    }
}

/* ---- candidates ----------------------------------------------------------------------------- */

struct search {
    const struct levels *levels;
    bool minimum;
    float most_m;
};

/* f's levels, solved; the better of that and the best so far. */
static void try(const struct search *s, const struct groups *g, struct fits f, struct fits *best)
{
    struct fit_sums sums;
    fit_sums(s->levels, g, &f, &sums);
    if (s->minimum)
        solve_line(&sums, s->most_m, &f);
    else
        solve_scale(&sums, &f);
    keep_better(best, &f);
}

struct ends {
    lane_floats least, most;
};

FOR_EVERY_CPU static void ends_of(const struct groups *g, struct ends *e)
{
    memcpy(e->least, g->x[0], sizeof e->least);
    memcpy(e->most, g->x[0], sizeof e->most);
    for (size_t i = 1; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) {
            float x = g->x[i][l];
            e->least[l] = x < e->least[l] ? x : e->least[l];
            e->most[l] = x > e->most[l] ? x : e->most[l];
        }
}

/* The number farthest from 0 falls `beyond` steps outside of the outermost level on either side. */
static void try_scales(const struct search *s, const struct groups *g, const struct ends *e, struct fits *best)
{
    static const float beyond[] = {0, -1, -0.5f, 0.4f, 0.8f};
    struct ladder v = ladder_of(s->levels);
    float step = v.steps ? 10 : 1;
    size_t count = !v.steps && v.hi > 100 ? 1 : sizeof beyond / sizeof *beyond;
    for (size_t k = 0; k < 2 * count; k++) {
        float level = k % 2 ? v.lo - beyond[k / 2] * step : v.hi + beyond[k / 2] * step;
        struct fits f = {0};
        for (size_t l = 0; l < LANES; l++) f.d[l] = (-e->least[l] > e->most[l] ? e->least[l] : e->most[l]) / level;
        try(s, g, f, best);
    }
}

/* So many steps of a group's range lie below the lowest level, and above the highest. */
static void try_lines(const struct search *s, const struct groups *g, const struct ends *e, struct fits *best)
{
    static const float outside[][2] = {{0, 0},        {0, -1}, {-1, 0},        {0.5f, 0.5f}, {0.4f, -0.4f},
                                       {-0.4f, 0.4f}, {1, 1},  {-0.5f, -0.5f}, {0.9f, 0},    {0, 0.9f}};
    float hi = (float)s->levels->hi;
    for (size_t k = 0; k < sizeof outside / sizeof *outside; k++) {
        struct fits f = {0};
        for (size_t l = 0; l < LANES; l++) {
            float least = e->least[l] < s->most_m ? e->least[l] : s->most_m;
            f.d[l] = (e->most[l] - least) / (hi + outside[k][0] + outside[k][1]);
            f.m[l] = least + outside[k][0] * f.d[l];
        }
        try(s, g, f, best);
    }
}

void fit_groups(const struct levels *v, enum fit_minimum minimum, const struct groups *g, struct fits *best)
{
    struct search s = {v, minimum != MINIMUM_NONE, minimum == MINIMUM_NEGATIVE ? 0 : INFINITY};
    struct ends e;
    *best = (struct fits){0};
    for (size_t l = 0; l < LANES; l++) best->error[l] = INFINITY;
    ends_of(g, &e);
    if (s.minimum)
        try_lines(&s, g, &e, best);
    else
        try_scales(&s, g, &e, best);
    for (int round = 0; round < REFINE; round++) try(&s, g, *best, best);
}
