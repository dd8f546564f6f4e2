/* quantize.c — which quantiser makes a format. See quantize.h. */
#include "quant/quantize.h"

static const struct {
    quantize_fn *quantize;
    enum scale_type scales; /* affine: the numbers' */
} makers[QUANT_TYPES] = {
    [QUANT_AFFINE2] = {quantize_affine, SCALE_F32}, [QUANT_AFFINE3] = {quantize_affine, SCALE_F32},
    [QUANT_AFFINE4] = {quantize_affine, SCALE_F32}, [QUANT_AFFINE5] = {quantize_affine, SCALE_F32},
    [QUANT_AFFINE6] = {quantize_affine, SCALE_F32}, [QUANT_AFFINE8] = {quantize_affine, SCALE_F32},
    [QUANT_MXFP4] = {quantize_mx, SCALE_E8M0},      [QUANT_MXFP8] = {quantize_mx, SCALE_E8M0},
    [QUANT_NVFP4] = {quantize_nvfp4, SCALE_E4M3},   [QUANT_NF4] = {quantize_nf4, SCALE_F32},
};

void quantize(const struct quantization *q, const float *x, size_t n, const struct quantized *out)
{
    makers[q->type].quantize(q, x, n, out);
}

enum scale_type quantized_scales(const struct quantization *q)
{
    return makers[q->type].quantize == quantize_affine ? q->number : makers[q->type].scales;
}
