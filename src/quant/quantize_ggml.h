/* quantize_ggml.h — numbers to ggml's blocks: F32, F16, BF16, Q4_0 to Q8_0, the k-quants, IQ4_NL, IQ4_XS and MXFP4.
 *
 * A block's scale and minimum are the least squares solution for its codes, found from several scales around the one
 * that just covers the block (quantize_fit.h). Squared errors are weighted by the number's size, and the importance of
 * its column. In blocks NaN counts as 0, and what lies beyond ±65504 (infinities too) as that: every block can be read.
 * F32, F16 and BF16 keep both. Plain C over a run of whole blocks: callers cut matrices into runs, fastest from 512
 * numbers on. The same numbers give the same bytes, whatever the CPU and however runs are cut. */
#ifndef QUANT_QUANTIZE_GGML_H
#define QUANT_QUANTIZE_GGML_H

#include "quant/format.h"

/* x (n) to blocks at out; importance (n): what an imatrix says of these columns, not negative; NULL: all alike. False:
 * a type that is not written. */
bool quantize_ggml(enum quant_type type, const float *x, const float *importance, size_t n, uint8_t *out);

#endif
