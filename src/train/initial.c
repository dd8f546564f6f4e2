/* initial.c — the weights that a run starts from: A uniform in ±1/√in and B zero, or those of another adapter. */
#include "train/trainer.h"

#include "base/random.h"

#include <math.h>

static lorac_status draw(struct lorac_trainer *t, lorac_error *err)
{
    struct exec *e = &t->pass.exec;
    struct memory *m = &t->runtime->memory;
    size_t most = 0;
    for (size_t i = 0; i < t->layout.count; i++)
        if (t->layout.modules[i].b - t->layout.modules[i].a > most)
            most = t->layout.modules[i].b - t->layout.modules[i].a;
    float *floats = mem_array(m, most, sizeof *floats);
    if (!floats) return fail_memory(err, "the adapter", most * sizeof *floats);
    e->k->begin(&e->stream);
    e->k->fill(&e->stream, (struct buf){t->weights, 0}, NUMBER_F32, 0, t->layout.floats);
    e->k->wait(&e->stream);
    for (size_t i = 0; i < t->layout.count; i++) {
        const struct adapter_module *module = &t->layout.modules[i];
        struct random_key key = random_key(t->options.seed, RANDOM_INIT, module->linear->index, 0, 0);
        size_t in = module->linear->weight.cols, n = module->rank * in;
        double bound = 1 / sqrt((double)in);
        for (size_t k = 0; k < n; k++) floats[k] = (float)((2 * random_unit(key, k) - 1) * bound);
        e->k->upload(&e->stream, buf_at((struct buf){t->weights, 0}, module->a), floats, n * sizeof *floats);
    }
    mem_free(m, floats);
    return LORAC_OK;
}

/* The given adapter must adapt the same modules with the same rank. */
static lorac_status copy(struct lorac_trainer *t, const struct adapter_layout *given, const float *floats,
                         lorac_error *err)
{
    for (size_t i = 0; i < t->layout.count || i < given->count; i++) {
        const struct adapter_module *ours = i < t->layout.count ? &t->layout.modules[i] : NULL;
        const struct adapter_module *theirs = i < given->count ? &given->modules[i] : NULL;
        if (!ours || !theirs || ours->linear != theirs->linear)
            return fail(
                err, LORAC_MISMATCH, t->initial,
                "adapts other modules than this run: \"%s\" is in one only (see --target-modules, --num-layers)",
                !ours || (theirs && theirs->linear < ours->linear) ? theirs->linear->name : ours->linear->name);
        if (ours->rank != theirs->rank)
            return fail(err, LORAC_MISMATCH, t->initial, "\"%s\" has rank %zu, this run has --rank %zu",
                        ours->linear->name, theirs->rank, ours->rank);
    }
    struct exec *e = &t->pass.exec;
    e->k->upload(&e->stream, (struct buf){t->weights, 0}, floats, t->layout.floats * sizeof *floats);
    return LORAC_OK;
}

lorac_status checkpoint_initial(struct lorac_trainer *t, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    struct adapter_layout given;
    float *floats;
    if (!t->initial) return draw(t, err);
    TRY(model_adapter_read(t->model, t->initial, &given, &floats, err));
    lorac_status status = copy(t, &given, floats, err);
    mem_free(m, given.modules);
    mem_free(m, floats);
    return status;
}
