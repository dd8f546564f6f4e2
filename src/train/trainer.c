/* trainer.c — a trainer's life: options, adapter, memory plan, start or resume. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

enum { MOST_EXAMPLES = 1024 };

void lorac_trainer_options_init(lorac_trainer_options *options)
{
    *options = (lorac_trainer_options){.struct_size = sizeof *options,
                                       .rank = 8,
                                       .scale = 20,
                                       .num_layers = -2,
                                       .iterations = 600,
                                       .batch_size = 4,
                                       .accumulation = 1,
                                       .learning_rate = 1e-5,
                                       .val_batches = 25,
                                       .steps_per_report = 10,
                                       .steps_per_eval = 200,
                                       .save_every = 100,
                                       .format = LORAC_FORMAT_PEFT};
}

/* ---- checking options ------------------------------------------------------------------------- */

static lorac_status wrong(lorac_error *err, const char *what)
{
    return fail(err, LORAC_INVALID_ARGUMENT, NULL, "%s", what);
}

static lorac_status check_options(const struct lorac_trainer *t, lorac_error *err)
{
    const lorac_trainer_options *o = &t->options;
    if (!o->rank || o->rank > 4096) return wrong(err, "the rank must be from 1 to 4096");
    if (!isfinite(o->scale)) return wrong(err, "the scale must be a finite number");
    if (!(o->dropout >= 0 && o->dropout < 1)) return wrong(err, "the dropout must be from 0 to below 1");
    if (!o->iterations) return wrong(err, "the number of iterations must be 1 or more");
    if (!o->batch_size || o->batch_size > MOST_EXAMPLES) return wrong(err, "the batch size must be from 1 to 1024");
    if (!o->accumulation) return wrong(err, "the accumulation steps must be 1 or more");
    if (!isfinite(o->learning_rate) || o->learning_rate < 0) return wrong(err, "the learning rate must be 0 or more");
    if (!isfinite(o->weight_decay) || o->weight_decay < 0) return wrong(err, "the weight decay must be 0 or more");
    if (!isfinite(o->clip_norm) || o->clip_norm < 0) return wrong(err, "the norm to clip to must be above 0");
    if (!(o->format & LORAC_FORMAT_BOTH)) return wrong(err, "the adapter format must be peft, mlx or both");
    if (!t->train->targets) return wrong(err, "the training data holds no target token");
    return LORAC_OK;
}

static lorac_status copy_text(struct lorac_trainer *t, const char *text, char **copy, lorac_error *err)
{
    if (!text) return LORAC_OK;
    *copy = mem_text(&t->runtime->memory, text, strlen(text));
    return *copy ? LORAC_OK : fail_memory(err, "an option", strlen(text));
}

static lorac_status set_options(struct lorac_trainer *t, const lorac_trainer_options *options, lorac_error *err)
{
    lorac_trainer_options *o = &t->options;
    lorac_trainer_options_init(o);
    if (options) memcpy(o, options, options->struct_size < sizeof *o ? options->struct_size : sizeof *o);
    t->precision = o->precision == LORAC_EXACT ? PRECISION_EXACT : PRECISION_FAST;
    TRY(copy_text(t, o->target_modules ? o->target_modules : "all-linear", &t->targets, err));
    TRY(copy_text(t, o->adapter_path, &t->folder, err));
    TRY(copy_text(t, o->base_name ? o->base_name : t->model->path, &t->base, err));
    TRY(copy_text(t, o->initial_adapter, &t->initial, err));
    o->target_modules = o->adapter_path = o->base_name = o->initial_adapter = NULL; /* the copies are ours */
    return check_options(t, err);
}

/* ---- the adapter's buffers --------------------------------------------------------------------- */

static lorac_status create_weights(struct lorac_trainer *t, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    struct backend *b = t->runtime->backend;
    size_t bytes = t->layout.floats * sizeof(float);
    struct buffer **const buffers[] = {&t->weights, &t->gradients, &t->m, &t->v};
    for (size_t i = 0; i < 4; i++) TRY(b->kernels->buffer_create(b, bytes, buffers[i], err));
    t->sum_count = (t->layout.floats + SUM_SQUARES_BLOCK - 1) / SUM_SQUARES_BLOCK;
    TRY(b->kernels->buffer_create(b, t->sum_count * sizeof(double), &t->sums, err));
    bool seen = b->kernels->host_view(b, (struct buf){t->weights, 0}) != NULL;
    if (!seen) t->staged = mem_array(m, t->layout.floats, STATES * sizeof *t->staged);
    t->host_sums = mem_array(m, t->sum_count, sizeof *t->host_sums);
    t->order = mem_array(m, t->train->starts.count, sizeof *t->order);
    if ((!seen && !t->staged) || !t->host_sums || !t->order) return fail_memory(err, "the adapter", 3 * bytes);
    t->order_epoch = SIZE_MAX;
    return LORAC_OK;
}

static lorac_status create_terms(struct lorac_trainer *t, lorac_error *err)
{
    size_t linears = t->model->linear_count, at = 0, module = 0;
    t->term_begin = mem_array(&t->runtime->memory, linears + 1, sizeof *t->term_begin);
    t->terms = mem_array(&t->runtime->memory, linears, sizeof *t->terms);
    if (!t->term_begin || !t->terms) return fail_memory(err, "the adapter", linears * 4);
    for (size_t l = 0; l < linears; l++) {
        t->term_begin[l] = (uint32_t)at;
        const struct linear *weight = &t->model->linears[l];
        const struct adapter_module *m = module < t->layout.count ? &t->layout.modules[module] : NULL;
        if (!m || m->linear != weight - weight->part) continue;
        t->terms[at++] = layout_term(m, weight->part, &(struct adapter_numbers){.wide = t->weights}, t->gradients, 1);
        module += weight->part + 1 == weight->parts;
    }
    t->term_begin[linears] = (uint32_t)at;
    t->table = (struct term_table){t->term_begin, t->terms};
    return LORAC_OK;
}

/* ---- life -------------------------------------------------------------------------------------- */

static lorac_status start(struct lorac_trainer *t, lorac_error *err)
{
    struct pass_shape shape;
    TRY(check_ids(t->model, t->train, err));
    if (t->valid) TRY(check_ids(t->model, t->valid, err));
    TRY(targets_choose(t, err));
    t->plan.process =
        t->runtime->resident_at_start + t->runtime->memory.used; /* without the adapter, which the plan counts */
    TRY(create_weights(t, err));
    TRY(create_terms(t, err));
    if (t->options.resume)
        TRY(checkpoint_resume(t, err));
    else
        TRY(checkpoint_prepare(t, err)); /* before hours of work, not after */
    TRY(plan_memory(t, &shape, err));
    struct recompute recompute = t->pass.batch.recompute;
    TRY(pass_create(t->model, t->runtime->backend, &shape, t->precision, &t->pass, err));
    t->pass.dropout = (float)t->options.dropout;
    t->pass.exec.seed = t->options.seed;
    t->pass.batch.first_trained = t->first_layer;
    t->pass.batch.recompute = recompute;
    return t->options.resume ? LORAC_OK : checkpoint_initial(t, err);
}

lorac_status lorac_trainer_create(lorac_model *model, const lorac_dataset *train, const lorac_dataset *valid,
                                  const lorac_trainer_options *options, lorac_trainer **trainer, lorac_error *err)
{
    struct lorac_trainer *t = mem_alloc(&model->runtime->memory, sizeof *t);
    if (!t) return fail_memory(err, "a trainer", sizeof *t);
    lorac_model_retain(model);
    t->model = model;
    t->runtime = model->runtime;
    t->train = train;
    t->valid = valid;
    t->best_loss = INFINITY;
    t->valid_loss = NAN;
    lorac_status status = set_options(t, options, err);
    if (status == LORAC_OK) status = start(t, err);
    if (status == LORAC_OK)
        *trainer = t;
    else
        lorac_trainer_free(t);
    return status;
}

void lorac_trainer_free(lorac_trainer *t)
{
    if (!t) return;
    struct memory *m = &t->runtime->memory;
    struct backend *b = t->runtime->backend;
    struct lorac_model *model = t->model;
    struct buffer *const buffers[] = {t->weights, t->gradients, t->m, t->v, t->sums};
    pass_free(&t->pass);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) b->kernels->buffer_free(b, buffers[i]);
    void *const blocks[] = {t->targets,    t->folder, t->base,   t->initial,   t->layout.modules,
                            t->term_begin, t->terms,  t->staged, t->host_sums, t->order};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) mem_free(m, blocks[i]);
    mem_free(m, t);
    lorac_model_release(model);
}

void lorac_trainer_get_plan(const lorac_trainer *t, lorac_memory_plan *plan)
{
    size_t size = plan->struct_size;
    memcpy(plan, &t->plan, size < sizeof t->plan ? size : sizeof t->plan);
    plan->struct_size = size;
}

void lorac_trainer_get_info(const lorac_trainer *t, lorac_trainer_info *info)
{
    size_t size = info->struct_size;
    lorac_trainer_info full = {.struct_size = size,
                               .first_layer = t->first_layer,
                               .layers = t->model->config.layers,
                               .start_iteration = t->iteration,
                               .scale = t->options.scale};
    for (size_t i = 0; i < t->layout.count; i++) {
        const struct adapter_module *m = &t->layout.modules[i];
        full.trainable_parameters += m->rank * (module_rows(m) + m->linear->weight.cols);
    }
    memcpy(info, &full, size < sizeof full ? size : sizeof full);
}

lorac_status lorac_trainer_adapter(lorac_trainer *t, lorac_adapter **adapter, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    struct adapter_layout copy = t->layout;
    copy.modules = mem_array(m, t->layout.count, sizeof *copy.modules);
    if (!copy.modules) return fail_memory(err, "an adapter", t->layout.floats * 4);
    memcpy(copy.modules, t->layout.modules, t->layout.count * sizeof *copy.modules);
    return adapter_create(t->runtime, t->model, t->model->linear_count, &copy, trainer_floats(t, STATE_WEIGHTS),
                          t->folder ? t->folder : "(training)", adapter, err);
}
