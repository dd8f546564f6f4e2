/* test_kernels_rows.c — the row kernels: scalar against the formulas in double and against finite differences of them,
 * every instruction set against scalar at odd widths, unaligned, between guards. */
#include "kernel_test.h"

enum { ROWS = 3 };
static const double BOUND = 1e-5;
static const size_t wide[] = {576, 1000, 1537};

/* Widths 1 .. 70, then the wide ones; 0 at the end. */
static size_t width_at(size_t i)
{
    size_t narrow = 70, count = narrow + sizeof wide / sizeof *wide;
    return i < narrow ? i + 1 : i < count ? wide[i - narrow] : 0;
}

static const struct level levels[] = LEVELS(rows);

static struct cpu_kernels scalar_table(void)
{
    struct cpu_kernels t = {0};
    rows_scalar(&t);
    return t;
}

/* ---- every instruction set against scalar --------------------------------------------------------------------------
 */

/* A kernel with its arguments: out (and out2) are read and written, a .. c only read. */
struct arguments {
    float *out, *out2;
    const float *a, *b, *c;
    size_t n;
};
typedef double (*call)(const struct cpu_kernels *t, struct arguments x); /* the sum of what is returned, or 0 */

static double call_norm(const struct cpu_kernels *t, struct arguments x)
{
    t->normalize(x.out, x.out2, x.a, ROWS, x.n, 1e-5f);
    return 0;
}
static double call_norm_in_place(const struct cpu_kernels *t, struct arguments x)
{
    t->normalize(x.out, x.out2, x.out, ROWS, x.n, 1e-5f);
    return 0;
}
static double call_center(const struct cpu_kernels *t, struct arguments x)
{
    t->center(x.out, x.a, ROWS * x.n);
    t->center(x.out2, x.out2, ROWS * x.n);
    return 0;
}
static double call_norm_back(const struct cpu_kernels *t, struct arguments x)
{
    t->normalize_back(x.out, x.a, x.c, x.b, ROWS, x.n);
    return 0;
}
/* All activations, one after the other, with and without a second factor. */
static double call_gate(const struct cpu_kernels *t, struct arguments x)
{
    size_t part = ROWS * x.n / ACTIVATIONS;
    for (size_t f = 0, at = 0; f < ACTIVATIONS; f++, at += part) {
        t->gate((enum activation)f, x.out + at, x.a + at, x.b + at, part);
        t->gate((enum activation)f, x.out2 + at, x.a + at, NULL, part);
    }
    return 0;
}
static double call_gate_back(const struct cpu_kernels *t, struct arguments x)
{
    size_t part = ROWS * x.n / ACTIVATIONS;
    for (size_t f = 0, at = 0; f < ACTIVATIONS; f++, at += part)
        t->gate_back((enum activation)f, x.out + at, x.out2 + at, x.a + at, x.b + at, x.c + at, part);
    return 0;
}
static double call_gate_back_in_place(const struct cpu_kernels *t, struct arguments x)
{
    size_t part = ROWS * x.n / ACTIVATIONS;
    for (size_t f = 0, at = 0; f < ACTIVATIONS; f++, at += part)
        t->gate_back((enum activation)f, x.out2 + at, x.out + at, x.out + at, x.b + at, x.c + at, part);
    return 0;
}
static double call_activation_back(const struct cpu_kernels *t, struct arguments x)
{
    size_t part = ROWS * x.n / ACTIVATIONS;
    for (size_t f = 0, at = 0; f < ACTIVATIONS; f++, at += part)
        t->gate_back((enum activation)f, x.out + at, NULL, x.a + at, x.b + at, NULL, part);
    return 0;
}
static double call_multiply(const struct cpu_kernels *t, struct arguments x)
{
    t->multiply(x.out, x.a, x.b, ROWS * x.n);
    t->multiply(x.out2, x.a, x.out2, ROWS * x.n);
    return 0;
}
static double call_from_bf16(const struct cpu_kernels *t, struct arguments x)
{
    uint16_t *narrow = (uint16_t *)x.out2;
    for (size_t i = 0; i < ROWS * x.n; i++) narrow[i] = float_to_bf16(x.a[i]);
    t->from_bf16(x.out, narrow, ROWS * x.n);
    return 0;
}
static double call_axpy(const struct cpu_kernels *t, struct arguments x)
{
    t->axpy(x.out, x.a, 0.37f, ROWS * x.n);
    return 0;
}
static double call_soft_cap(const struct cpu_kernels *t, struct arguments x)
{
    t->soft_cap(x.out, 0.7f, 0.8f, ROWS * x.n);
    t->soft_cap(x.out2, 0.7f, 0, ROWS * x.n);
    return 0;
}
static double call_soft_cap_back(const struct cpu_kernels *t, struct arguments x)
{
    t->soft_cap_back(x.out, x.a, 3, ROWS * x.n);
    return 0;
}
static double call_loss(const struct cpu_kernels *t, struct arguments x)
{
    return (double)t->cross_entropy(x.out, ROWS * x.n, ROWS * x.n * 2 / 3, 0.7f);
}
static double call_loss_only(const struct cpu_kernels *t, struct arguments x)
{
    return (double)t->cross_entropy(x.out, ROWS * x.n, 0, 0);
}
static double call_squares(const struct cpu_kernels *t, struct arguments x)
{
    return t->sum_squares(x.a, ROWS * x.n);
}
static double call_adamw(const struct cpu_kernels *t, struct arguments x)
{
    for (size_t i = 0; i < ROWS * x.n; i++) x.out2[i] *= x.out2[i];
    float *m = copy_of(x.b, ROWS * x.n);
    t->adamw(x.out, x.a, m, x.out2, ROWS * x.n, 1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.19f, 0.002f, 0.5f);
    double sum = 0;
    for (size_t i = 0; i < ROWS * x.n; i++) sum += fabs((double)m[i]);
    release(m, ROWS * x.n);
    return sum;
}

static void check_level(const char *level, const struct cpu_kernels *t, const char *what, call kernel)
{
    struct cpu_kernels scalar = scalar_table();
    double worst = 0;
    for (size_t i = 0, n; (n = width_at(i)); i++) {
        uint64_t state = i;
        size_t count = ROWS * n;
        float *in[3], *out[2], *expect[2];
        for (size_t j = 0; j < 3; j++) in[j] = buffer(count, &state);
        for (size_t j = 0; j < 2; j++) out[j] = buffer(count, &state), expect[j] = copy_of(out[j], count);

        double want = kernel(&scalar, (struct arguments){expect[0], expect[1], in[0], in[1], in[2], n});
        double have = kernel(t, (struct arguments){out[0], out[1], in[0], in[1], in[2], n});
        worst = fmax(worst, fabs(have - want) / fmax(fabs(want), 1e-6));
        for (size_t j = 0; j < 2; j++) compare_floats(&worst, out[j], expect[j], count);

        for (size_t j = 0; j < 3; j++) release(in[j], count);
        for (size_t j = 0; j < 2; j++) release(out[j], count), release(expect[j], count);
    }
    report(level, what, worst, BOUND);
}

static void test_levels(void **unused)
{
    static const struct {
        const char *name;
        call kernel;
    } kernels[] = {{"normalize", call_norm},
                   {"normalize in place", call_norm_in_place},
                   {"center", call_center},
                   {"normalize_back", call_norm_back},
                   {"gate", call_gate},
                   {"gate_back", call_gate_back},
                   {"gate_back in place", call_gate_back_in_place},
                   {"gate_back of one factor", call_activation_back},
                   {"multiply", call_multiply},
                   {"from_bf16", call_from_bf16},
                   {"axpy", call_axpy},
                   {"soft_cap", call_soft_cap},
                   {"soft_cap_back", call_soft_cap_back},
                   {"cross_entropy", call_loss},
                   {"cross_entropy, loss only", call_loss_only},
                   {"sum_squares", call_squares},
                   {"adamw", call_adamw}};
    for (size_t l = 1; l < sizeof levels / sizeof *levels; l++) {
        struct cpu_kernels t;
        if (!open_level(&t, levels[l])) continue;
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
            check_level(levels[l].name, &t, kernels[k].name, kernels[k].kernel);
    }
}

/* ---- rotary positions ----------------------------------------------------------------------------------------------
 */

/* Every even rotary size up to 140, whole heads and parts of them, both pairings and directions. */
static void rope_level(const char *level, const struct cpu_kernels *t)
{
    enum { HEADS = 3 };
    double worst = 0;
    for (size_t rotary = 2; rotary <= 140; rotary += 2)
        for (int mode = 0; mode < 4; mode++) {
            uint64_t state = rotary;
            size_t dim = rotary + rotary % 3 * 47, ld = HEADS * dim + 1, n = ROWS * ld, half = rotary / 2;
            bool interleaved = mode & 1, inverse = mode & 2;
            float *table = buffer(ROWS * rotary, &state), *x = buffer(n, &state);
            double *want = malloc(n * sizeof *want);
            assert_non_null(want);
            for (size_t i = 0; i < n; i++) want[i] = (double)x[i];
            for (size_t p = 0; p < ROWS * HEADS * half; p++) {
                size_t row = p / (HEADS * half), head = p / half % HEADS, i = p % half, at = row * ld + head * dim;
                size_t first = at + (interleaved ? 2 * i : i), second = interleaved ? first + 1 : first + half;
                double c = (double)table[row * rotary + 2 * i], s = (double)table[row * rotary + 2 * i + 1];
                if (inverse) s = -s;
                want[first] = (double)x[first] * c - (double)x[second] * s;
                want[second] = (double)x[first] * s + (double)x[second] * c;
            }
            t->rope(x, ld, table, ROWS, HEADS, dim, rotary, interleaved, inverse);
            compare(&worst, x, want, n);
            release(table, ROWS * rotary);
            release(x, n);
            free(want);
        }
    report(level, "rope, against the formula", worst, BOUND);
}

static void test_rope(void **unused)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        struct cpu_kernels t;
        if (!open_level(&t, levels[l])) continue;
        rope_level(levels[l].name, &t);
    }
}

/* ---- scalar against the formulas -----------------------------------------------------------------------------------
 */

enum { WIDTH = 37 };
static const double EPS = 1e-5, STEP = 1e-5;

/* Σ up[i] · f(x)[i] in double: the loss whose gradient a backward kernel must give. */
static double norm_loss(const double *x, const float *up)
{
    double squares = 0, sum = 0;
    for (size_t i = 0; i < WIDTH; i++) squares += x[i] * x[i];
    double r = 1 / sqrt(squares / WIDTH + EPS);
    for (size_t i = 0; i < WIDTH; i++) sum += (double)up[i] * x[i] * r;
    return sum;
}

static double activation(enum activation f, double x)
{
    if (f == ACTIVATION_SILU) return x / (1 + exp(-x));
    if (f == ACTIVATION_GELU) return x * erfc(-x / sqrt(2)) / 2;
    return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double entropy(const double *z, size_t n, size_t target)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(z[i]);
    return log(sum) - z[target];
}

static void test_norm(void **unused)
{
    struct cpu_kernels t = scalar_table();
    uint64_t state = 7;
    float *x = buffer(WIDTH, &state), *up = buffer(WIDTH, &state), scale;
    float *y = buffer(WIDTH, &state), *dx = buffer(WIDTH, &state), *before = copy_of(dx, WIDTH);
    double at[WIDTH], want[WIDTH], squares = 0, worst = 0;
    for (size_t i = 0; i < WIDTH; i++) at[i] = (double)x[i], squares += at[i] * at[i];

    t.normalize(y, &scale, x, 1, WIDTH, (float)EPS);
    for (size_t i = 0; i < WIDTH; i++) want[i] = at[i] / sqrt(squares / WIDTH + EPS);
    compare(&worst, y, want, WIDTH);
    report("scalar", "normalize, formula", worst, BOUND);

    t.normalize_back(dx, up, y, &scale, 1, WIDTH);
    for (size_t i = 0; i < WIDTH; i++) {
        double keep = at[i];
        at[i] = keep + STEP, want[i] = norm_loss(at, up);
        at[i] = keep - STEP, want[i] = (double)before[i] + (want[i] - norm_loss(at, up)) / (2 * STEP);
        at[i] = keep;
    }
    worst = 0;
    compare(&worst, dx, want, WIDTH);
    report("scalar", "normalize_back, differences", worst, BOUND);
    float *all[] = {x, up, y, dx, before};
    for (size_t i = 0; i < 5; i++) release(all[i], WIDTH);
}

static void test_gate(void **unused)
{
    struct cpu_kernels t = scalar_table();
    for (size_t k = 0; k < ACTIVATIONS; k++) {
        enum activation f = (enum activation)k;
        uint64_t state = 8;
        float *gate = buffer(WIDTH, &state), *up = buffer(WIDTH, &state), *dy = buffer(WIDTH, &state);
        float *y = buffer(WIDTH, &state), *dgate = buffer(WIDTH, &state), *dup = buffer(WIDTH, &state);
        double want[3][WIDTH], worst = 0;
        for (size_t i = 0; i < WIDTH; i++) {
            double g = (double)(gate[i] *= 4), d = (double)dy[i], u = (double)up[i];
            want[0][i] = activation(f, g) * u;
            want[1][i] = d * u * (activation(f, g + STEP) - activation(f, g - STEP)) / (2 * STEP);
            want[2][i] = d * activation(f, g);
        }
        t.gate(f, y, gate, up, WIDTH);
        t.gate_back(f, dgate, dup, dy, gate, up, WIDTH);
        compare(&worst, y, want[0], WIDTH);
        compare(&worst, dgate, want[1], WIDTH);
        compare(&worst, dup, want[2], WIDTH);
        report("scalar", "gate, both ways", worst, BOUND);
        float *all[] = {gate, up, dy, y, dgate, dup};
        for (size_t i = 0; i < 6; i++) release(all[i], WIDTH);
    }
}

static void test_entropy(void **unused)
{
    struct cpu_kernels t = scalar_table();
    uint64_t state = 9;
    float *z = buffer(WIDTH, &state);
    double at[WIDTH], want[WIDTH], worst = 0;
    for (size_t i = 0; i < WIDTH; i++) at[i] = (double)z[i];
    double loss = entropy(at, WIDTH, 5);
    for (size_t i = 0; i < WIDTH; i++) {
        double keep = at[i];
        at[i] = keep + STEP, want[i] = entropy(at, WIDTH, 5);
        at[i] = keep - STEP, want[i] = 0.25 * (want[i] - entropy(at, WIDTH, 5)) / (2 * STEP);
        at[i] = keep;
    }
    double error = fabs((double)t.cross_entropy(z, WIDTH, 5, 0.25f) / loss - 1);
    compare(&worst, z, want, WIDTH);
    report("scalar", "cross_entropy, loss", error, 1e-6);
    report("scalar", "cross_entropy, differences", worst, BOUND);
    release(z, WIDTH);
}

/* A vocabulary of 49,152 and of 151,936, the target ordinary, certain (a loss near 1e-4 and near 0) and hopeless. */
static void entropy_level(const char *level, const struct cpu_kernels *t)
{
    static const float targets[] = {0.3f, 18, 30, -40, -200};
    double worst = 0;
    for (size_t n = 49152; n <= 151936; n += 151936 - 49152)
        for (size_t k = 0; k < sizeof targets / sizeof *targets; k++) {
            uint64_t state = k;
            float *z = buffer(n, &state), top = fmaxf(targets[k], 2);
            z[n / 3] = targets[k];
            double rest = 0;
            for (size_t i = 0; i < n; i++) rest += i == n / 3 ? 0 : exp((double)z[i] - (double)top);
            double want = (double)top - (double)targets[k] + log1p(rest + expm1((double)targets[k] - (double)top));
            double have = (double)t->cross_entropy(z, n, n / 3, 1);
            worst = fmax(worst, fabs(have - want) / want);
            release(z, n);
        }
    report(level, "cross_entropy of a vocabulary", worst, 1e-6);
}

/* PyTorch's AdamW, single tensor, in double. */
static void test_adamw(void **unused)
{
    struct cpu_kernels t = scalar_table();
    double p = 0.8, m = 0, v = 0, worst = 0;
    float p32 = 0.8f, m32 = 0, v32 = 0;
    const double lr = 1e-2, beta1 = (double)0.9f, beta2 = (double)0.999f, decay = 0.1;
    for (int step = 1; step <= 20; step++) {
        float raw = sinf((float)step);
        double g = 0.5 * (double)raw, c1 = 1 - pow(beta1, step), c2 = 1 - pow(beta2, step);
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        p -= lr * decay * p;
        p -= lr / c1 * m / (sqrt(v) / sqrt(c2) + 1e-8);
        t.adamw(&p32, &raw, &m32, &v32, 1, (float)lr, 0.9f, 0.999f, 1e-8f, (float)decay, (float)c1, (float)c2, 0.5f);
        compare(&worst, &p32, &p, 1);
        compare(&worst, &v32, &v, 1);
    }
    report("scalar", "adamw, 20 steps", worst, BOUND);
}

/* ---- edges ----------------------------------------------------------------------------------------------------------
 */

/* The GELUs over a wide range: values within 3e-7 of |x|, slopes (from −0.2 to 1.2) within 4e-6; far out, x or 0. */
static void gelu_level(const char *level, const struct cpu_kernels *t, enum activation f)
{
    double off = 0, slope_off = 0;
    float one = 1, y, slope;
    for (float x = -30; x < 30; x += 0.00137f) {
        t->gate(f, &y, &x, NULL, 1);
        t->gate_back(f, &slope, NULL, &one, &x, NULL, 1);
        double at = (double)x, want = (activation(f, at + STEP) - activation(f, at - STEP)) / (2 * STEP);
        off = fmax(off, fabs((double)y - activation(f, at)) / fmax(fabs(at), 1e-3));
        slope_off = fmax(slope_off, fabs((double)slope - want));
    }
    report(level, "gelu over -30 .. 30", off, 3e-7);
    report(level, "gelu's slope", slope_off, 4e-6);
    float extremes[] = {-1e30f, 1e30f, NAN, 0}, values[4], slopes[4], ones[4] = {1, 1, 1, 1};
    t->gate(f, values, extremes, NULL, 4);
    t->gate_back(f, slopes, NULL, ones, extremes, NULL, 4);
    assert_true(values[0] == 0 && values[1] == 1e30f && isnan(values[2]) && values[3] == 0);
    assert_true(slopes[0] == 0 && slopes[1] == 1 && isnan(slopes[2]) && fabsf(slopes[3] - 0.5f) < 1e-6f);
}

/* tanh: to 3e-7 of its value over the whole range; ±1 far out. */
static void soft_cap_level(const char *level, const struct cpu_kernels *t)
{
    double worst = 0;
    for (float x = -12; x < 12; x += 0.00071f) {
        float y = x;
        t->soft_cap(&y, 1, 1, 1);
        worst = fmax(worst, fabs((double)y - tanh((double)x)) / fmax(fabs(tanh((double)x)), 1e-30));
    }
    report(level, "soft_cap over -12 .. 12", worst, 3e-7);
    float far[] = {-1e30f, 1e30f, 0, NAN};
    t->soft_cap(far, 2, 30, 4);
    assert_true(far[0] == -30 && far[1] == 30 && far[2] == 0 && isnan(far[3]));
}

/* exp through silu: σ(g) = silu(g) / g over the whole range, ±∞ and NaN included; and through a softmax with −∞. */
static void edges_level(const char *level, const struct cpu_kernels *t)
{
    double worst = 0;
    float one = 1, y;
    for (float g = -86; g < 100; g += 0.0137f) {
        t->gate(ACTIVATION_SILU, &y, &g, &one, 1);
        double want = activation(ACTIVATION_SILU, (double)g);
        worst = fmax(worst, fabs((double)y - want) / fmax(fabs(want), 1e-30));
    }
    report(level, "silu over -86 .. 100", worst, 1e-6);
    float extremes[] = {-200, 200, INFINITY, NAN};
    float values[4], ones[4] = {1, 1, 1, 1};
    t->gate(ACTIVATION_SILU, values, extremes, ones, 4);
    assert_true(values[0] == 0 && values[1] == 200 && values[2] == INFINITY && isnan(values[3]));

    float z[19];
    for (size_t i = 0; i < 19; i++) z[i] = i % 2 ? -INFINITY : 3;
    assert_true(fabs((double)t->cross_entropy(z, 19, 4, 1) - log(10)) < 1e-6);
    for (size_t i = 0; i < 19; i++) assert_true(i % 2 ? z[i] == 0 : fabsf(z[i] - (i == 4 ? -0.9f : 0.1f)) < 1e-6f);
    z[7] = NAN;
    assert_true(isnan(t->cross_entropy(z, 19, 4, 0)));
}

static void test_edges(void **unused)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        struct cpu_kernels t;
        if (!open_level(&t, levels[l])) continue;
        entropy_level(levels[l].name, &t);
        edges_level(levels[l].name, &t);
        soft_cap_level(levels[l].name, &t);
        gelu_level(levels[l].name, &t, ACTIVATION_GELU);
        gelu_level(levels[l].name, &t, ACTIVATION_GELU_TANH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_norm),    cmocka_unit_test(test_gate),
                                       cmocka_unit_test(test_entropy), cmocka_unit_test(test_adamw),
                                       cmocka_unit_test(test_rope),    cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
