/* test_kernels_attention.c — attention: scalar against softmax in double and finite differences of it, every
 * instruction set against scalar, and what must not change a bit: cutting rows or keys, pages of any size. */
#include "kernel_test.h"

static const double BOUND = 2e-5;

struct shape {
    size_t rows, position, group, dim;
};
/* One row and many, tiles of every height, blocks of keys that end early, heads of every kind of width, more heads
 * than a block of queries holds. */
static const struct shape shapes[] = {{1, 0, 1, 2},    {5, 3, 3, 10},   {67, 0, 1, 16},    {70, 60, 3, 64},
                                      {129, 0, 2, 40}, {1, 300, 3, 64}, {33, 100, 4, 128}, {7, 64, 5, 80},
                                      {40, 0, 7, 24},  {3, 10, 100, 8}, {2, 70, 1, 512},   {100, 0, 1, 6},
                                      {64, 64, 6, 96}, {65, 63, 1, 34}, {1, 63, 1, 128},   {200, 0, 3, 64}};

/* ---- a problem and its buffers --------------------------------------------------------------------------------------
 */

enum { SPARE = 3 }; /* strides are wider than rows by this */

struct problem {
    struct cpu_attention a;
    size_t tokens, q_floats, out_floats, lse_floats, kv_floats, scratch_floats;
    float *q, *out, *lse, *dout, *dq, *k, *v, *dk, *dv;
    const float *pages[2];
};

static void open_problem(struct problem *p, struct shape s, uint64_t seed)
{
    uint64_t state = seed;
    size_t width = s.group * s.dim, tokens = s.position + s.rows;
    p->tokens = tokens;
    p->q_floats = s.rows * (width + SPARE);
    p->out_floats = s.rows * (width + 2 * SPARE);
    p->lse_floats = s.rows * (s.group + 1);
    p->kv_floats = tokens * (s.dim + SPARE);
    p->scratch_floats = cpu_attention_scratch(s.group, s.dim);
    p->q = buffer(p->q_floats, &state), p->dq = buffer(p->q_floats, &state);
    p->out = buffer(p->out_floats, &state), p->dout = buffer(p->out_floats, &state);
    p->lse = buffer(p->lse_floats, &state);
    p->k = buffer(p->kv_floats, &state), p->v = buffer(p->kv_floats, &state);
    p->dk = buffer(p->kv_floats, &state), p->dv = buffer(p->kv_floats, &state);
    p->pages[0] = p->k, p->pages[1] = p->v;
    p->a = (struct cpu_attention){.q = p->q,
                                  .out = p->out,
                                  .lse = p->lse,
                                  .ldq = width + SPARE,
                                  .ldo = width + 2 * SPARE,
                                  .ldlse = s.group + 1,
                                  .k_pages = p->pages,
                                  .v_pages = p->pages + 1,
                                  .page_tokens = tokens,
                                  .ldk = s.dim + SPARE,
                                  .rows = s.rows,
                                  .group = s.group,
                                  .head_dim = s.dim,
                                  .position = s.position,
                                  .scale = 1.3f / sqrtf((float)s.dim),
                                  .scratch = buffer(p->scratch_floats, &state),
                                  .dout = p->dout,
                                  .dq = p->dq,
                                  .dk = p->dk,
                                  .dv = p->dv,
                                  .key_end = tokens};
}

static void close_problem(struct problem *p)
{
    release(p->q, p->q_floats), release(p->dq, p->q_floats);
    release(p->out, p->out_floats), release(p->dout, p->out_floats);
    release(p->lse, p->lse_floats);
    release(p->k, p->kv_floats), release(p->v, p->kv_floats);
    release(p->dk, p->kv_floats), release(p->dv, p->kv_floats);
    release(p->a.scratch, p->scratch_floats);
}

static void run_all(const struct cpu_kernels *t, const struct cpu_attention *a)
{
    t->attention(a);
    t->attention_back_q(a);
    t->attention_back_kv(a);
}

static const struct level levels[] = LEVELS(attention);

static struct cpu_kernels scalar_table(void)
{
    struct cpu_kernels t = {0};
    attention_scalar(&t);
    return t;
}

/* ---- scalar against double ------------------------------------------------------------------------------------------
 */

/* One query head: out (dim) and lse from keys and values (count, dim) with stride ld. */
static double attend_double(double *out, const double *q, const double *k, const double *v, size_t ld, size_t count,
                            size_t dim, double scale)
{
    double sum = 0, top = -INFINITY, s[512];
    for (size_t j = 0; j < count; j++) {
        s[j] = 0;
        for (size_t i = 0; i < dim; i++) s[j] += scale * q[i] * k[j * ld + i];
        top = fmax(top, s[j]);
    }
    for (size_t i = 0; i < dim; i++) out[i] = 0;
    for (size_t j = 0; j < count; j++) {
        double p = exp(s[j] - top);
        sum += p;
        for (size_t i = 0; i < dim; i++) out[i] += p * v[j * ld + i];
    }
    for (size_t i = 0; i < dim; i++) out[i] /= sum;
    return top + log(sum);
}

/* The problem in double; returns Σ dout · out, whose gradients the backward kernels give. out, lse may be NULL. */
static double loss_double(const struct problem *p, const double *q, const double *k, const double *v, double *out,
                          double *lse)
{
    const struct cpu_attention *a = &p->a;
    double sum = 0, head[512];
    for (size_t t = 0; t < a->rows; t++)
        for (size_t h = 0; h < a->group; h++) {
            const double *query = q + t * a->ldq + h * a->head_dim;
            size_t at = t * a->ldo + h * a->head_dim;
            double l = attend_double(head, query, k, v, a->ldk, a->position + t + 1, a->head_dim, (double)a->scale);
            for (size_t i = 0; i < a->head_dim; i++) sum += (double)p->dout[at + i] * head[i];
            if (out) memcpy(out + at, head, a->head_dim * sizeof *head);
            if (lse) lse[t * a->ldlse + h] = l;
        }
    return sum;
}

static double *widen(const float *x, size_t n)
{
    double *y = malloc((n + 1) * sizeof *y);
    assert_non_null(y);
    for (size_t i = 0; i < n; i++) y[i] = (double)x[i];
    return y;
}

static void test_formula(void **unused)
{
    struct cpu_kernels t = scalar_table();
    double worst_out = 0, worst_lse = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct problem p;
        open_problem(&p, shapes[i], i);
        double *q = widen(p.q, p.q_floats), *k = widen(p.k, p.kv_floats), *v = widen(p.v, p.kv_floats);
        double *out = widen(p.out, p.out_floats), *lse = widen(p.lse, p.lse_floats);
        loss_double(&p, q, k, v, out, lse);
        t.attention(&p.a);
        compare(&worst_out, p.out, out, p.out_floats); /* what lies between rows must be as before */
        compare(&worst_lse, p.lse, lse, p.lse_floats);
        double *all[] = {q, k, v, out, lse};
        for (size_t j = 0; j < 5; j++) free(all[j]);
        close_problem(&p);
    }
    report("scalar", "out, formula", worst_out, BOUND);
    report("scalar", "lse, formula", worst_lse, BOUND);
}

/* The derivative of the loss by each element of *x (one of q, k, v), by central differences. */
static void differences(const struct problem *p, double *const parts[3], size_t part, const float *before, size_t n,
                        size_t ld, size_t width, const float *have, const char *what)
{
    const double step = 1e-5;
    double *want = widen(before, n), *x = parts[part], worst = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % ld >= width) continue;
        double keep = x[i];
        x[i] = keep + step;
        double up = loss_double(p, parts[0], parts[1], parts[2], NULL, NULL);
        x[i] = keep - step;
        want[i] = (up - loss_double(p, parts[0], parts[1], parts[2], NULL, NULL)) / (2 * step);
        x[i] = keep;
    }
    compare(&worst, have, want, n);
    free(want);
    report("scalar", what, worst, BOUND);
}

static void test_differences(void **unused)
{
    struct cpu_kernels t = scalar_table();
    struct problem p;
    open_problem(&p, (struct shape){70, 0, 2, 6}, 99);
    double *parts[] = {widen(p.q, p.q_floats), widen(p.k, p.kv_floats), widen(p.v, p.kv_floats)};
    float *before[] = {copy_of(p.dq, p.q_floats), copy_of(p.dk, p.kv_floats), copy_of(p.dv, p.kv_floats)};
    run_all(&t, &p.a);
    differences(&p, parts, 0, before[0], p.q_floats, p.a.ldq, 12, p.dq, "dq, differences");
    differences(&p, parts, 1, before[1], p.kv_floats, p.a.ldk, 6, p.dk, "dk, differences");
    differences(&p, parts, 2, before[2], p.kv_floats, p.a.ldk, 6, p.dv, "dv, differences");
    for (size_t i = 0; i < 3; i++) free(parts[i]), release(before[i], i ? p.kv_floats : p.q_floats);
    close_problem(&p);
}

/* ---- every instruction set against scalar ---------------------------------------------------------------------------
 */

static void check_level(const char *level, const struct cpu_kernels *t)
{
    struct cpu_kernels scalar = scalar_table();
    double out = 0, lse = 0, dq = 0, dkv = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct problem want, have;
        open_problem(&want, shapes[i], i);
        open_problem(&have, shapes[i], i);
        run_all(&scalar, &want.a);
        run_all(t, &have.a);
        compare_floats(&out, have.out, want.out, want.out_floats);
        compare_floats(&lse, have.lse, want.lse, want.lse_floats);
        compare_floats(&dq, have.dq, want.dq, want.q_floats);
        compare_floats(&dkv, have.dk, want.dk, want.kv_floats);
        compare_floats(&dkv, have.dv, want.dv, want.kv_floats);
        close_problem(&want);
        close_problem(&have);
    }
    report(level, "out", out, BOUND);
    report(level, "lse", lse, BOUND);
    report(level, "dq", dq, BOUND);
    report(level, "dk, dv", dkv, BOUND);
}

/* ---- what changes no bit --------------------------------------------------------------------------------------------
 */

static void assert_same(const float *x, const float *y, size_t n)
{
    assert_memory_equal(x, y, n * sizeof *x);
}

/* Rows `first` .. first + rows of a problem as a problem of their own. */
static struct cpu_attention part_of(const struct cpu_attention *a, size_t first, size_t rows)
{
    struct cpu_attention part = *a;
    part.rows = rows;
    part.position += first;
    part.q += first * a->ldq, part.dq += first * a->ldq;
    part.out += first * a->ldo, part.dout += first * a->ldo;
    part.lse += first * a->ldlse;
    return part;
}

/* Prefill in chunks and decoding one by one, and keys shared out to tasks at any place. */
static void check_cuts(const struct cpu_kernels *t)
{
    static const size_t chunks[] = {1, 7, 40, 64};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            struct problem whole, cut;
            open_problem(&whole, shapes[i], i);
            open_problem(&cut, shapes[i], i);
            run_all(t, &whole.a);
            for (size_t first = 0, rows; first < cut.a.rows; first += rows) {
                rows = cut.a.rows - first < chunks[c] ? cut.a.rows - first : chunks[c];
                struct cpu_attention part = part_of(&cut.a, first, rows);
                t->attention(&part);
                t->attention_back_q(&part);
            }
            for (size_t key = 0; key < cut.tokens; key = cut.a.key_end) {
                cut.a.key_begin = key;
                cut.a.key_end = key + chunks[c] < cut.tokens ? key + chunks[c] : cut.tokens;
                t->attention_back_kv(&cut.a);
            }
            assert_same(cut.out, whole.out, whole.out_floats);
            assert_same(cut.lse, whole.lse, whole.lse_floats);
            assert_same(cut.dq, whole.dq, whole.q_floats);
            assert_same(cut.dk, whole.dk, whole.kv_floats);
            assert_same(cut.dv, whole.dv, whole.kv_floats);
            close_problem(&whole);
            close_problem(&cut);
        }
}

/* Copies rows into pages, the unused rest NaN: what lies beyond the last token must not matter. */
static void paginate(float **pages, const float *x, size_t ld, size_t tokens, size_t page_tokens)
{
    for (size_t first = 0; first < tokens; first += page_tokens, pages++) {
        size_t rows = tokens - first < page_tokens ? tokens - first : page_tokens;
        *pages = malloc(page_tokens * ld * sizeof **pages);
        assert_non_null(*pages);
        for (size_t i = 0; i < page_tokens * ld; i++) (*pages)[i] = NAN;
        memcpy(*pages, x + first * ld, rows * ld * sizeof *x);
    }
}

static void check_pages(const struct cpu_kernels *t)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t page = 64; page <= 128; page *= 2) {
            struct problem one, many;
            float *k[8] = {0}, *v[8] = {0};
            open_problem(&one, shapes[i], i);
            open_problem(&many, shapes[i], i);
            paginate(k, many.k, many.a.ldk, many.tokens, page);
            paginate(v, many.v, many.a.ldk, many.tokens, page);
            many.a.k_pages = (const float *const *)k, many.a.v_pages = (const float *const *)v;
            many.a.page_tokens = page;
            run_all(t, &one.a);
            run_all(t, &many.a);
            assert_same(many.out, one.out, one.out_floats);
            assert_same(many.lse, one.lse, one.lse_floats);
            assert_same(many.dq, one.dq, one.q_floats);
            assert_same(many.dk, one.dk, one.kv_floats);
            assert_same(many.dv, one.dv, one.kv_floats);
            for (size_t j = 0; j < 8; j++) free(k[j]), free(v[j]);
            close_problem(&one);
            close_problem(&many);
        }
}

/* Scores of several hundred: exp must neither overflow nor lose the maximum; lse is not wanted. */
static void check_extremes(const char *level, const struct cpu_kernels *t)
{
    struct problem p;
    open_problem(&p, (struct shape){130, 0, 3, 64}, 5);
    for (size_t i = 0; i < p.q_floats; i++) p.q[i] *= 100;
    double *q = widen(p.q, p.q_floats), *k = widen(p.k, p.kv_floats), *v = widen(p.v, p.kv_floats);
    double *out = widen(p.out, p.out_floats), worst = 0;
    loss_double(&p, q, k, v, out, NULL);
    p.a.lse = NULL;
    t->attention(&p.a);
    compare(&worst, p.out, out, p.out_floats);
    report(level, "out, scores of hundreds", worst, 1e-2); /* scores of 500 have themselves an error of 3e-5 */
    double *all[] = {q, k, v, out};
    for (size_t j = 0; j < 4; j++) free(all[j]);
    close_problem(&p);
}

static void test_levels(void **unused)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        struct cpu_kernels t;
        if (!open_level(&t, levels[l])) continue;
        if (l) check_level(levels[l].name, &t);
        check_cuts(&t);
        check_pages(&t);
        check_extremes(levels[l].name, &t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_differences),
                                       cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
