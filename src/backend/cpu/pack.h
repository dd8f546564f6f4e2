/* pack.h — panels and rows of any format: by its own kernels, or through f32 where it has none. */
#ifndef CPU_PACK_H
#define CPU_PACK_H

#include "backend/cpu/kernels.h"

/* As pack_f32, pack_f32_t (transposed), pack_bf16 and pack_bf16_t of kernels.h. */
void cpu_pack(const struct cpu_kernels *k, void *panel, bool bf16, bool transposed, const struct quant_matrix *w,
              size_t row, size_t rows, size_t col, size_t cols);
/* y = one whole row. */
void cpu_dequantize(const struct cpu_kernels *k, float *y, const struct quant_matrix *w, size_t row);
/* y[i] = W[row + i] · x, f32 products; `spare`: a row of W. */
void cpu_gemv_f32(const struct cpu_kernels *k, float *y, const struct quant_matrix *w, size_t row, size_t rows,
                  const float *x, float *spare);

#endif
