/* weights_expanded.c — matrices whose format is unpacked once, when the model is opened (quant/codebook.h). */
#include "base/pool.h"
#include "base/runtime.h"
#include "model/weights_quantized.h"
#include "quant/codebook.h"

enum { PIECE = 16 }; /* blocks at a time */

struct expansion {
    const struct quant_expansion *how;
    const struct quant_format *from;
    const struct qmatrix *to;
    const struct source *source;
    struct backend *backend;
};

static void expand_row(const struct expansion *e, size_t row)
{
    const struct qmatrix *m = e->to;
    struct stream s = {.backend = e->backend};
    size_t blocks = m->cols / QUANT_BLOCK, block_bytes = m->row_bytes / blocks;
    const uint8_t *x = e->source->data + row * blocks * e->from->block_bytes;
    for (size_t b = 0, n; b < blocks; b += n, x += n * e->from->block_bytes) {
        uint8_t codes[PIECE * QUANT_BLOCK / 2];
        float scales[PIECE * QUANT_BLOCK / 16];
        n = blocks - b < PIECE ? blocks - b : PIECE;
        e->how->expand(codes, scales, x, n * QUANT_BLOCK);
        struct buf to = {m->data.buffer, row * m->row_bytes + b * block_bytes};
        s.backend->kernels->upload(&s, to, codes, n * block_bytes);
        if (!m->planes) continue;
        size_t group = m->planes->group;
        to = buf_at(m->planes->scales, (row * blocks + b) * QUANT_BLOCK / group);
        s.backend->kernels->upload(&s, to, scales, n * QUANT_BLOCK / group * sizeof *scales);
    }
}

static void expand_task(void *context, size_t row, int worker)
{
    (void)worker;
    expand_row(context, row);
}

static lorac_status make_room(struct weights *w, const struct quant_expansion *how, struct qmatrix *m, lorac_error *err)
{
    struct qplanes p = {.group = how->group, .scale_type = SCALE_F32, .factor = 1}, *kept;
    if (!quant_row_bytes(how->to, m->cols, &m->row_bytes)) return fail(err, LORAC_FORMAT, w->path, "a row is too long");
    TRY(weights_room(w, m->rows * m->row_bytes, &m->data, err));
    if (!how->group) return LORAC_OK;
    TRY(weights_room(w, m->rows * m->cols / how->group * sizeof(float), &p.scales, err));
    TRY(weights_planes(w, &p, &kept, err));
    m->planes = kept;
    return LORAC_OK;
}

lorac_status weights_expand(struct weights *w, const char *name, const struct source *s, struct qmatrix *m,
                            lorac_error *err)
{
    const struct quant_expansion *how = quant_expansion_of(m->type);
    struct expansion e = {how, &quant_formats[m->type], m, s, w->model->runtime->backend};
    if (!how) return LORAC_OK;
    if (weights_last(w, name, m->rows, m->cols, m)) return LORAC_OK;
    *m = (struct qmatrix){how->to, {0}, m->rows, m->cols, 0, NULL};
    TRY(make_room(w, how, m, err));
    w->model->weight_bytes += m->rows * m->row_bytes - s->bytes; /* as it is computed with */
    if (how->group) w->model->weight_bytes += m->rows * m->cols / how->group * sizeof(float);
    pool_run(w->model->runtime->pool, POOL_NORMAL, expand_task, &e, m->rows, NULL);
    weights_remember(w, name, m);
    return LORAC_OK;
}
