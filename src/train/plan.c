/* plan.c — the memory of a run before it begins: the largest batch on the null backend, and how much to compute again.
 */
#include "train/trainer.h"

#include "base/os.h"

static const char *const names[] = {"none", "gate-up", "layers"};

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
    return s->rows * (16 + 4 * c->rope.dims) + s->targets * 32 +
           c->layers * s->sequences * sizeof(struct attention_segment);
}

static void add_up(struct lorac_trainer *t, const struct pass_shape *shape, enum recompute recompute)
{
    lorac_memory_plan *p = &t->plan;
    p->activations = shape->stack + shape->gradients + batch_bytes(t, shape);
    p->total = p->weights + p->adapter + p->activations + p->process;
    p->recompute = names[recompute];
}

lorac_status plan_memory(struct lorac_trainer *t, struct pass_shape *shape, lorac_error *err)
{
    size_t limit = t->options.memory_limit ? t->options.memory_limit : os_physical_memory() / 10 * 9;
    enum recompute recompute = t->options.recompute ? RECOMPUTE_LAYERS : RECOMPUTE_NONE;
    TRY(largest(t, shape, err));
    size_t mapped = t->runtime->map_files ? t->model->file_bytes : 0; /* read ones are on the heap: the process's */
    t->plan = (lorac_memory_plan){.struct_size = sizeof t->plan,
                                  .weights = mapped,
                                  .adapter = (t->staged ? 7 : 4) * t->layout.floats * sizeof(float),
                                  .process = t->plan.process};
    for (;; recompute++) {
        TRY(pass_plan(t->model, shape, true, t->precision, (float)t->options.dropout, &t->table, t->first_layer,
                      recompute, err));
        add_up(t, shape, recompute);
        t->pass.batch.recompute = recompute;
        if (t->plan.total <= limit) return LORAC_OK;
        if (recompute == RECOMPUTE_LAYERS) break;
    }
    return fail(err, LORAC_OUT_OF_MEMORY, NULL,
                "the largest batch (%zu tokens) needs %.2f GB in all, even when layers are recomputed, and the limit "
                "is %.2f GB: "
                "lower --batch-size or --max-seq-length, or raise --memory-limit",
                shape->rows, (double)t->plan.total / 1e9, (double)limit / 1e9);
}
