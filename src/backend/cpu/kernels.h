/* kernels.h — the CPU's table of single-threaded kernels on plain pointers.
 *
 * The scalar table is the specification; AVX2, AVX-512, AVX-512 BF16 and AMX overlay it once, at start, by what the CPU
 * has: cpu_kernels_scalar(t), then cpu_kernels_avx2(t) ... each replaces the entries that it does better. One source
 * file per kernel family and instruction set. This header and the kernel files include nothing of lorac but
 * quant/format.h and backend/activation.h, so that their tests cross-compile. Thread rule: every kernel is pure;
 * scratch comes from the caller.
 *
 * Conventions: row-major; ld* = distance of rows in elements; "panel" = a block of a weight matrix unpacked for a tile.
 */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include "backend/activation.h"
#include "quant/format.h"

/* Activations in int8: per 32 values a scale and the sum of the quantised values times the scale.
 * q = round-to-nearest-even(x / d), d = max|x| / 127 (0 if that is no normal float; q in -127..127); sum = d · Σ q.
 * With an infinity or NaN in the block d is not finite, q is 0, and every product becomes NaN. */
struct cpu_q8 {
    int8_t *q;  /* (cols), 64-byte aligned */
    float *d;   /* (cols / 32) */
    float *sum; /* (cols / 32) */
};

/* The same for many rows: row m has q + m·ldq, d and sum + m·ldd, halves + 2·m·ldd. */
struct cpu_q8_rows {
    int8_t *q;       /* (rows, cols): 64-byte aligned, ldq a multiple of 64 */
    float *d, *sum;  /* (rows, cols / 32) */
    int16_t *halves; /* (rows, cols / 32, 2): Σ q of the first and of the last 16 values of a block; 4-byte aligned */
    size_t ldq, ldd;
};
/* The part of x from row `row` and column `col` (a multiple of 32) on. */
static inline struct cpu_q8_rows cpu_q8_rows_at(struct cpu_q8_rows x, size_t row, size_t col)
{
    size_t block = row * x.ldd + col / 32;
    return (struct cpu_q8_rows){x.q + row * x.ldq + col, x.d + block, x.sum + block,
                                x.halves + 2 * block,    x.ldq,       x.ldd};
}

/* Rows of int8 activations that gemv_q8_rows takes at once, and the scratch for them: 17 bytes a value and 128. */
enum { CPU_SEVERAL = 8 };
static inline size_t cpu_several_bytes(size_t cols)
{
    return (cols + 127) / 128 * (CPU_SEVERAL * 256 + CPU_SEVERAL / 4 * 64);
}

/* One attention problem: `group` query heads that share a KV head, `rows` consecutive queries of one sequence.
 * Query i stands at position position + i and sees keys 0 .. position + i, or the last `window` of these. Keys are
 * taken in blocks of CPU_KEY_BLOCK from key 0, with a running maximum and sum (Milakov & Gimelshein 2018; Dao et al.
 * 2022); each CPU_KEY_CHUNK of keys begins anew, and the chunks' sums are merged in order. So a row's result depends
 * neither on how many rows are computed together nor on whether its chunks were tasks of their own. */
enum { CPU_KEY_BLOCK = 64, CPU_KEY_CHUNK = 1024 };
struct cpu_attention {
    const void *q; /* (rows, group, head_dim): row stride ldq, heads head_dim apart */
    void *out;     /* (rows, group, head_dim): row stride ldo */
    float *lse;    /* (rows, group): row stride ldlse: log Σ exp(scale · q·k); NULL: not wanted */
    size_t ldq, ldo, ldlse;
    enum number number;         /* of q, out, dout, dq, dk, dv */
    const void *const *k_pages; /* page p holds keys p·page_tokens ...: (page_tokens, head_dim) as `kv` stores them */
    const void *const *v_pages; /* likewise; page_tokens is a multiple of CPU_KEY_BLOCK, or there is one page */
    enum kv_type kv;
    size_t page_tokens, kv_row; /* bytes from token to token */
    size_t rows, group, head_dim, position;
    size_t window; /* query i sees the last `window` of its keys alone; 0: all */
    float scale;
    float softcap;  /* s = softcap · tanh(scale · q·k / softcap); 0: scale · q·k */
    float *scratch; /* that many floats as the kernels' function says */
    float *parts; /* NULL, or the results of chunks of keys: (rows, group, head_dim + 2): Σ exp(s − max) v, max, Σ exp(s
                     − max). forward then writes the first in place of out and lse, for the chunk at key_begin */
    /* backward only: */
    const void *dout;          /* like out, row stride ldo */
    void *dq;                  /* like q: written; NULL in `back`: not wanted */
    void *dk, *dv;             /* (tokens, head_dim), row stride ldk: written, summed over the group */
    size_t ldk;                /* elements */
    size_t key_begin, key_end; /* the keys whose dk, dv are wanted; none in `back` if they are equal */
};
struct cpu_attention_kernels {
    size_t (*scratch)(size_t group, size_t head_dim, size_t keys); /* floats; keys: of which dk, dv are wanted */
    void (*forward)(const struct cpu_attention *a);                /* out, lse */
    /* The sums of `count` chunks are merged into the first; last: they become out and lse. */
    void (*merge)(const struct cpu_attention *a, size_t count, bool last);
    void (*back_q)(const struct cpu_attention *a);  /* dq, from q, k, v, out, lse, dout */
    void (*back_kv)(const struct cpu_attention *a); /* dk, dv of keys key_begin .. key_end; rows: the whole sequence,
                                                       position 0 */
    void (*back)(const struct cpu_attention *a);    /* both at once; NULL: there is none */
};

/* An operand of strip_bf16: x (rows, depth) times panels of depth × tile_cols, one after the other; depth is a multiple
 * of CPU_STRIP_DEPTH. */
enum { CPU_STRIP_DEPTH = 32, CPU_STRIP_ROWS = 32 };
struct cpu_strip {
    const uint16_t *x, *panels;
    size_t ldx, depth;
};

struct cpu_kernels {
    const char *isa; /* "scalar", "avx2", "avx512", "avx512bf16", "amx" */

    /* ---- matrix products: y[m][n] (+)= scale · Σ_d x[m][d] · panel[d][n], n < cols <= tile_cols -------------- */
    size_t tile_cols; /* columns of a panel: a multiple of 8, at most 64; the same for f32 and bf16; 32 divides it or it
                         divides 32 */
    /* pack: W[row .. row+rows)[col .. col+cols) with depth along cols (for y = x Wᵀ): panel[d][n] = W[row + n][col +
     * d], n < rows <= tile_cols. pack_t: the same block with depth along rows (for dx = dy W): panel[d][n] = W[row +
     * d][col + n], n < cols <= tile_cols. Missing columns up to tile_cols are zero. col is a multiple of min(32,
     * tile_cols); in pack `cols` is a multiple of the format's block, or runs to the end of the row. */
    void (*pack_f32)(float *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols);
    void (*pack_f32_t)(float *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols);
    /* x (rows, depth), y (rows, cols). accumulate: y += ..., else y = .... Each y is one chain over d in order (lanes
     * only over n and m), so its bits depend on neither rows nor on the place of its column. */
    void (*tile_f32)(float *y, size_t ldy, const float *x, size_t ldx, const float *panel, size_t depth, size_t rows,
                     size_t cols, float scale, bool accumulate);
    /* The same in bf16 (NULL where the ISA has no bf16 product): panel pairs d: panel[d/2][n][d%2], an odd depth padded
     * with 0; x is (rows, depth padded to even), ldx in elements (even). */
    void (*pack_bf16)(uint16_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols);
    void (*pack_bf16_t)(uint16_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col,
                        size_t cols);
    /* pack_bf16 of one format without kernels of its own, for matrices in blocks (planes.h), col and cols multiples of
     * 32, with the bits of its f32 values rounded; NULL: there is none. */
    void (*pack_bf16_of[QUANT_TYPES])(uint16_t *panel, const struct quant_matrix *w, size_t row, size_t rows,
                                      size_t col, size_t cols);
    void (*tile_bf16)(float *y, size_t ldy, const uint16_t *x, size_t ldx, const uint16_t *panel, size_t depth,
                      size_t rows, size_t cols, float scale, bool accumulate);
    /* y (rows, cols) = Σ over the operands, in order; rows <= CPU_STRIP_ROWS. y's columns up to a multiple of tile_cols
     * are written. NULL where tile_bf16 on one operand after the other does as well. */
    void (*strip_bf16)(float *y, size_t ldy, const struct cpu_strip *operands, size_t count, size_t rows, size_t cols);
    /* Round to nearest even; subnormal ones may become 0; y may begin where x does. */
    void (*to_bf16)(uint16_t *y, const float *x, size_t n);
    void (*from_bf16)(float *y, const uint16_t *x, size_t n);

    /* ---- quantised weights, int8 activations: y[m][n] (+)= scale · Σ_d x[m][d] · W[n][d] --------------------
     * A weight is d · (code − zero) + min with an unsigned code of 8 bits; d and min belong to a block of 32 weights of
     * a row, zero to the format: Q4_0 8, Q8_0 128 (the code is the byte's plus 128), Q6_K 32, the others 0. Min have
     * Q4_1, Q4_K and Q5_K (d = d·s, min = −dmin·m of the block). The codes of a block meet the activations' q in
     * integers, exactly:
     *     y[m][n] (+)= scale · Σ_b (x.d · d · (Σ_i code · q − zero · Σ_i q) + x.sum · min)
     * In Q6_K each half of a block has a d = d·s and such a sum of its own. Q2_K's codes in a panel are s · code, and
     * each half has a minimum.
     * One record of q8_record bytes for each 32 of depth, 64-byte aligned when the panel is, that holds
     *     u8 codes[32 / 4][tile_cols][4];      code of depth 4j + i and column n at [j][n][i]
     *     f32 d[tile_cols], second[tile_cols]; second: min where the format has it, in Q6_K d of the last 16 weights,
     *     in Q2_K −dmin, which 4 bytes more, the i16 m of both halves, are multiplied with
     * so that the panel of `depth` takes depth / 32 · q8_record bytes. Weights are exact: nothing is quantised again.
     */
    size_t q8_record; /* 40 · tile_cols; 0: this instruction set offers none of the following three */
    void (*quantize_q8_rows)(struct cpu_q8_rows x8, const float *x, size_t ldx, size_t rows, size_t cols);
    /* The panel of W[row .. row + rows)[col .. col + cols), rows <= tile_cols, as pack_f32: missing columns up to
     * tile_cols are zero; col and cols are multiples of the format's block. NULL: use another product for this format.
     */
    void (*pack_q8[QUANT_TYPES])(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col,
                                 size_t cols);
    /* x (rows, depth), from cpu_q8_rows_at for another than the first depth: depth is a multiple of 32. cols <=
     * tile_cols. A y's bits depend on neither rows nor cols, but on how the caller cuts depth. An infinity or NaN among
     * the 32 activations of a block makes the row NaN. NULL where pack_q8 is. */
    void (*tile_q8[QUANT_TYPES])(float *y, size_t ldy, struct cpu_q8_rows x, const uint8_t *panel, size_t depth,
                                 size_t rows, size_t cols, float scale, bool accumulate);
    /* From so many rows on, a panel that is packed for them alone beats gemv_q8 and gemv_q8_rows (measured, with depth
     * cut in parts of 256, so that a part's panel stays in the first-level cache). */
    uint8_t q8_panel_rows[QUANT_TYPES];

    /* ---- one activation row: y[i] = W[row + i] · x, i < rows ------------------------------------------------ */
    void (*quantize_q8)(struct cpu_q8 x8, const float *x, size_t cols); /* cols: a multiple of 32 */
    /* Quantised formats with int8 activations (NULL for the others). */
    void (*gemv_q8[QUANT_TYPES])(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x);
    /* y[m·ldy + i] = W[row + i] · x[m], m < count, with the bits of gemv_q8; the weights are unpacked once for up to
     * CPU_SEVERAL rows of x. x.halves is not used; scratch: cpu_several_bytes, 64-byte aligned. NULL: call gemv_q8 for
     * each row of x. */
    void (*gemv_q8_rows[QUANT_TYPES])(float *y, size_t ldy, const struct quant_matrix *w, size_t row, size_t rows,
                                      struct cpu_q8_rows x, size_t count, void *scratch);
    /* Unquantised formats, FP8 and mxfp8 in whole blocks (NULL for the others): f32 products, sums in explicit lanes.
     */
    void (*gemv_f32[QUANT_TYPES])(float *y, const struct quant_matrix *w, size_t row, size_t rows, const float *x);

    /* dw[n][k] += scale · Σ_m dy[m][n] · x[m][k], n < n_count, k < k_count, m in order, in fixed chunks of rows. */
    void (*outer)(float *dw, size_t lddw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t rows,
                  size_t n_count, size_t k_count, float scale);

    /* ---- rows ---------------------------------------------------------------------------------------------- */
    void (*dequantize)(float *y, const struct quant_matrix *w, size_t row); /* one whole row */
    /* quant_dequantize for formats without kernels of their own; NULL: that itself. */
    void (*unpack[QUANT_TYPES])(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n);
    /* y = x · r, r = 1 / sqrt(mean(x²) + eps), which goes to scale[row]. y may be x. */
    void (*normalize)(float *y, float *scale, const float *x, size_t rows, size_t width, float eps);
    /* y = x − mean(x), the mean in double. y may be x. */
    void (*center)(float *y, const float *x, size_t width);
    /* dx += r (dy − y mean(dy ∘ y)) */
    void (*normalize_back)(float *dx, const float *dy, const float *y, const float *scale, size_t rows, size_t width);
    /* Rotates the pairs of each of `heads` heads in place by the row's angles: table (rows, rotary/2, {cos, sin}).
     * Pairs are (i, i + rotary/2) or, interleaved, (2i, 2i + 1); inverse rotates back. x: row stride ld, heads head_dim
     * apart. */
    void (*rope)(float *x, size_t ld, const float *table, size_t rows, size_t heads, size_t head_dim, size_t rotary,
                 bool interleaved, bool inverse);
    /* y = f(gate) · up, or with up NULL f(gate); back: dgate and dup (NULL without up) are written, either may be dy */
    void (*gate)(enum activation f, float *y, const float *gate, const float *up, size_t n);
    void (*gate_back)(enum activation f, float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                      size_t n);
    void (*multiply)(float *y, const float *a, const float *b, size_t n); /* y = a ∘ b; y may be either */
    void (*axpy)(float *y, const float *x, float scale, size_t n);        /* y += scale · x */
    /* z = cap · tanh(scale · z / cap), or with cap 0 scale · z. */
    void (*soft_cap)(float *z, float scale, float cap, size_t n);
    void (*soft_cap_back)(float *dz, const float *z, float cap, size_t n); /* dz *= 1 − (z / cap)² */
    /* One row: returns −log softmax(z)[target]; with weight ≠ 0 z becomes weight · (softmax(z) − onehot(target)). */
    float (*cross_entropy)(float *z, size_t n, size_t target, float weight);
    double (*sum_squares)(const float *x, size_t n); /* in double */
    /* AdamW (Loshchilov & Hutter 2019), g read as g · grad_scale; c1, c2: the bias corrections 1 − βᵗ. */
    void (*adamw)(float *p, const float *g, float *m, float *v, size_t n, float lr, float beta1, float beta2, float eps,
                  float decay, float c1, float c2, float grad_scale);

    /* ---- attention ------------------------------------------------------------------------------------------ */
    struct cpu_attention_kernels attention;      /* f32 throughout */
    struct cpu_attention_kernels attention_bf16; /* products in bf16, sums and soft-max in f32; NULLs where the ISA has
                                                    no bf16 product */
    /* y = the n values x, one head's vector of keys or values, as a cache stores them. */
    void (*kv_store)(void *y, enum kv_type type, const void *x, enum number number, size_t n);
};

void cpu_kernels_scalar(struct cpu_kernels *t);
#if LORAC_X86
void cpu_kernels_avx2(struct cpu_kernels *t);
void cpu_kernels_avxvnni(struct cpu_kernels *t); /* what AVX-VNNI does better than AVX2: part of that level */
void cpu_kernels_avx512(struct cpu_kernels *t);
void cpu_kernels_avx512bf16(struct cpu_kernels *t);
void cpu_kernels_amx(struct cpu_kernels *t);
/* Whether the CPU has AMX and lets this process use it: that is asked for here, on Linux. */
bool cpu_has_amx(void);
#endif

/* The best table for this CPU, no better than `cap`. NULL: no cap, and no level that measures slower than the one
 * below. false: cap is no name of an instruction set. */
bool cpu_kernels_choose(const char *cap, struct cpu_kernels *t);

#endif
