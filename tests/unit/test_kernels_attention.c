/* test_kernels_attention.c — attention: scalar against softmax in double and finite differences of it, every
 * instruction set against scalar, and what must not change a bit: cutting rows or keys, pages of any size. */
#include "kernel_test.h"

static const double BOUND = 2e-5;

struct shape {
    size_t rows, position, group, dim, window;
    float softcap;
};
/* One row and many, tiles of every height, blocks of keys that end early, heads of every kind of width, more heads
 * than a block of queries holds; windows within, at and across the borders of blocks and chunks; soft caps. */
static const struct shape shapes[] = {
    {1, 0, 1, 2, 0, 0},      {5, 3, 3, 10, 0, 0},          {67, 0, 1, 16, 0, 0},       {70, 60, 3, 64, 0, 0},
    {129, 0, 2, 40, 0, 0},   {1, 300, 3, 64, 0, 0},        {33, 100, 4, 128, 0, 0},    {7, 64, 5, 80, 0, 0},
    {40, 0, 7, 24, 0, 0},    {3, 10, 100, 8, 0, 0},        {2, 70, 1, 512, 0, 0},      {100, 0, 1, 6, 0, 0},
    {64, 64, 6, 96, 0, 0},   {45, 0, 5, 32, 0, 0},         {131, 31, 3, 64, 0, 0},     {65, 63, 1, 34, 0, 0},
    {1, 63, 1, 128, 0, 0},   {200, 0, 3, 64, 0, 0},        {3, 2300, 3, 32, 0, 0},     {70, 1000, 2, 20, 0, 0},
    {129, 0, 2, 40, 1, 0},   {67, 0, 1, 16, 7, 0},         {70, 60, 3, 64, 64, 2},     {131, 31, 3, 64, 65, 0},
    {200, 0, 3, 64, 100, 1}, {3, 2300, 3, 32, 200, 0},     {10, 1060, 2, 20, 1030, 3}, {1, 300, 3, 64, 7, 0},
    {45, 0, 5, 32, 0, 0.7f}, {3, 2300, 3, 32, 1500, 0.5f}, {2, 2047, 2, 16, 1024, 0},  {90, 40, 2, 256, 48, 50}};

/* ---- a problem and its buffers --------------------------------------------------------------------------------------
 */

enum { SPARE = 3, KV_SPARE = 6 }; /* strides are wider than rows by this: elements, bytes */

/* How the operands are stored. */
struct form {
    enum number number;
    enum kv_type kv;
};
static const struct form plain = {NUMBER_F32, KV_F32};

/* Bytes that end with their guarded block. */
struct stored {
    float *block;
    size_t floats;
    uint8_t *bytes;
};

struct problem {
    struct cpu_attention a;
    size_t tokens, q_floats, out_floats, lse_floats, kv_floats, scratch_floats;
    float *q, *out, *lse, *dout, *dq, *k, *v, *dk, *dv; /* the operands as f32; results after `settle` */
    struct stored sq, sout, sdout, sdq, sk, sv, sdk, sdv;
    const void *pages[2];
};

static struct stored store_bytes(size_t n)
{
    uint64_t state = n;
    struct stored s = {.floats = (n + 3) / 4};
    s.block = buffer(s.floats, &state);
    s.bytes = (uint8_t *)(s.block + s.floats) - n;
    return s;
}

static struct stored store_numbers(const float *x, size_t n, enum number number)
{
    struct stored s = store_bytes(n * number_bytes(number));
    for (size_t i = 0; i < n; i++) {
        uint16_t half = float_to_bf16(x[i]);
        memcpy(s.bytes + i * number_bytes(number), number == NUMBER_BF16 ? (const void *)&half : x + i,
               number_bytes(number));
    }
    return s;
}

static void load_numbers(float *x, const struct stored *s, size_t n, enum number number)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, s->bytes + 2 * i, 2);
        if (number == NUMBER_BF16)
            x[i] = bf16_to_float(half);
        else
            memcpy(x + i, s->bytes + 4 * i, 4);
    }
}

static struct stored store_kv(const struct problem *p, const float *x)
{
    struct cpu_kernels t = {0};
    struct stored s = store_bytes(p->tokens * p->a.kv_row);
    attention_scalar(&t);
    for (size_t i = 0; i < p->tokens; i++)
        t.kv_store(s.bytes + i * p->a.kv_row, p->a.kv, x + i * (p->a.head_dim + SPARE), NUMBER_F32, p->a.head_dim);
    return s;
}

static void open_problem(struct problem *p, const struct cpu_attention_kernels *k, struct form form, struct shape s,
                         uint64_t seed)
{
    uint64_t state = seed;
    size_t width = s.group * s.dim, tokens = s.position + s.rows;
    p->tokens = tokens;
    p->q_floats = s.rows * (width + SPARE);
    p->out_floats = s.rows * (width + 2 * SPARE);
    p->lse_floats = s.rows * (s.group + 1);
    p->kv_floats = tokens * (s.dim + SPARE);
    p->scratch_floats = k->scratch(s.group, s.dim, tokens);
    p->q = buffer(p->q_floats, &state), p->dq = buffer(p->q_floats, &state);
    p->out = buffer(p->out_floats, &state), p->dout = buffer(p->out_floats, &state);
    p->lse = buffer(p->lse_floats, &state);
    p->k = buffer(p->kv_floats, &state), p->v = buffer(p->kv_floats, &state);
    p->dk = buffer(p->kv_floats, &state), p->dv = buffer(p->kv_floats, &state);
    p->a = (struct cpu_attention){.lse = p->lse,
                                  .ldq = width + SPARE,
                                  .ldo = width + 2 * SPARE,
                                  .ldlse = s.group + 1,
                                  .number = form.number,
                                  .k_pages = p->pages,
                                  .v_pages = p->pages + 1,
                                  .kv = form.kv,
                                  .page_tokens = tokens,
                                  .kv_row = kv_bytes(form.kv, s.dim) + KV_SPARE * 2,
                                  .rows = s.rows,
                                  .group = s.group,
                                  .head_dim = s.dim,
                                  .position = s.position,
                                  .scale = 1.3f / sqrtf((float)s.dim),
                                  .window = s.window,
                                  .softcap = s.softcap,
                                  .scratch = buffer(p->scratch_floats, &state),
                                  .ldk = s.dim + SPARE,
                                  .key_end = tokens};
    p->sq = store_numbers(p->q, p->q_floats, form.number), p->sdq = store_numbers(p->dq, p->q_floats, form.number);
    p->sout = store_numbers(p->out, p->out_floats, form.number);
    p->sdout = store_numbers(p->dout, p->out_floats, form.number);
    p->sdk = store_numbers(p->dk, p->kv_floats, form.number), p->sdv = store_numbers(p->dv, p->kv_floats, form.number);
    p->sk = store_kv(p, p->k), p->sv = store_kv(p, p->v);
    p->pages[0] = p->sk.bytes, p->pages[1] = p->sv.bytes;
    p->a.q = p->sq.bytes, p->a.dq = p->sdq.bytes, p->a.out = p->sout.bytes, p->a.dout = p->sdout.bytes;
    p->a.dk = p->sdk.bytes, p->a.dv = p->sdv.bytes;
}

/* The results as f32. */
static void settle(struct problem *p)
{
    load_numbers(p->out, &p->sout, p->out_floats, p->a.number);
    load_numbers(p->dq, &p->sdq, p->q_floats, p->a.number);
    load_numbers(p->dk, &p->sdk, p->kv_floats, p->a.number);
    load_numbers(p->dv, &p->sdv, p->kv_floats, p->a.number);
}

static void close_problem(struct problem *p)
{
    release(p->q, p->q_floats), release(p->dq, p->q_floats);
    release(p->out, p->out_floats), release(p->dout, p->out_floats);
    release(p->lse, p->lse_floats);
    release(p->k, p->kv_floats), release(p->v, p->kv_floats);
    release(p->dk, p->kv_floats), release(p->dv, p->kv_floats);
    release(p->a.scratch, p->scratch_floats);
    struct stored *all[] = {&p->sq, &p->sout, &p->sdout, &p->sdq, &p->sk, &p->sv, &p->sdk, &p->sdv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) release(all[i]->block, all[i]->floats);
}

static void run_all(const struct cpu_attention_kernels *k, struct problem *p)
{
    k->forward(&p->a);
    k->back_q(&p->a);
    k->back_kv(&p->a);
    settle(p);
}

static const struct level levels[] = LEVELS(attention);

static struct cpu_kernels kernels_of(struct level level)
{
    struct cpu_kernels t = {0};
    level.fill(&t);
    return t;
}
static struct cpu_attention_kernels specification(void)
{
    return kernels_of(levels[0]).attention;
}

/* ---- scalar against double ------------------------------------------------------------------------------------------
 */

/* One query head: out (dim) and lse from the keys and values (count, dim), with stride ld, that it sees. */
static double attend_double(const struct cpu_attention *a, double *out, const double *q, const double *k,
                            const double *v, size_t ld, size_t count)
{
    size_t dim = a->head_dim, first = a->window && count > a->window ? count - a->window : 0;
    double sum = 0, top = -INFINITY, cap = (double)a->softcap, s[4096];
    for (size_t j = first; j < count; j++) {
        s[j] = 0;
        for (size_t i = 0; i < dim; i++) s[j] += (double)a->scale * q[i] * k[j * ld + i];
        if (cap > 0) s[j] = cap * tanh(s[j] / cap);
        top = fmax(top, s[j]);
    }
    for (size_t i = 0; i < dim; i++) out[i] = 0;
    for (size_t j = first; j < count; j++) {
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
    size_t ldk = a->head_dim + SPARE;
    double sum = 0, head[512];
    for (size_t t = 0; t < a->rows; t++)
        for (size_t h = 0; h < a->group; h++) {
            const double *query = q + t * a->ldq + h * a->head_dim;
            size_t at = t * a->ldo + h * a->head_dim;
            double l = attend_double(a, head, query, k, v, ldk, a->position + t + 1);
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
    struct cpu_attention_kernels k = specification();
    double worst_out = 0, worst_lse = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct problem p;
        open_problem(&p, &k, plain, shapes[i], i);
        double *q = widen(p.q, p.q_floats), *keys = widen(p.k, p.kv_floats), *v = widen(p.v, p.kv_floats);
        double *out = widen(p.out, p.out_floats), *lse = widen(p.lse, p.lse_floats);
        loss_double(&p, q, keys, v, out, lse);
        k.forward(&p.a);
        settle(&p);
        compare(&worst_out, p.out, out, p.out_floats); /* what lies between rows must be as before */
        compare(&worst_lse, p.lse, lse, p.lse_floats);
        double *all[] = {q, keys, v, out, lse};
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

static void check_differences(struct shape shape)
{
    struct cpu_attention_kernels k = specification();
    struct problem p;
    open_problem(&p, &k, plain, shape, 99);
    double *parts[] = {widen(p.q, p.q_floats), widen(p.k, p.kv_floats), widen(p.v, p.kv_floats)};
    float *before[] = {copy_of(p.dq, p.q_floats), copy_of(p.dk, p.kv_floats), copy_of(p.dv, p.kv_floats)};
    run_all(&k, &p);
    differences(&p, parts, 0, before[0], p.q_floats, p.a.ldq, 12, p.dq, "dq, differences");
    differences(&p, parts, 1, before[1], p.kv_floats, p.a.ldk, 6, p.dk, "dk, differences");
    differences(&p, parts, 2, before[2], p.kv_floats, p.a.ldk, 6, p.dv, "dv, differences");
    for (size_t i = 0; i < 3; i++) free(parts[i]), release(before[i], i ? p.kv_floats : p.q_floats);
    close_problem(&p);
}

static void test_differences(void **unused)
{
    check_differences((struct shape){70, 0, 2, 6, 0, 0});
    check_differences((struct shape){70, 0, 2, 6, 9, 0.8f});
}

/* ---- how keys and values are stored ---------------------------------------------------------------------------------
 */

/* 8 bits: within half a step of a block's largest value, and of what f16 takes from the step itself. */
static void test_stored_keys(void **unused)
{
    double worst = 0;
    for (size_t n = 1; n <= 130; n++) {
        uint64_t state = n;
        struct stored s = store_bytes(kv_bytes(KV_Q8, n));
        float *x = buffer(n, &state);
        kernels_of(levels[0]).kv_store(s.bytes, KV_Q8, x, NUMBER_F32, n);
        for (size_t b = 0; b < n; b += KV_BLOCK) {
            double top = 0;
            uint16_t half;
            memcpy(&half, s.bytes + 2 * (b / KV_BLOCK), 2);
            for (size_t i = b; i < n && i < b + KV_BLOCK; i++) top = fmax(top, fabs((double)x[i]));
            for (size_t i = b; i < n && i < b + KV_BLOCK; i++) {
                double y = (double)half_to_float(half) * (int8_t)s.bytes[2 * kv_blocks(n) + i];
                worst = fmax(worst, fabs(y - (double)x[i]) / top);
            }
        }
        release(x, n);
        release(s.block, s.floats);
    }
    report("scalar", "8-bit keys, of the largest", worst, 0.5 / 127 + 1e-3);
}

/* Every level stores the same bytes; an infinity or NaN is not lost. */
static void check_stores(const char *level, const struct cpu_kernels *t)
{
    struct cpu_kernels scalar = kernels_of(levels[0]);
    for (enum kv_type kv = KV_F32; kv <= KV_Q8; kv++)
        for (size_t n = 1; n <= 130; n++) {
            uint64_t state = n;
            float *x = buffer(n, &state);
            if (n % 7 == 0) x[n / 2] = n % 2 ? INFINITY : NAN;
            if (n % 11 == 0) memset(x, 0, n * sizeof *x);
            for (enum number number = NUMBER_F32; number <= NUMBER_BF16; number++) {
                struct stored in = store_numbers(x, n, number);
                struct stored one = store_bytes(kv_bytes(kv, n)), two = store_bytes(kv_bytes(kv, n));
                scalar.kv_store(one.bytes, kv, in.bytes, number, n);
                t->kv_store(two.bytes, kv, in.bytes, number, n);
                assert_memory_equal(one.bytes, two.bytes, kv_bytes(kv, n));
                uint16_t half;
                memcpy(&half, one.bytes, 2);
                if (kv == KV_Q8 && n % 7 == 0 && n % 11 && n <= KV_BLOCK) assert_false(isfinite(half_to_float(half)));
                release(in.block, in.floats), release(one.block, one.floats), release(two.block, two.floats);
            }
            release(x, n);
        }
    printf("  %-7s stores keys and values as scalar does\n", level);
}

/* ---- every instruction set against scalar ---------------------------------------------------------------------------
 */

/* The largest |x − y| / top so far; top = the largest |y|. */
static void compare_to_top(double *worst, const float *x, const float *y, size_t n)
{
    double top = 1e-30;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs((double)y[i]));
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)x[i] - (double)y[i]) / top;
        *worst = error > *worst || isnan(error) ? error : *worst;
    }
}

struct bounds {
    void (*compare)(double *worst, const float *x, const float *y, size_t n);
    double out, lse, one_key, gradient; /* one_key: lse where a window of one key makes it that key's score */
};

static void check_form(const char *level, const struct cpu_attention_kernels *k, struct form form, struct bounds bound)
{
    static const char *numbers[] = {"f32", "bf16"}, *kvs[] = {"f32", "bf16", "q8"};
    struct cpu_attention_kernels scalar = specification();
    double out = 0, lse = 0, one_key = 0, dq = 0, dkv = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct problem want, have;
        open_problem(&want, &scalar, form, shapes[i], i);
        open_problem(&have, k, form, shapes[i], i);
        run_all(&scalar, &want);
        run_all(k, &have);
        bound.compare(&out, have.out, want.out, want.out_floats);
        bound.compare(shapes[i].window == 1 ? &one_key : &lse, have.lse, want.lse, want.lse_floats);
        bound.compare(&dq, have.dq, want.dq, want.q_floats);
        bound.compare(&dkv, have.dk, want.dk, want.kv_floats);
        bound.compare(&dkv, have.dv, want.dv, want.kv_floats);
        close_problem(&want);
        close_problem(&have);
    }
    printf("  %s, activations %s, cache %s:\n", level, numbers[form.number], kvs[form.kv]);
    report(level, "out", out, bound.out);
    report(level, "lse", lse, bound.lse);
    report(level, "lse, one key", one_key, bound.one_key);
    report(level, "dq", dq, bound.gradient);
    report(level, "dk, dv", dkv, bound.gradient);
}

/* With f32 products only what is written may be rounded otherwise; with bf16 ones the factors are as well. */
static void check_forms(const char *level, const struct cpu_attention_kernels *k, bool bf16)
{
    static const struct bounds exact = {compare_floats, BOUND, BOUND, BOUND, 5e-5};
    static const struct bounds stored = {compare_to_top, 4e-3, BOUND, BOUND, 4e-3};
    static const struct bounds rounded = {compare_to_top, 8e-3, 2e-3, 4e-3, 1.2e-2}; /* bf16 factors keep 2⁻⁸ */
    for (enum kv_type kv = KV_F32; kv <= KV_Q8; kv++)
        for (enum number number = NUMBER_F32; number <= NUMBER_BF16; number++)
            check_form(level, k, (struct form){number, kv}, bf16 ? rounded : number == NUMBER_BF16 ? stored : exact);
}

/* ---- what changes no bit --------------------------------------------------------------------------------------------
 */

static void assert_same(const float *x, const float *y, size_t n)
{
    assert_memory_equal(x, y, n * sizeof *x);
}

static void assert_same_results(const struct problem *x, const struct problem *y)
{
    assert_same(x->out, y->out, x->out_floats);
    assert_same(x->lse, y->lse, x->lse_floats);
    assert_same(x->dq, y->dq, x->q_floats);
    assert_same(x->dk, y->dk, x->kv_floats);
    assert_same(x->dv, y->dv, x->kv_floats);
}

/* Rows `first` .. first + rows of a problem as a problem of their own. */
static struct cpu_attention part_of(const struct cpu_attention *a, size_t first, size_t rows)
{
    struct cpu_attention part = *a;
    size_t in = first * a->ldq * number_bytes(a->number), out = first * a->ldo * number_bytes(a->number);
    part.rows = rows;
    part.position += first;
    part.q = (const char *)a->q + in, part.dq = (char *)a->dq + in;
    part.out = (char *)a->out + out, part.dout = (const char *)a->dout + out;
    part.lse += first * a->ldlse;
    return part;
}

/* Prefill in chunks and decoding one by one, and keys shared out to tasks at any place. */
static void check_cuts(const struct cpu_attention_kernels *k, struct form form)
{
    static const size_t chunks[] = {1, 7, 40, 64};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            struct problem whole, cut;
            open_problem(&whole, k, form, shapes[i], i);
            open_problem(&cut, k, form, shapes[i], i);
            run_all(k, &whole);
            for (size_t first = 0, rows; first < cut.a.rows; first += rows) {
                rows = cut.a.rows - first < chunks[c] ? cut.a.rows - first : chunks[c];
                struct cpu_attention part = part_of(&cut.a, first, rows);
                k->forward(&part);
                k->back_q(&part);
            }
            for (size_t key = 0; key < cut.tokens; key = cut.a.key_end) {
                cut.a.key_begin = key;
                cut.a.key_end = key + chunks[c] < cut.tokens ? key + chunks[c] : cut.tokens;
                k->back_kv(&cut.a);
            }
            settle(&cut);
            assert_same_results(&cut, &whole);
            close_problem(&whole);
            close_problem(&cut);
        }
}

/* Chunks of keys on their own, merged a few at a time. */
static void check_parts(const struct cpu_attention_kernels *k, struct form form)
{
    enum { FEW = 2 };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct problem whole, cut;
        uint64_t state = i;
        open_problem(&whole, k, form, shapes[i], i);
        open_problem(&cut, k, form, shapes[i], i);
        run_all(k, &whole);
        size_t part = cut.a.rows * cut.a.group * (cut.a.head_dim + 2), chunks = (cut.tokens - 1) / CPU_KEY_CHUNK + 1;
        float *parts = buffer(FEW * part, &state);
        for (size_t c = 0, kept = 0; c < chunks; c++) {
            cut.a.parts = parts + kept * part;
            cut.a.key_begin = c * CPU_KEY_CHUNK;
            k->forward(&cut.a);
            cut.a.parts = parts;
            if (++kept == FEW || c + 1 == chunks) k->merge(&cut.a, kept, c + 1 == chunks), kept = 1;
        }
        cut.a.parts = NULL;
        cut.a.key_begin = 0;
        k->back_q(&cut.a);
        k->back_kv(&cut.a);
        settle(&cut);
        assert_same_results(&cut, &whole);
        release(parts, FEW * part);
        close_problem(&whole);
        close_problem(&cut);
    }
}

/* Both gradients at once. */
static void check_back(const struct cpu_attention_kernels *k, struct form form)
{
    for (size_t i = 0; k->back && i < sizeof shapes / sizeof *shapes; i++) {
        struct problem two, one;
        open_problem(&two, k, form, shapes[i], i);
        open_problem(&one, k, form, shapes[i], i);
        run_all(k, &two);
        k->forward(&one.a);
        k->back(&one.a);
        settle(&one);
        assert_same_results(&one, &two);
        close_problem(&two);
        close_problem(&one);
    }
}

/* Copies rows of bytes into pages, the unused rest all ones (NaN): what lies beyond the last token must not matter. */
static void paginate(const void **pages, const uint8_t *x, size_t row, size_t tokens, size_t page_tokens)
{
    for (size_t first = 0; first < tokens; first += page_tokens, pages++) {
        size_t rows = tokens - first < page_tokens ? tokens - first : page_tokens;
        uint8_t *page = malloc(page_tokens * row);
        assert_non_null(page);
        memset(page, 255, page_tokens * row);
        memcpy(page, x + first * row, rows * row);
        *pages = page;
    }
}

static void check_pages(const struct cpu_attention_kernels *k, struct form form)
{
    enum { PAGES = 40 };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t page = 64; page <= 128; page *= 2) {
            struct problem one, many;
            const void *keys[PAGES] = {0}, *values[PAGES] = {0};
            open_problem(&one, k, form, shapes[i], i);
            open_problem(&many, k, form, shapes[i], i);
            paginate(keys, many.sk.bytes, many.a.kv_row, many.tokens, page);
            paginate(values, many.sv.bytes, many.a.kv_row, many.tokens, page);
            many.a.k_pages = keys, many.a.v_pages = values;
            many.a.page_tokens = page;
            run_all(k, &one);
            run_all(k, &many);
            assert_same_results(&many, &one);
            for (size_t j = 0; j < PAGES; j++) free((void *)keys[j]), free((void *)values[j]);
            close_problem(&one);
            close_problem(&many);
        }
}

/* Scores of several hundred: exp must neither overflow nor lose the maximum; lse is not wanted. */
static void check_extremes(const char *level, const struct cpu_attention_kernels *k, double bound)
{
    struct problem p;
    open_problem(&p, k, plain, (struct shape){130, 0, 3, 64, 0, 0}, 5);
    for (size_t i = 0; i < p.q_floats; i++) p.q[i] = 128 * bf16_to_float(float_to_bf16(p.q[i]));
    for (size_t i = 0; i < p.kv_floats; i++) p.k[i] = bf16_to_float(float_to_bf16(p.k[i]));
    memcpy(p.sq.bytes, p.q, p.q_floats * sizeof *p.q);
    struct stored keys = store_kv(&p, p.k);
    p.pages[0] = keys.bytes;
    double *q = widen(p.q, p.q_floats), *kd = widen(p.k, p.kv_floats), *v = widen(p.v, p.kv_floats);
    double *out = widen(p.out, p.out_floats), worst = 0;
    loss_double(&p, q, kd, v, out, NULL);
    p.a.lse = NULL;
    k->forward(&p.a);
    settle(&p);
    compare(&worst, p.out, out, p.out_floats);
    report(level, "out, scores of hundreds", worst, bound); /* scores of 500 have themselves an error of 3e-5 */
    double *all[] = {q, kd, v, out};
    for (size_t j = 0; j < 4; j++) free(all[j]);
    release(keys.block, keys.floats);
    close_problem(&p);
}

static void check_kernels(const char *level, const struct cpu_attention_kernels *k, bool bf16)
{
    static const struct form forms[] = {{NUMBER_F32, KV_F32}, {NUMBER_BF16, KV_BF16}, {NUMBER_F32, KV_Q8}};
    check_forms(level, k, bf16);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        check_cuts(k, forms[i]);
        check_parts(k, forms[i]);
        check_back(k, forms[i]);
        check_pages(k, forms[i]);
    }
    check_extremes(level, k, bf16 ? 0.1 : 1e-2);
}

static void test_levels(void **unused)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        struct cpu_kernels t;
        if (!open_level(&t, levels[l])) continue;
        check_stores(levels[l].name, &t);
        check_kernels(levels[l].name, &t.attention, false);
    }
#if LORAC_X86
    struct cpu_kernels t = {0};
    if (!__builtin_cpu_supports("avx512bf16")) return;
    attention_avx512bf16(&t);
    check_kernels("avx512bf16", &t.attention_bf16, true);
    if (!cpu_has_amx()) return;
    attention_amx(&t);
    check_kernels("amx", &t.attention_bf16, true);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_differences),
                                       cmocka_unit_test(test_stored_keys), cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
