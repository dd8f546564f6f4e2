/* families.h — the kernel families: each function fills its entries of the table for one instruction set. */
#ifndef CPU_FAMILIES_H
#define CPU_FAMILIES_H

#include "backend/cpu/kernels.h"

void gemm_scalar(struct cpu_kernels *t);      /* tile_cols, pack_*, tile_*, to_bf16, outer */
void gemm_q8_scalar(struct cpu_kernels *t);   /* q8_record, pack_q8, tile_q8 */
void gemv_scalar(struct cpu_kernels *t);      /* quantize_q8, quantize_q8_rows, gemv_*, dequantize */
void gemv_k_scalar(struct cpu_kernels *t);    /* gemv_q8 of the k-quants */
void rows_scalar(struct cpu_kernels *t);      /* normalize .. adamw, from_bf16 */
void attention_scalar(struct cpu_kernels *t); /* attention* */
#if LORAC_X86
bool cpu_has_avxvnni(void);
void gemm_avx2(struct cpu_kernels *t);
void gemm_q8_avx2(struct cpu_kernels *t);
void gemm_q8_k_avx2(struct cpu_kernels *t); /* over gemm_q8_avx2 */
void gemv_avx2(struct cpu_kernels *t);
void gemv_k_avx2(struct cpu_kernels *t);
void gemv_e4m3_avx2(struct cpu_kernels *t); /* gemv_f32 of FP8 and mxfp8 */
void unpack_planes_avx2(struct cpu_kernels *t);
void gemm_codes_avx2(struct cpu_kernels *t); /* pack_q8 of the formats of codes.h that have a tile */
void gemv_codes_avx2(struct cpu_kernels *t); /* gemv_q8 of the formats without other kernels of their own */
void rows_avx2(struct cpu_kernels *t);
void attention_avx2(struct cpu_kernels *t);
void gemm_avx512(struct cpu_kernels *t);
void gemm_q8_avxvnni(struct cpu_kernels *t);
void gemm_q8_k_avxvnni(struct cpu_kernels *t); /* over gemm_q8_avxvnni */
void gemv_avxvnni(struct cpu_kernels *t);
void gemv_codes_avxvnni(struct cpu_kernels *t);
void gemm_q8_avx512(struct cpu_kernels *t);
void gemm_q8_k_avx512(struct cpu_kernels *t); /* over gemm_q8_avx512 */
void gemv_avx512(struct cpu_kernels *t);
void unpack_planes_avx512(struct cpu_kernels *t);
void unpack_parts_avx512(struct cpu_kernels *t); /* of other formats without kernels of their own */
void gemv_e4m3_avx512(struct cpu_kernels *t);
void gemm_q2_k_avx512(struct cpu_kernels *t); /* over gemm_q8_avx512 */
void gemm_codes_avx512(struct cpu_kernels *t);
void gemm_codes_avx512vbmi(struct cpu_kernels *t); /* over gemm_codes_avx512 */
void gemv_codes_avx512(struct cpu_kernels *t);
void gemv_codes_avx512vbmi(struct cpu_kernels *t); /* over gemv_codes_avx512 */
void gemv_chunks_avx512(struct cpu_kernels *t);    /* gemv_q8 of formats of up to four bits */
void gemv_chunks_avx512vbmi(struct cpu_kernels *t);
void gemv_q8_avx512(struct cpu_kernels *t);
void gemv_k_avx512(struct cpu_kernels *t);
void rows_avx512(struct cpu_kernels *t);
void attention_avx512(struct cpu_kernels *t);
void gemm_avx512bf16(struct cpu_kernels *t);
void gemm_codes_avx512bf16(struct cpu_kernels *t); /* pack_bf16_of */
void gemm_amx(struct cpu_kernels *t);              /* over gemm_avx512bf16 */
void attention_avx512bf16(struct cpu_kernels *t);
void attention_amx(struct cpu_kernels *t);
#endif

#endif
