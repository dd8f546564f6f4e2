/* rows_template.h — the row kernels over a vector header: rows_scalar.c says what they compute.
 *
 * Included once by each rows_ISA.c, after its vector header. Most kernels are a function on n <= LANES elements, which
 * a loop calls with the constant LANES and once with the rest. A row's result depends on that row alone. */
#include "backend/cpu/families.h"
#include "backend/cpu/vector_math.h"

#include <math.h>

/* ---- norms ------------------------------------------------------------------------------------------------------ */

static double sum_squares(const float *x, size_t n)
{
    struct vec_double sum = vec_double_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) sum = vec_double_add_square(sum, vec_load(x + i));
    if (i < n) sum = vec_double_add_square(sum, vec_load_first(x + i, n - i));
    return vec_double_sum(sum);
}

static void normalize(float *y, float *scale, const float *x, size_t rows, size_t width, float eps)
{
    for (size_t t = 0; t < rows; t++, x += width, y += width) {
        float r = (float)(1 / sqrt(sum_squares(x, width) / (double)width + (double)eps));
        size_t i = 0;
        for (; i + LANES <= width; i += LANES) vec_store(y + i, vec_mul(vec_load(x + i), vec_set(r)));
        for (; i < width; i++) y[i] = x[i] * r;
        scale[t] = r;
    }
}

static void center(float *y, const float *x, size_t width)
{
    struct vec_double sum = vec_double_zero();
    size_t i = 0;
    for (; i + LANES <= width; i += LANES) sum = vec_double_add(sum, vec_load(x + i));
    if (i < width) sum = vec_double_add(sum, vec_load_first(x + i, width - i));
    float mean = (float)(vec_double_sum(sum) / (double)width);
    for (i = 0; i + LANES <= width; i += LANES) vec_store(y + i, vec_sub(vec_load(x + i), vec_set(mean)));
    for (; i < width; i++) y[i] = x[i] - mean;
}

static inline void normalize_back_at(float *dx, const float *dy, const float *y, vec r, vec mean, size_t n)
{
    vec change = vec_fnma(vec_load_first(y, n), mean, vec_load_first(dy, n));
    vec_store_first(dx, vec_fma(r, change, vec_load_first(dx, n)), n);
}

static void normalize_back(float *dx, const float *dy, const float *y, const float *scale, size_t rows, size_t width)
{
    for (size_t t = 0; t < rows; t++, dx += width, dy += width, y += width) {
        vec sum = vec_set(0);
        size_t i = 0;
        for (; i + LANES <= width; i += LANES) sum = vec_fma(vec_load(dy + i), vec_load(y + i), sum);
        if (i < width) sum = vec_fma(vec_load_first(dy + i, width - i), vec_load_first(y + i, width - i), sum);

        vec r = vec_set(scale[t]), mean = vec_set(vec_sum(sum) / (float)width);
        for (i = 0; i + LANES <= width; i += LANES) normalize_back_at(dx + i, dy + i, y + i, r, mean, LANES);
        if (i < width) normalize_back_at(dx + i, dy + i, y + i, r, mean, width - i);
    }
}

/* ---- rotary positions -------------------------------------------------------------------------------------------- */

/* Pairs (a[i], b[i]), i < n; table: {cos, sin} each; sign −1 rotates back. */
static void rotate_halves(float *a, float *b, const float *table, size_t n, float sign)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec c, s, x = vec_load(a + i), y = vec_load(b + i);
        vec_unzip(vec_load(table + 2 * i), vec_load(table + 2 * i + LANES), &c, &s);
        s = vec_mul(s, vec_set(sign));
        vec_store(a + i, vec_fnma(y, s, vec_mul(x, c)));
        vec_store(b + i, vec_fma(x, s, vec_mul(y, c)));
    }
    for (; i < n; i++) {
        float c = table[2 * i], s = sign * table[2 * i + 1], x = a[i], y = b[i];
        a[i] = x * c - y * s;
        b[i] = x * s + y * c;
    }
}

/* Pairs (x[2i], x[2i + 1]) in n floats: each times its cos, its partner times ∓ its sin. */
static inline void rotate_pairs_at(float *x, const float *table, vec signs, size_t n)
{
    vec pair = vec_load_first(x, n), angle = vec_load_first(table, n);
    vec crossed = vec_mul(vec_swap_pairs(pair), vec_mul(vec_odd_twice(angle), signs));
    vec_store_first(x, vec_fma(pair, vec_even_twice(angle), crossed), n);
}

static void rotate_pairs(float *x, const float *table, size_t n, float sign)
{
    vec signs = vec_alternate(-sign, sign);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) rotate_pairs_at(x + i, table + i, signs, LANES);
    if (i < n) rotate_pairs_at(x + i, table + i, signs, n - i);
}

static void rope(float *x, size_t ld, const float *table, size_t rows, size_t heads, size_t head_dim, size_t rotary,
                 bool interleaved, bool inverse)
{
    float sign = inverse ? -1.0f : 1.0f;
    for (size_t t = 0; t < rows; t++, x += ld, table += rotary)
        for (size_t h = 0; h < heads; h++) {
            float *head = x + h * head_dim;
            if (interleaved)
                rotate_pairs(head, table, rotary, sign);
            else
                rotate_halves(head, head + rotary / 2, table, rotary / 2, sign);
        }
}

/* ---- elementwise ------------------------------------------------------------------------------------------------- */

/* x σ(z), z of x, dz = dz/dx; *slope: its derivative. */
static inline vec swish(vec x, vec z, vec dz, vec *slope)
{
    vec s = vec_sigmoid(z), value = vec_mul(x, s);
    *slope = vec_fma(vec_mul(value, dz), vec_sub(vec_set(1), s), s);
    return value;
}

static inline vec vec_near(vec x) /* beyond ±20 the functions are x or 0 */
{
    return vec_min(vec_set(20), vec_max(vec_set(-20), x));
}

static inline vec gelu_tanh(vec x, vec *slope)
{
    const float two_root = 1.5957691216f, cube = 0.044715f;
    vec near = vec_near(x), square = vec_mul(near, near);
    vec z = vec_mul(near, vec_fma(vec_set(two_root * cube), square, vec_set(two_root)));
    return swish(x, z, vec_fma(vec_set(3 * two_root * cube), square, vec_set(two_root)), slope);
}

/* With tail = Φ(−|x|): x Φ(x) = max(x, 0) − |x| tail. */
static inline vec gelu(vec x, vec *slope)
{
    vec near = vec_near(x), size = vec_max(vec_sub(vec_set(0), near), near);
    vec density = vec_exp(vec_mul(vec_mul(near, near), vec_set(-0.5f))), tail = vec_normal_tail(size, density);
    vec below = vec_select(vec_negative(near), tail, vec_sub(vec_set(1), tail));
    *slope = vec_fma(vec_mul(near, vec_set(0.3989422804f)), density, below);
    return vec_fnma(size, tail, vec_max(vec_set(0), x));
}

static inline __attribute__((always_inline)) vec activate(enum activation f, vec x, vec *slope)
{
    if (f == ACTIVATION_GELU) return gelu(x, slope);
    return f == ACTIVATION_GELU_TANH ? gelu_tanh(x, slope) : swish(x, x, vec_set(1), slope);
}

static inline __attribute__((always_inline)) void gate_at(enum activation f, float *y, const float *gate,
                                                          const float *up, size_t n)
{
    vec slope, value = activate(f, vec_load_first(gate, n), &slope);
    vec_store_first(y, up ? vec_mul(value, vec_load_first(up, n)) : value, n);
}

static void gate(enum activation f, float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) gate_at(f, y + i, gate + i, up ? up + i : NULL, LANES);
    if (i < n) gate_at(f, y + i, gate + i, up ? up + i : NULL, n - i);
}

static inline __attribute__((always_inline)) void
gate_back_at(enum activation f, float *dgate, float *dup, const float *dy, const float *gate, const float *up, size_t n)
{
    vec slope, d = vec_load_first(dy, n), value = activate(f, vec_load_first(gate, n), &slope);
    vec factor = up ? vec_mul(d, vec_load_first(up, n)) : d;
    vec_store_first(dgate, vec_mul(factor, slope), n);
    if (up) vec_store_first(dup, vec_mul(d, value), n);
}

static void gate_back(enum activation f, float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                      size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        gate_back_at(f, dgate + i, up ? dup + i : NULL, dy + i, gate + i, up ? up + i : NULL, LANES);
    if (i < n) gate_back_at(f, dgate + i, up ? dup + i : NULL, dy + i, gate + i, up ? up + i : NULL, n - i);
}

static void multiply(float *y, const float *a, const float *b, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_mul(vec_load(a + i), vec_load(b + i)));
    for (; i < n; i++) y[i] = a[i] * b[i];
}

static void from_bf16(float *y, const uint16_t *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_load_bf16(x + i));
    for (; i < n; i++) y[i] = bf16_to_float(x[i]);
}

static void axpy(float *y, const float *x, float scale, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_fma(vec_set(scale), vec_load(x + i), vec_load(y + i)));
    for (; i < n; i++) y[i] = fmaf(scale, x[i], y[i]);
}

static void scale_by(float *z, size_t n, float scale)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(z + i, vec_mul(vec_load(z + i), vec_set(scale)));
    for (; i < n; i++) z[i] *= scale;
}

static void soft_cap(float *z, float scale, float cap, size_t n)
{
    if (cap == 0) {
        scale_by(z, n, scale);
        return;
    }
    vec inner = vec_set(scale / cap), outer = vec_set(cap);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(z + i, vec_mul(outer, vec_tanh(vec_mul(inner, vec_load(z + i)))));
    if (i < n) vec_store_first(z + i, vec_mul(outer, vec_tanh(vec_mul(inner, vec_load_first(z + i, n - i)))), n - i);
}

static inline void soft_cap_back_at(float *dz, const float *z, vec cap, size_t n)
{
    vec part = vec_div(vec_load_first(z, n), cap);
    vec_store_first(dz, vec_mul(vec_load_first(dz, n), vec_fnma(part, part, vec_set(1))), n);
}

static void soft_cap_back(float *dz, const float *z, float cap, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) soft_cap_back_at(dz + i, z + i, vec_set(cap), LANES);
    if (i < n) soft_cap_back_at(dz + i, z + i, vec_set(cap), n - i);
}

/* ---- loss -------------------------------------------------------------------------------------------------------- */

static float maximum(const float *z, size_t n)
{
    vec top = vec_set(-INFINITY);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) top = vec_max(top, vec_load(z + i));
    float max = vec_top(top);
    for (; i < n; i++) max = z[i] > max ? z[i] : max;
    return max;
}

/* The sum of exp(z − max) in double; keep: the terms replace z. */
static inline __attribute__((always_inline)) double sum_exp(float *z, size_t n, float max, bool keep)
{
    struct vec_double sum = vec_double_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec e = vec_exp(vec_sub(vec_load(z + i), vec_set(max)));
        if (keep) vec_store(z + i, e);
        sum = vec_double_add(sum, e);
    }
    if (i < n) {
        vec_mask rest = vec_first(n - i);
        vec e = vec_select(rest, vec_exp(vec_sub(vec_load_mask(z + i, rest), vec_set(max))), vec_set(0));
        if (keep) vec_store_mask(z + i, e, rest);
        sum = vec_double_add(sum, e);
    }
    return vec_double_sum(sum);
}

/* The target is left out of the sum by −∞ in its place, for the reason that rows_scalar.c gives. */
static float cross_entropy(float *z, size_t n, size_t target, float weight)
{
    float max = maximum(z, n), logit = z[target];
    z[target] = -INFINITY;
    double rest = weight == 0 ? sum_exp(z, n, max, false) : sum_exp(z, n, max, true);
    double e = exp((double)logit - (double)max), scale = (double)weight / (rest + e);
    if (weight != 0) scale_by(z, n, (float)scale);
    z[target] = weight == 0 ? logit : (float)(-rest * scale);
    return (float)((double)max - (double)logit + log1p(rest + (e - 1)));
}

/* ---- optimiser --------------------------------------------------------------------------------------------------- */

struct adamw {
    float beta1, beta2, eps, grad_scale;
    float step, root, keep; /* lr / c1, sqrt(c2), 1 − lr · decay */
};

static inline void adamw_at(float *p, const float *g, float *m, float *v, struct adamw o, size_t n)
{
    vec grad = vec_mul(vec_load_first(g, n), vec_set(o.grad_scale)), fresh = vec_mul(vec_set(1 - o.beta1), grad);
    vec first = vec_fma(vec_set(o.beta1), vec_load_first(m, n), fresh);
    vec square = vec_mul(vec_mul(vec_set(1 - o.beta2), grad), grad);
    vec second = vec_fma(vec_set(o.beta2), vec_load_first(v, n), square);
    vec below = vec_add(vec_div(vec_sqrt(second), vec_set(o.root)), vec_set(o.eps));
    vec change = vec_div(vec_mul(vec_set(o.step), first), below);
    vec_store_first(m, first, n);
    vec_store_first(v, second, n);
    vec_store_first(p, vec_sub(vec_mul(vec_set(o.keep), vec_load_first(p, n)), change), n);
}

static void adamw(float *p, const float *g, float *m, float *v, size_t n, float lr, float beta1, float beta2, float eps,
                  float decay, float c1, float c2, float grad_scale)
{
    struct adamw o = {beta1, beta2, eps, grad_scale, lr / c1, sqrtf(c2), 1 - lr * decay};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) adamw_at(p + i, g + i, m + i, v + i, o, LANES);
    if (i < n) adamw_at(p + i, g + i, m + i, v + i, o, n - i);
}

static void fill_rows(struct cpu_kernels *t)
{
    t->normalize = normalize;
    t->center = center;
    t->normalize_back = normalize_back;
    t->from_bf16 = from_bf16;
    t->rope = rope;
    t->gate = gate;
    t->gate_back = gate_back;
    t->multiply = multiply;
    t->axpy = axpy;
    t->soft_cap = soft_cap;
    t->soft_cap_back = soft_cap_back;
    t->cross_entropy = cross_entropy;
    t->sum_squares = sum_squares;
    t->adamw = adamw;
}
