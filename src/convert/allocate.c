/* allocate.c — bits for each matrix, so that all together reach a size: where few bits move the outputs most, more are
 * spent.
 *
 * How much a matrix matters is measured: it alone is quantised, a text runs through the model, and the last norm's
 * output moves by S = ‖X′ − X‖² / ‖X‖². For b bits S · e(b) / e(PROBE) is taken, e the relative square error of the
 * weights. The head's own error reaches the logits as it is: it counts e(b). Bits are then raised where that saves most
 * a byte, until no step fits. */
#include "convert/conversion.h"

#include "base/pool.h"
#include "model/decoder.h"
#include "quant/planes.h"

#include <math.h>
#include <string.h>

enum { PROBE = 1, TEXT_TOKENS = 1024, CHOICES = 6 }; /* PROBE: 3 bits move outputs beyond the noise of the products */
static const uint8_t bits_of[CHOICES] = {2, 3, 4, 5, 6, 8};

/* A matrix whose bits are chosen. */
struct candidate {
    size_t stored, elements;
    double cost[CHOICES]; /* what its error counts */
    size_t choice;
};

struct allocating {
    struct conversion *c;
    struct text_run run;
    float *wanted, *seen; /* (TEXT_TOKENS, hidden): the outputs of the base, and with one matrix quantised */
    size_t values;        /* of the run, so far */
    struct candidate *parts;
    size_t count;
};

/* ---- one matrix quantised ------------------------------------------------------------------------ */

/* Codes, scales and minimums of a matrix, and what reads them. */
struct stand_in {
    struct buffer *buffers[3];
    struct qplanes planes;
    struct qmatrix matrix;
};

struct rounding {
    const struct conversion *c;
    const struct qmatrix *from;
    const struct quantization *q;
    struct quantized out;
    double *lost, *all; /* by row: squares of the errors, and of the numbers */
    float *scratch;     /* (threads, 2, cols) */
};

static void round_row(void *context, size_t row, int worker)
{
    struct rounding *r = context;
    size_t cols = r->from->cols, groups = cols / r->q->group, bits = quantization_bits(r->q),
           wide = scale_bytes(SCALE_F32);
    float *x = r->scratch + 2 * (size_t)worker * cols, *y = x + cols;
    struct quant_matrix w = source_view(r->c, r->from), m = {.type = r->q->type, .rows = 1, .cols = cols};
    struct quantized out = {r->out.codes + row * cols * bits / 8, r->out.scales + row * groups * wide,
                            r->out.mins + row * groups * wide};
    m.data = out.codes;
    m.planes = (struct quant_planes){
        .scales = out.scales, .mins = out.mins, .group = r->q->group, .scale_type = SCALE_F32, .factor = 1};
    quant_dequantize(x, &w, row, 0, cols);
    quantize(r->q, x, cols, &out);
    quant_dequantize(y, &m, 0, 0, cols);
    r->lost[row] = r->all[row] = 0;
    for (size_t i = 0; i < cols; i++) {
        r->lost[row] += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
        r->all[row] += (double)x[i] * (double)x[i];
    }
}

static void stand_in_free(const struct conversion *c, struct stand_in *s)
{
    for (size_t i = 0; i < 3; i++)
        if (s->buffers[i]) c->runtime->backend->kernels->buffer_free(c->runtime->backend, s->buffers[i]);
}

static lorac_status stand_in_room(const struct conversion *c, const struct qmatrix *from, size_t bits,
                                  const struct quantization *q, struct stand_in *s, lorac_error *err)
{
    struct backend *b = c->runtime->backend;
    size_t n = from->rows * from->cols, sizes[3] = {n * bits / 8, n / q->group * 4, n / q->group * 4};
    for (size_t i = 0; i < 3; i++) TRY(b->kernels->buffer_create(b, sizes[i], &s->buffers[i], err));
    s->planes = (struct qplanes){.scales = {s->buffers[1], 0},
                                 .mins = {s->buffers[2], 0},
                                 .group = q->group,
                                 .scale_type = SCALE_F32,
                                 .factor = 1};
    s->matrix =
        (struct qmatrix){q->type, {s->buffers[0], 0}, from->rows, from->cols, from->cols * bits / 8, &s->planes};
    return LORAC_OK;
}

/* Fills *s, which is to be freed in any case; *error: relative, of squares. s->planes must stay where it is. */
static lorac_status round_matrix(const struct conversion *c, const struct qmatrix *from, size_t bits,
                                 struct stand_in *s, double *error, lorac_error *err)
{
    struct memory *m = c->memory;
    struct quantization q = {.number = SCALE_F32};
    size_t threads = (size_t)pool_threads(c->runtime->pool);
    double lost = 0, all = 0;
    memset(s, 0, sizeof *s);
    TRY(quantization_of("affine", bits, c->q.group, &q, err));
    TRY(stand_in_room(c, from, bits, &q, s, err));
    struct rounding r = {c,    from, &q,  {s->buffers[0]->host, s->buffers[1]->host, s->buffers[2]->host},
                         NULL, NULL, NULL};
    r.lost = mem_array(m, 2 * from->rows, sizeof *r.lost);
    r.scratch = mem_array(m, 2 * threads * from->cols, sizeof *r.scratch);
    bool room = r.lost && r.scratch;
    if (room) {
        r.all = r.lost + from->rows;
        pool_run(c->runtime->pool, POOL_NORMAL, round_row, &r, from->rows, NULL);
        for (size_t i = 0; i < from->rows; i++) lost += r.lost[i], all += r.all[i];
        *error = all > 0 ? lost / all : 0;
    }
    mem_free(m, r.lost);
    mem_free(m, r.scratch);
    return room ? LORAC_OK : fail_memory(err, "a quantised matrix", from->rows * from->cols);
}

/* ---- how much a matrix matters ------------------------------------------------------------------- */

static void keep_output(void *context, const struct tensor *x)
{
    struct allocating *a = context;
    struct stream s = {.backend = a->c->runtime->backend};
    size_t n = x->rows * x->width, all = TEXT_TOKENS * x->width;
    if (n > all - a->values) n = all - a->values;
    s.backend->kernels->readback(&s, a->seen + a->values, x->data, n * sizeof(float));
    a->values += n;
}

static lorac_status run(struct allocating *a, lorac_error *err)
{
    a->values = 0;
    return text_run(&a->run, TEXT_TOKENS, err);
}

/* The weights of the model that are read from the matrix. */
static size_t readers(const struct lorac_model *m, const struct stored_matrix *s, struct qmatrix *of[GROUP_LINEARS])
{
    size_t count = 0;
    if (s->linear == SIZE_MAX) {
        if (s->matrix.data.buffer == m->embedding.data.buffer && s->matrix.data.offset == m->embedding.data.offset)
            of[count++] = (struct qmatrix *)&m->embedding;
        return count;
    }
    size_t rows = 0, all = s->matrix.rows * s->matrix.cols / m->linears[s->linear].weight.cols;
    for (size_t i = s->linear; i < m->linear_count && rows < all && count < GROUP_LINEARS; i++) {
        of[count++] = &m->linears[i].weight;
        rows += m->linears[i].weight.rows;
    }
    return count;
}

/* S, with the matrix's readers quantised; 0: none of the model's outputs on this text reads it. */
static lorac_status probe(struct allocating *a, const struct stored_matrix *s, double *moved, lorac_error *err)
{
    struct qmatrix *of[GROUP_LINEARS], whole[GROUP_LINEARS];
    struct stand_in in[GROUP_LINEARS];
    size_t count = readers(a->c->base, s, of), made = 0;
    lorac_status status = LORAC_OK;
    double unused, sum = 0, all = 0;
    *moved = 0;
    for (; made < count && status == LORAC_OK; made++) {
        whole[made] = *of[made];
        status = round_matrix(a->c, &whole[made], bits_of[PROBE], &in[made], &unused, err);
        if (status == LORAC_OK) *of[made] = in[made].matrix;
    }
    if (status == LORAC_OK && count) status = run(a, err);
    for (size_t i = 0; i < made; i++) {
        *of[i] = whole[i];
        stand_in_free(a->c, &in[i]);
    }
    for (size_t i = 0; count && status == LORAC_OK && i < a->values; i++) {
        double d = (double)a->seen[i] - (double)a->wanted[i];
        sum += d * d;
        all += (double)a->wanted[i] * (double)a->wanted[i];
    }
    *moved = all > 0 ? sum / all : 0;
    return status;
}

static bool is_head(const struct lorac_model *m, const struct stored_matrix *s)
{
    const struct buf *at = &m->head.weight.data;
    return s->matrix.data.buffer == at->buffer && s->matrix.data.offset == at->offset;
}

static lorac_status measure(struct allocating *a, struct candidate *p, lorac_error *err)
{
    const struct stored_matrix *s = &a->c->base->stored[p->stored];
    double error[CHOICES], moved;
    TRY(probe(a, s, &moved, err));
    for (size_t b = 0; b < CHOICES; b++) {
        struct stand_in in;
        lorac_status status = round_matrix(a->c, &s->matrix, bits_of[b], &in, &error[b], err);
        stand_in_free(a->c, &in);
        TRY(status);
    }
    for (size_t b = 0; b < CHOICES; b++)
        p->cost[b] = (error[PROBE] > 0 ? moved * error[b] / error[PROBE] : 0) + (is_head(a->c->base, s) ? error[b] : 0);
    return LORAC_OK;
}

/* ---- the choice ---------------------------------------------------------------------------------- */

/* What one more step of bits saves, by its bits; 0: there is none. */
static double saving(const struct candidate *p)
{
    if (p->choice + 1 == CHOICES) return 0;
    double bits = (double)(bits_of[p->choice + 1] - bits_of[p->choice]) * (double)p->elements;
    return (p->cost[p->choice] - p->cost[p->choice + 1]) / bits;
}

static lorac_status spend(struct allocating *a, double room, lorac_error *err)
{
    for (size_t i = 0; i < a->count; i++) room -= (double)bits_of[0] * (double)a->parts[i].elements;
    if (room < 0)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "so few bits a weight cannot be reached: 2 and the scales take more");
    for (struct candidate *best;;) {
        best = NULL;
        for (size_t i = 0; i < a->count; i++) {
            struct candidate *p = &a->parts[i];
            double step =
                saving(p) > 0 ? (double)(bits_of[p->choice + 1] - bits_of[p->choice]) * (double)p->elements : 0;
            if (step > 0 && step <= room && (!best || saving(p) > saving(best))) best = p;
        }
        if (!best) return LORAC_OK;
        room -= (double)(bits_of[best->choice + 1] - bits_of[best->choice]) * (double)best->elements;
        best->choice++;
    }
}

static lorac_status list_parts(struct allocating *a, double *room, lorac_error *err)
{
    const struct conversion *c = a->c;
    const struct lorac_model *m = c->base;
    size_t all = m->parameters, in_codes = 0;
    a->parts = mem_array(c->memory, m->stored_count, sizeof *a->parts);
    a->wanted = mem_array(c->memory, 2 * TEXT_TOKENS, m->config.hidden * sizeof *a->wanted);
    if (!a->parts || !a->wanted) return fail_memory(err, "the bits", m->stored_count * sizeof *a->parts);
    a->seen = a->wanted;
    for (size_t i = 0; i < m->stored_count; i++) {
        const struct qmatrix *w = &m->stored[i].matrix;
        if (w->cols % c->q.group || (m->positions.data.buffer && m->stored[i].linear == SIZE_MAX &&
                                     m->stored[i].matrix.data.offset == m->positions.data.offset))
            continue;
        a->parts[a->count++] = (struct candidate){.stored = i, .elements = w->rows * w->cols};
        in_codes += w->rows * w->cols;
    }
    *room = c->options->target_bits * (double)all - 16.0 * (double)(all - in_codes) -
            32.0 / (double)c->q.group * (double)in_codes; /* scales and minimums of 16 bits */
    return LORAC_OK;
}

static lorac_status allocate(struct allocating *a, lorac_error *err)
{
    struct conversion *c = a->c;
    double room = 0;
    TRY(list_parts(a, &room, err));
    TRY(text_run_open(c, &a->run, err));
    a->run.output = keep_output;
    a->run.context = a;
    a->run.share = 1 / (double)(a->count + 1);
    c->source_bytes = c->base->weight_bytes;
    TRY(run(a, err));
    a->seen = a->wanted + TEXT_TOKENS * c->base->config.hidden;
    for (size_t i = 0; i < a->count; i++) TRY(measure(a, &a->parts[i], err));
    TRY(spend(a, room, err));
    c->source_bytes = c->done = 0;
    c->allocation = mem_alloc(c->memory, c->base->stored_count);
    if (!c->allocation) return fail_memory(err, "the bits", c->base->stored_count);
    for (size_t i = 0; i < a->count; i++) c->allocation[a->parts[i].stored] = bits_of[a->parts[i].choice];
    return LORAC_OK;
}

lorac_status allocation_make(struct conversion *c, lorac_error *err)
{
    struct allocating a = {.c = c};
    lorac_status status = allocate(&a, err);
    text_run_close(&a.run);
    mem_free(c->memory, a.parts);
    mem_free(c->memory, a.wanted);
    return status;
}

size_t allocated_bits(const struct conversion *c, const struct stored_matrix *s)
{
    return c->allocation && s ? c->allocation[s - c->base->stored] : 0;
}
