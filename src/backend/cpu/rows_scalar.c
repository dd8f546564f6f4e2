/* rows_scalar.c — norms, rotary positions, activations, loss and AdamW in plain C: the specification of the row
 * kernels. Long sums are taken in double, one after the other. Owns no memory; every pointer may be unaligned to
 * more than a float. Refuses strided rows but in rope. */
#include "backend/cpu/families.h"

#include <math.h>

/* ---- norms ------------------------------------------------------------------------------------------------------ */

static double sum_squares(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* Zhang & Sennrich 2019 (arXiv 1910.07467). */
static void normalize(float *y, float *scale, const float *x, size_t rows, size_t width, float eps)
{
    for (size_t t = 0; t < rows; t++, x += width, y += width) {
        float r = (float)(1 / sqrt(sum_squares(x, width) / (double)width + (double)eps));
        for (size_t i = 0; i < width; i++) y[i] = x[i] * r;
        scale[t] = r;
    }
}

/* Ba et al. 2016 (arXiv 1607.06450): before `normalize`, and in the backward of dy before `normalize_back`, whose y has
 * no mean. */
static void center(float *y, const float *x, size_t width)
{
    double sum = 0;
    for (size_t i = 0; i < width; i++) sum += (double)x[i];
    float mean = (float)(sum / (double)width);
    for (size_t i = 0; i < width; i++) y[i] = x[i] - mean;
}

static void normalize_back(float *dx, const float *dy, const float *y, const float *scale, size_t rows, size_t width)
{
    for (size_t t = 0; t < rows; t++, dx += width, dy += width, y += width) {
        double sum = 0;
        for (size_t i = 0; i < width; i++) sum += (double)dy[i] * (double)y[i];
        float mean = (float)(sum / (double)width);
        for (size_t i = 0; i < width; i++) dx[i] += scale[t] * (dy[i] - y[i] * mean);
    }
}

/* ---- rotary positions -------------------------------------------------------------------------------------------- */

/* Su et al. 2021 (arXiv 2104.09864): the pair (a, b) times [[cos, −sin], [sin, cos]]. */
static void rotate(float *a, float *b, float c, float s)
{
    float x = *a, y = *b;
    *a = x * c - y * s;
    *b = x * s + y * c;
}

static void rope(float *x, size_t ld, const float *table, size_t rows, size_t heads, size_t head_dim, size_t rotary,
                 bool interleaved, bool inverse)
{
    size_t half = rotary / 2, first = interleaved ? 2 : 1, second = interleaved ? 1 : half;
    float sign = inverse ? -1.0f : 1.0f;
    for (size_t t = 0; t < rows; t++, x += ld, table += rotary)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < half; i++) {
                float *a = x + h * head_dim + first * i;
                rotate(a, a + second, table[2 * i], sign * table[2 * i + 1]);
            }
}

/* ---- elementwise ------------------------------------------------------------------------------------------------- */

/* A function's value at a point and its derivative there. */
struct curve {
    float value, slope;
};

/* x σ(z), z of x, dz = dz/dx */
static struct curve swish(float x, float z, float dz)
{
    float s = 1 / (1 + expf(-z)), value = x * s;
    return (struct curve){value, s + value * (1 - s) * dz};
}

static struct curve silu(float x)
{
    return swish(x, x, 1);
}

/* x (1 + tanh u) / 2 = x σ(2u); beyond ±20 it is x or 0, and x² must not become infinite. */
static struct curve gelu_tanh(float x)
{
    const float two_root = 1.5957691216f, cube = 0.044715f;
    float near = x > 20 ? 20 : x < -20 ? -20 : x, square = near * near;
    return swish(x, two_root * near * (1 + cube * square), two_root * (1 + 3 * cube * square));
}

static struct curve gelu(float x)
{
    float below = erfcf(x * -0.70710678119f) / 2; /* Φ(x) */
    return (struct curve){x * below, below + x * 0.3989422804f * expf(-x * x / 2)};
}

static struct curve (*const curves[ACTIVATIONS])(float x) = {
    [ACTIVATION_SILU] = silu, [ACTIVATION_GELU] = gelu, [ACTIVATION_GELU_TANH] = gelu_tanh};

static void gate(enum activation f, float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = curves[f](gate[i]).value * (up ? up[i] : 1);
}

static void gate_back(enum activation f, float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float d = dy[i];
        struct curve at = curves[f](gate[i]);
        dgate[i] = d * (up ? up[i] : 1) * at.slope;
        if (up) dup[i] = d * at.value;
    }
}

static void multiply(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

static void from_bf16(float *y, const uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = bf16_to_float(x[i]);
}

static void axpy(float *y, const float *x, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += scale * x[i];
}

static void soft_cap(float *z, float scale, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++) z[i] = cap == 0 ? scale * z[i] : cap * tanhf(scale / cap * z[i]);
}

static void soft_cap_back(float *dz, const float *z, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float part = z[i] / cap;
        dz[i] *= 1 - part * part;
    }
}

/* ---- loss -------------------------------------------------------------------------------------------------------- */

/* With rest = Σ exp(z − max) over all but the target and e = exp(z[target] − max):
 * loss = max − z[target] + log(rest + e), and the target's gradient is −rest / (rest + e). No step cancels,
 * so that a loss near zero keeps its digits: where the target is the maximum, e − 1 is exactly 0. */
static float cross_entropy(float *z, size_t n, size_t target, float weight)
{
    float max = z[0];
    for (size_t i = 1; i < n; i++) max = z[i] > max ? z[i] : max;

    double rest = 0, e = exp((double)z[target] - (double)max);
    for (size_t i = 0; i < n; i++)
        if (i != target) rest += (double)expf(z[i] - max);
    double loss = (double)max - (double)z[target] + log1p(rest + (e - 1));
    if (weight == 0) return (float)loss;

    double scale = (double)weight / (rest + e);
    for (size_t i = 0; i < n; i++) z[i] = (float)((double)expf(z[i] - max) * scale);
    z[target] = (float)(-rest * scale);
    return (float)loss;
}

/* ---- optimiser --------------------------------------------------------------------------------------------------- */

static void adamw(float *p, const float *g, float *m, float *v, size_t n, float lr, float beta1, float beta2, float eps,
                  float decay, float c1, float c2, float grad_scale)
{
    float step = lr / c1, root = sqrtf(c2), keep = 1 - lr * decay;
    for (size_t i = 0; i < n; i++) {
        float grad = g[i] * grad_scale;
        m[i] = beta1 * m[i] + (1 - beta1) * grad;
        v[i] = beta2 * v[i] + (1 - beta2) * grad * grad;
        p[i] = keep * p[i] - step * m[i] / (sqrtf(v[i]) / root + eps);
    }
}

void rows_scalar(struct cpu_kernels *t)
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
