/* calibrate.c — what the linears' inputs are like on a text: H = Xᵀ X of each group of linears that share one, from which
 * GPTQ's factor is made (quant/quantize.h). As many layers at a time as the memory holds; each time the whole text runs
 * through the base. */
#include "convert/conversion.h"

#include "base/os.h"
#include "base/pool.h"
#include "model/decoder.h"
#include "text/dataset.h"

#include <stdio.h>
#include <string.h>

enum { BATCH_TOKENS = 1024, BATCH_ROWS = 64 };

/* The inputs of one group of linears. */
struct hessian {
    size_t first, last; /* the linears */
    size_t layer, cols;
    struct buffer *buffer; /* (cols, cols) f32: H, then U; NULL: not of this turn */
    bool failed;
};

struct calibration {
    struct conversion *c;
    struct hessian *items;
    size_t count, layers; /* layers: of a turn */
    size_t first, end;    /* the turn's layers */
    struct batch batch;
    struct exec exec;
};

/* ---- what there is ------------------------------------------------------------------------------- */

/* Linears with one input are neighbours of one width: q, k and v; o; gate and up; down. */
static lorac_status list_hessians(struct calibration *k, lorac_error *err)
{
    const struct lorac_model *m = k->c->base;
    k->items = mem_array(k->c->memory, m->config.layers * 4, sizeof *k->items);
    if (!k->items) return fail_memory(err, "the calibration", m->config.layers);
    for (size_t l = 0; l < m->config.layers; l++) {
        const struct decoder_layer *layer = &m->layers[l];
        const struct linear_group *groups[] = {&layer->qkv, &layer->o, &layer->gate_up, &layer->down};
        for (size_t i = 0; i < 4; i++) {
            size_t first = groups[i]->linear[0]->index, count = groups[i]->count;
            k->items[k->count++] =
                (struct hessian){first, first + count, l, groups[i]->linear[0]->weight.cols, NULL, false};
        }
    }
    return LORAC_OK;
}

static size_t layer_bytes(const struct calibration *k)
{
    size_t bytes = 0;
    for (size_t i = 0; i < k->count && k->items[i].layer == 0; i++)
        bytes += k->items[i].cols * k->items[i].cols * sizeof(float);
    return bytes;
}

static void note_turns(const struct calibration *k)
{
    const lorac_convert_options *o = k->c->options;
    char line[160];
    snprintf(line, sizeof line, "GPTQ: %.0f MB for %zu of %zu layers at a time; the text runs %zu time%s",
             (double)k->layers * (double)layer_bytes(k) / 1e6, k->layers, k->c->base->config.layers, k->c->turns,
             k->c->turns > 1 ? "s" : "");
    if (o->note) o->note(o->user, line);
}

/* Half of the memory is for them. */
static void plan_turns(struct calibration *k)
{
    const struct memory *m = k->c->memory;
    size_t room = (m->limit ? m->limit : os_physical_memory()) / 2, one = layer_bytes(k),
           layers = k->c->base->config.layers;
    k->layers = room / one > layers ? layers : room / one ? room / one : 1;
    k->c->turns = (layers + k->layers - 1) / k->layers;
    note_turns(k);
}

/* ---- the forward --------------------------------------------------------------------------------- */

static struct hessian *hessian_of(struct calibration *k, size_t linear)
{
    for (size_t i = 0; i < k->count; i++)
        if (linear >= k->items[i].first && linear < k->items[i].last) return &k->items[i];
    return NULL;
}

/* H += Xᵀ X */
static void observe(void *context, struct exec *e, const struct linear_group *group, const struct tensor *x)
{
    struct hessian *h = hessian_of(context, group->linear[0]->index);
    if (!h || !h->buffer) return;
    e->k->outer(&e->stream, &(struct outer){{h->buffer, 0}, x->data, x->data, x->number, x->number, h->cols, x->width,
                                            x->width, x->rows, h->cols, h->cols, 1});
}

static lorac_status plan_exec(const struct lorac_model *m, size_t *stack, lorac_error *err)
{
    struct memory *memory = &m->runtime->memory;
    struct backend *null;
    struct exec e = {0};
    struct batch batch = {0};
    TRY(backend_null_create(memory, &null, err));
    lorac_status status = batch_create(m, null, BATCH_TOKENS, 1, &batch, err);
    if (status == LORAC_OK) status = exec_create(memory, null, m->config.layers, 0, 0, &e, err);
    if (status == LORAC_OK) {
        batch_add_blank(&batch, BATCH_TOKENS);
        batch_upload(&batch, &e.stream);
        e.precision = PRECISION_FAST;
        decoder_forward(m, &e, &batch);
        *stack = e.stack.high;
    }
    exec_free(&e);
    batch_free(&batch);
    backend_free(null);
    return status;
}

static lorac_status open_forward(struct calibration *k, lorac_error *err)
{
    const struct lorac_model *m = k->c->base;
    struct backend *b = m->runtime->backend;
    size_t stack = 0;
    TRY(plan_exec(m, &stack, err));
    TRY(batch_create(m, b, BATCH_TOKENS, BATCH_ROWS, &k->batch, err));
    TRY(exec_create(k->c->memory, b, m->config.layers, stack, 0, &k->exec, err));
    k->exec.precision = PRECISION_FAST;
    k->exec.observer = (struct observer){observe, k};
    return LORAC_OK;
}

static lorac_status flush(struct calibration *k, lorac_error *err)
{
    struct exec *e = &k->exec;
    if (!k->batch.sequences) return LORAC_OK;
    exec_reset(e);
    e->k->begin(&e->stream);
    batch_upload(&k->batch, &e->stream);
    decoder_forward(k->c->base, e, &k->batch);
    bool ran = e->k->wait(&e->stream);
    batch_clear(&k->batch);
    return ran ? LORAC_OK : fail_memory(err, "a forward", e->stack.high);
}

/* All rows of the text, cut at a batch's size. */
static lorac_status run_text(struct calibration *k, lorac_error *err)
{
    const lorac_dataset *d = k->c->options->calibration;
    size_t rows = d->starts.count - 1, all = d->ids.count ? d->ids.count : 1, done = 0;
    for (size_t i = 0; i < rows; i++) {
        const int32_t *ids;
        const uint8_t *mask;
        size_t count;
        TRY(lorac_dataset_row(d, i, &ids, &mask, &count, err));
        size_t n = count < BATCH_TOKENS ? count : BATCH_TOKENS;
        if (n && !batch_add(&k->batch, ids, n, 0, n, NULL, NULL)) {
            TRY(flush(k, err));
            TRY(conversion_report(k->c, (size_t)((double)k->c->source_bytes * (double)done / (double)all), err));
            batch_add(&k->batch, ids, n, 0, n, NULL, NULL);
            done = 0;
        }
        done += count;
    }
    TRY(flush(k, err));
    return conversion_report(k->c, (size_t)((double)k->c->source_bytes * (double)done / (double)all), err);
}

/* ---- the factors --------------------------------------------------------------------------------- */

static void factor_task(void *context, size_t task, int worker)
{
    struct calibration *k = context;
    struct hessian *h = &k->items[task];
    if (h->buffer) h->failed = !hessian_factor(h->buffer->host, h->cols);
}

static void drop(struct calibration *k)
{
    struct backend *b = k->c->runtime->backend;
    for (size_t i = 0; i < k->count; i++) {
        if (k->items[i].buffer) b->kernels->buffer_free(b, k->items[i].buffer);
        k->items[i].buffer = NULL;
    }
}

static lorac_status take_turn(struct calibration *k, size_t layer, lorac_error *err)
{
    struct backend *b = k->c->runtime->backend;
    drop(k);
    k->first = layer / k->layers * k->layers;
    k->end = k->first + k->layers;
    for (size_t i = 0; i < k->count; i++)
        if (k->items[i].layer >= k->first && k->items[i].layer < k->end)
            TRY(b->kernels->buffer_create(b, k->items[i].cols * k->items[i].cols * sizeof(float), &k->items[i].buffer,
                                          err));
    TRY(run_text(k, err));
    pool_run(k->c->runtime->pool, POOL_NORMAL, factor_task, k, k->count, NULL);
    for (size_t i = 0; i < k->count; i++)
        if (k->items[i].failed)
            return fail(err, LORAC_FORMAT, k->c->model,
                        "layer %zu: the inputs' squares have no factor; is the calibration text this model's?",
                        k->items[i].layer);
    return LORAC_OK;
}

/* ---- for conversions ----------------------------------------------------------------------------- */

lorac_status calibration_open(struct conversion *c, lorac_error *err)
{
    if (!c->options->calibration) return LORAC_OK;
    struct calibration *k = mem_alloc(c->memory, sizeof *k);
    if (!k) return fail_memory(err, "the calibration", sizeof *k);
    *k = (struct calibration){.c = c};
    c->calibration = k;
    TRY(list_hessians(k, err));
    plan_turns(k);
    return open_forward(k, err);
}

void calibration_close(struct conversion *c)
{
    struct calibration *k = c->calibration;
    if (!k) return;
    drop(k);
    exec_free(&k->exec);
    batch_free(&k->batch);
    mem_free(c->memory, k->items);
    mem_free(c->memory, k);
}

bool calibration_knows(const struct conversion *c, const struct item *item)
{
    return c->calibration && item->stored && item->stored->linear != SIZE_MAX && item->quantized &&
           item->q.type >= QUANT_AFFINE2 && item->q.type <= QUANT_AFFINE8 && !item->inward &&
           c->base->linears[item->stored->linear].layer != SIZE_MAX;
}

lorac_status calibration_factor(struct conversion *c, const struct item *item, const float **u, lorac_error *err)
{
    struct calibration *k = c->calibration;
    struct hessian *h = hessian_of(k, item->stored->linear);
    if (!h->buffer) TRY(take_turn(k, h->layer, err));
    *u = h->buffer->host;
    return LORAC_OK;
}
