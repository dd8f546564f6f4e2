/* vector_math.h — what the kernels' templates add to a vector header, which is included before this one. */
#ifndef CPU_VECTOR_MATH_H
#define CPU_VECTOR_MATH_H

/* The first n <= LANES floats at p; a whole vector costs no mask where n is known when compiling. */
static inline vec vec_load_first(const float *p, size_t n)
{
    return n == LANES ? vec_load(p) : vec_load_mask(p, vec_first(n));
}
static inline void vec_store_first(float *p, vec x, size_t n)
{
    if (n == LANES)
        vec_store(p, x);
    else
        vec_store_mask(p, x, vec_first(n));
}

/* exp to 2 ulp; −∞ gives 0, what is too large ∞, NaN itself. x = n log 2 + r, |r| <= log 2 / 2, log 2 in two floats;
 * exp r = 1 + r + r² q(r), q of degree 4 by Lawson's iteration for the relative error: 3.6e-9 with these floats. */
static inline vec vec_exp(vec x)
{
    x = vec_min(vec_set(89.0f), vec_max(vec_set(-104.0f), x)); /* beyond both the result is the same */
    vec n = vec_round(vec_mul(x, vec_set(0x1.715476p+0f)));
    vec r = vec_fnma(n, vec_set(-0x1.05c610p-29f), vec_fnma(n, vec_set(0x1.62e430p-1f), x));
    vec q = vec_set(0x1.6a23d0p-10f);
    q = vec_fma(q, r, vec_set(0x1.123a20p-7f));
    q = vec_fma(q, r, vec_set(0x1.5558f2p-5f));
    q = vec_fma(q, r, vec_set(0x1.555492p-3f));
    q = vec_fma(q, r, vec_set(0x1.fffffcp-2f));
    return vec_scale2(vec_add(vec_fma(q, vec_mul(r, r), r), vec_set(1)), n);
}

/* The standard normal's Φ(−x), x >= 0, to 2e-7, with density = exp(−x²/2): Φ(−x) / density = t q(t), t = 1 / (1 + 0.35
 * x), q by Lawson's iteration for the relative error over 0 .. 14: 3.2e-8 with these floats. */
static inline vec vec_normal_tail(vec x, vec density)
{
    vec t = vec_div(vec_set(1), vec_fma(vec_set(0.35f), x, vec_set(1)));
    vec q = vec_set(-0x1.dd84c6p-6f);
    q = vec_fma(q, t, vec_set(0x1.26d972p-3f));
    q = vec_fma(q, t, vec_set(-0x1.05d8d6p-2f));
    q = vec_fma(q, t, vec_set(0x1.45fac2p-3f));
    q = vec_fma(q, t, vec_set(-0x1.7a95e6p-6f));
    q = vec_fma(q, t, vec_set(0x1.b02808p-4f));
    q = vec_fma(q, t, vec_set(0x1.ead620p-4f));
    q = vec_fma(q, t, vec_set(0x1.1e6fe2p-3f));
    q = vec_fma(q, t, vec_set(0x1.1df1d4p-3f));
    return vec_mul(density, vec_mul(t, q));
}

static inline vec vec_sigmoid(vec x)
{
    return vec_div(vec_set(1), vec_add(vec_set(1), vec_exp(vec_sub(vec_set(0), x))));
}

/* tanh to 2e-7; near 0, where 1 − 2 / (exp 2x + 1) would cancel, x + x³ q(x²), q by Lawson's iteration for the relative
 * error over 0 .. 0.625: 4.5e-9 with these floats. */
static inline vec vec_tanh(vec x)
{
    vec far = vec_sub(vec_set(1), vec_div(vec_set(2), vec_add(vec_exp(vec_add(x, x)), vec_set(1))));
    vec square = vec_mul(x, x), q = vec_set(-0x1.750ce4p-8f);
    q = vec_fma(q, square, vec_set(0x1.51f8cep-6f));
    q = vec_fma(q, square, vec_set(-0x1.b835a4p-5f));
    q = vec_fma(q, square, vec_set(0x1.1106f6p-3f));
    q = vec_fma(q, square, vec_set(-0x1.555532p-2f));
    vec near = vec_fma(vec_mul(q, square), x, x), inside = vec_sub(square, vec_set(0.625f * 0.625f));
    return vec_select(vec_negative(inside), near, far);
}

#endif
