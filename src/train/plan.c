/* plan.c — the memory of a run before it begins: the largest batch on the null backend, and how much to compute again.
 */
#include "train/trainer.h"

#include "base/os.h"

/* The largest batch that the run's own order will make, and validation's. */
static lorac_status largest(struct lorac_trainer *t, struct pass_shape *shape, lorac_error *err)
{
    size_t *rows = mem_array(&t->runtime->memory, t->options.batch_size, sizeof *rows), longest = 1,
           batches = order_batches(t);
    if (!rows) return fail_memory(err, "a batch", t->options.batch_size * sizeof *rows);
    for (size_t i = t->iteration; i < t->options.iterations || i == t->iteration; i++) {
        size_t n = order_batch(t, i, rows), tokens = 0;
        for (size_t k = 0; k < n; k++) {
            const size_t *starts = t->train->starts.items;
            tokens += starts[rows[k] + 1] - starts[rows[k]];
        }
        if (tokens > longest) longest = tokens;
        if (batches == 1) break;
    }
    if (t->valid && t->valid->longest > longest) longest = t->valid->longest;
    mem_free(&t->runtime->memory, rows);
    *shape = (struct pass_shape){.rows = longest, .sequences = t->options.batch_size, .targets = longest};
    return LORAC_OK;
}

static size_t batch_bytes(const struct lorac_trainer *t, const struct pass_shape *s)
{
    const struct model_config *c = &t->model->config;
    size_t rotated = c->rope[ROPE_FULL].dims + (c->local_rope ? c->rope[ROPE_LOCAL].dims : 0);
    return s->rows * (16 + 4 * rotated) + s->targets * 32 + c->layers * s->sequences * sizeof(struct attention_segment);
}

/* Step 0 computes nothing again; each step on is the MLP of one more layer, then the whole of one more. */
static struct recompute at_step(const struct lorac_trainer *t, size_t step)
{
    size_t layers = t->model->config.layers - t->first_layer;
    return step <= layers ? (struct recompute){0, step} : (struct recompute){step - layers, layers};
}

static lorac_status try_step(struct lorac_trainer *t, struct pass_shape *shape, size_t step, lorac_error *err)
{
    lorac_memory_plan *p = &t->plan;
    struct recompute r = at_step(t, step);
    TRY(pass_plan(t->model, shape, true, t->precision, (float)t->options.dropout, &t->table, t->first_layer, r, err));
    p->activations = shape->stack + shape->gradients + batch_bytes(t, shape);
    p->total = p->weights + p->adapter + p->activations + p->process;
    p->recompute = r.layers ? "layers" : r.gate_up ? "gate-up" : "none";
    p->recomputed_layers = r.layers ? r.layers : r.gate_up;
    t->pass.batch.recompute = r;
    return LORAC_OK;
}

/* The fewest steps that fit; all of them at the user's word. */
static lorac_status fit(struct lorac_trainer *t, struct pass_shape *shape, size_t limit, lorac_error *err)
{
    size_t most = 2 * (t->model->config.layers - t->first_layer), low = t->options.recompute ? most : 0, high = most;
    TRY(try_step(t, shape, low, err));
    if (t->plan.total <= limit) return LORAC_OK;
    TRY(try_step(t, shape, high, err));
    if (t->plan.total > limit)
        return fail(err, LORAC_OUT_OF_MEMORY, NULL,
                    "the largest batch (%zu tokens) needs %.2f GB in all, even when layers are recomputed, and the "
                    "limit is %.2f GB: lower --batch-size or --max-seq-length, or raise --memory-limit",
                    shape->rows, (double)t->plan.total / 1e9, (double)limit / 1e9);
    while (high - low > 1) { /* low does not fit, high does */
        size_t middle = (low + high) / 2;
        TRY(try_step(t, shape, middle, err));
        *(t->plan.total <= limit ? &high : &low) = middle;
    }
    return try_step(t, shape, high, err);
}

lorac_status plan_memory(struct lorac_trainer *t, struct pass_shape *shape, lorac_error *err)
{
    size_t limit = t->options.memory_limit ? t->options.memory_limit : os_physical_memory() / 10 * 9;
    TRY(largest(t, shape, err));
    size_t mapped = t->runtime->map_files ? t->model->file_bytes : 0; /* read ones are on the heap: the process's */
    t->plan = (lorac_memory_plan){.struct_size = sizeof t->plan,
                                  .weights = mapped,
                                  .adapter = (t->staged ? 7 : 4) * t->layout.floats * sizeof(float),
                                  .process = t->plan.process};
    return fit(t, shape, limit, err);
}
