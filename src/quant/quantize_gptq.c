/* quantize_gptq.c — affine codes whose errors the columns after them make good, as far as the inputs are alike (Frantar
 * et al. 2022, arXiv 2210.17323): with H = Xᵀ X of the inputs and H⁻¹ = Uᵀ U, U upper,
 *
 *   e = (w_j − value of its code) / U_jj;    w_k −= e · U_jk, k > j
 *
 * Scale and minimum of a group are those of its numbers when its turn comes. */
#include "quant/pack.h"
#include "quant/parts.h"
#include "quant/planes.h"

#include <math.h>

/* ---- the factor ------------------------------------------------------------------------------------ */

FOR_EVERY_CPU static void add_scaled(float *y, const float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

/* The diagonal is raised by a part of its mean; columns that never had an input get it alone. */
static void damp(float *h, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)h[i * n + i];
    float raise = (float)(0.01 * sum / (double)n);
    for (size_t i = 0; i < n; i++) h[i * n + i] += raise > 0 ? raise : 1;
}

/* H = R Rᵀ, R upper: row j of what stays holds Rᵀ's, up to the diagonal. */
static bool factor(float *h, size_t n)
{
    for (size_t j = n; j-- > 0;) {
        float *row = h + j * n;
        if (!(row[j] > 0) || !isfinite(row[j])) return false;
        row[j] = sqrtf(row[j]);
        for (size_t i = 0; i < j; i++) row[i] /= row[j];
        for (size_t i = 0; i < j; i++) add_scaled(h + i * n, row, -row[i], i + 1);
    }
    return true;
}

/* The lower triangle becomes its inverse. */
static void invert(float *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float *row = l + i * n, diagonal = row[i];
        for (size_t k = 0; k < i; k++) { /* row k is inverse already; what stands at row[k] is taken out */
            float f = row[k];
            row[k] = 0;
            add_scaled(row, l + k * n, -f, k + 1);
        }
        for (size_t k = 0; k < i; k++) row[k] /= diagonal;
        row[i] = 1 / diagonal;
    }
}

bool hessian_factor(float *h, size_t n)
{
    damp(h, n);
    if (!factor(h, n)) return false;
    invert(h, n);
    for (size_t i = 0; i < n; i++) /* (Rᵀ)⁻¹ = Uᵀ */
        for (size_t k = 0; k < i; k++) {
            h[k * n + i] = h[i * n + k];
            h[i * n + k] = 0;
        }
    return true;
}

/* ---- codes ----------------------------------------------------------------------------------------- */

enum { ROWS = 128, GROUP_CAP = 128 };

/* Column j of all rows: its codes, and their errors spread over the columns after it. */
static void code_column(const struct quantization *q, float *x, size_t rows, size_t cols, size_t j, const float *u,
                        const struct quantized *out, uint8_t *codes)
{
    float top = (float)((1 << planes_bits(q->type)) - 1);
    size_t groups = cols / q->group, g = j / q->group, k = j % q->group;
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * cols, scale = scale_at(q->number, out->scales, r * groups + g),
              minimum = scale_at(q->number, out->mins, r * groups + g);
        float code = rintf((row[j] - minimum) / scale);
        code = code > 0 ? code < top ? code : top : 0; /* NaN: 0 */
        codes[r * q->group + k] = (uint8_t)code;
        float value = number_rounded(q->number, number_rounded(q->number, code * scale) + minimum);
        add_scaled(row + j + 1, u + j + 1, -(row[j] - value) / u[j], cols - j - 1);
    }
}

static void code_group(const struct quantization *q, float *x, size_t rows, size_t cols, size_t g, const float *u,
                       const struct quantized *out, uint8_t *codes)
{
    size_t bytes = scale_bytes(q->number), groups = cols / q->group, bits = (size_t)planes_bits(q->type),
           block = q->group * bits / 8;
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * groups + g;
        struct quantized one = {out->codes + at * block, out->scales + at * bytes, out->mins + at * bytes};
        quantize_affine(q, x + r * cols + g * q->group, q->group, &one);
    }
    for (size_t j = g * q->group; j < (g + 1) * q->group; j++)
        code_column(q, x, rows, cols, j, u + j * cols, out, codes);
    for (size_t r = 0; r < rows; r++)
        pack(out->codes + (r * groups + g) * block, codes + r * q->group, q->group, (int)bits);
}

void quantize_gptq(const struct quantization *q, float *x, size_t rows, size_t cols, const float *u,
                   const struct quantized *out)
{
    uint8_t codes[ROWS * GROUP_CAP];
    size_t bytes = scale_bytes(q->number), bits = (size_t)planes_bits(q->type);
    for (size_t first = 0; first < rows; first += ROWS) {
        size_t n = rows - first < ROWS ? rows - first : ROWS, at = first * cols, group = at / q->group;
        struct quantized part = {out->codes + at * bits / 8, out->scales + group * bytes, out->mins + group * bytes};
        for (size_t g = 0; g < cols / q->group; g++) code_group(q, x + at, n, cols, g, u, &part, codes);
    }
}
