/* modes.c — the names of quantisations: mlx-lm's modes with their bits and groups, and nf4. */
#include "convert/conversion.h"

#include "quant/planes.h"

#include <string.h>

static const struct mode {
    const char *name;
    enum quant_type type; /* affine: of its first number of bits */
    size_t bits, group;   /* mlx-lm's defaults */
} modes[] = {
    {"affine", QUANT_AFFINE2, 4, 64}, {"mxfp4", QUANT_MXFP4, 4, 32}, {"mxfp8", QUANT_MXFP8, 8, 32},
    {"nvfp4", QUANT_NVFP4, 4, 16},    {"nf4", QUANT_NF4, 4, 64},
};
enum { MODES = sizeof modes / sizeof *modes };

static bool is_affine(enum quant_type type)
{
    return type >= QUANT_AFFINE2 && type <= QUANT_AFFINE8;
}

static const struct mode *mode_of(const struct quantization *q)
{
    enum quant_type type = is_affine(q->type) ? QUANT_AFFINE2 : q->type;
    for (size_t i = 0; i < MODES; i++)
        if (modes[i].type == type) return &modes[i];
    return NULL;
}

static lorac_status affine_of(size_t bits, size_t group, struct quantization *q, lorac_error *err)
{
    q->type = QUANT_AFFINE2;
    while (q->type <= QUANT_AFFINE8 && (size_t)planes_bits(q->type) != bits) q->type++;
    if (q->type > QUANT_AFFINE8)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "affine has 2, 3, 4, 5, 6 or 8 bits, not %zu", bits);
    if (group != 32 && group != 64 && group != 128)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "affine has groups of 32, 64 or 128, not %zu", group);
    return LORAC_OK;
}

lorac_status quantization_of(const char *mode, size_t bits, size_t group, struct quantization *q, lorac_error *err)
{
    const struct mode *m = modes;
    while (m < modes + MODES && strcmp(m->name, mode)) m++;
    if (m == modes + MODES)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.40s\" is no mode: affine, mxfp4, mxfp8, nvfp4, nf4", mode);
    if (!bits) bits = m->bits;
    if (!group) group = m->group;
    *q = (struct quantization){.type = m->type, .group = group};
    if (m->type == QUANT_AFFINE2) return affine_of(bits, group, q, err);
    if (bits == m->bits && group == m->group) return LORAC_OK;
    return fail(err, LORAC_INVALID_ARGUMENT, NULL, "%s has %zu bits in groups of %zu, not %zu in groups of %zu", mode,
                m->bits, m->group, bits, group);
}

bool quantization_from(const struct qmatrix *m, struct quantization *q)
{
    const struct qplanes *p = m->planes;
    *q = (struct quantization){.type = m->type, .group = p ? p->group : 0, .number = p ? p->scale_type : SCALE_F32};
    return p && mode_of(q) && !buf_is(p->groups) && (p->factor == 1.0f);
}

size_t quantization_bits(const struct quantization *q)
{
    return is_affine(q->type) ? (size_t)planes_bits(q->type) : mode_of(q)->bits;
}

const char *quantization_mode(const struct quantization *q)
{
    return mode_of(q)->name;
}

json_t *quantization_json(const struct quantization *q)
{
    return json_pack("{s:I, s:I, s:s}", "group_size", (json_int_t)q->group, "bits", (json_int_t)quantization_bits(q),
                     "mode", quantization_mode(q));
}
