/* calibrate.c — what the linears' inputs are like on a text: H = Xᵀ X of each group of linears that share one, from
 * which GPTQ's factor is made (quant/quantize.h). As many layers at a time as the memory holds; each time the whole
 * text runs through the base. */
#include "convert/conversion.h"

#include "base/os.h"
#include "base/pool.h"
#include "model/decoder.h"

#include <stdio.h>
#include <string.h>

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
    struct text_run run;
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

/* ---- the text ------------------------------------------------------------------------------------ */

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
    e->k->outer(&e->stream, &(struct outer){{h->buffer, 0},
                                            x->data,
                                            x->data,
                                            x->number,
                                            x->number,
                                            h->cols,
                                            x->width,
                                            x->width,
                                            x->rows,
                                            h->cols,
                                            h->cols,
                                            1});
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
    for (size_t i = 0; i < k->count; i++)
        if (k->items[i].layer / k->layers == layer / k->layers)
            TRY(b->kernels->buffer_create(b, k->items[i].cols * k->items[i].cols * sizeof(float), &k->items[i].buffer,
                                          err));
    TRY(text_run(&k->run, SIZE_MAX, err));
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
    if (!c->options->gptq) return LORAC_OK;
    struct calibration *k = mem_alloc(c->memory, sizeof *k);
    if (!k) return fail_memory(err, "the calibration", sizeof *k);
    *k = (struct calibration){.c = c};
    c->calibration = k;
    TRY(list_hessians(k, err));
    plan_turns(k);
    TRY(text_run_open(c, &k->run, err));
    k->run.share = 1;
    k->run.exec.observer = (struct observer){observe, k};
    return LORAC_OK;
}

void calibration_close(struct conversion *c)
{
    struct calibration *k = c->calibration;
    if (!k) return;
    drop(k);
    text_run_close(&k->run);
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
