/* checkpoint.c — the folder of a run: the adapter as it is, best/, checkpoints/NNNNNNN/, and state/ to go on from.
 *
 * state/state.safetensors is one file, written whole or not at all: weights, first and second moments in the base
 * file's row order, and as metadata what the run depends on. A resume compares that by name and refuses what changed.
 */
#include "train/trainer.h"

#include "base/os.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STATE_VERSION = 1 };
static const char *const part_names[STATES] = {"weights", "m", "v"};

/* ---- the backend's floats on the host -------------------------------------------------------- */

static struct buf part(const struct lorac_trainer *t, size_t i)
{
    struct buffer *const parts[STATES] = {t->weights, t->m, t->v};
    return (struct buf){parts[i], 0};
}

const float *trainer_floats(struct lorac_trainer *t, enum trainer_state state)
{
    struct stream s = {.backend = t->runtime->backend};
    if (!t->staged) return s.backend->kernels->host_view(s.backend, part(t, state));
    float *floats = t->staged + (size_t)state * t->layout.floats;
    s.backend->kernels->readback(&s, floats, part(t, state), t->layout.floats * sizeof *floats);
    return floats;
}

/* ---- adapter folders -------------------------------------------------------------------------- */

static lorac_status write_adapter(struct lorac_trainer *t, const char *folder, lorac_error *err)
{
    const lorac_trainer_options *o = &t->options;
    struct adapter_description d = {.base = t->base,
                                    .dropout = o->dropout,
                                    .rslora = o->rslora,
                                    .layers = t->model->config.layers,
                                    .peft = o->format & LORAC_FORMAT_PEFT,
                                    .mlx = o->format & LORAC_FORMAT_MLX,
                                    .linears = model_linears(t->model)};
    return adapter_write(&t->runtime->memory, folder, &t->layout, trainer_floats(t, STATE_WEIGHTS), &d, err);
}

/* Into a folder beside it first, then renamed: it is there whole or not at all. */
static lorac_status write_folder(struct lorac_trainer *t, const char *name, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    char *path = os_join(m, t->folder, name), *temporary = path ? mem_alloc(m, strlen(path) + 5) : NULL;
    lorac_status status = temporary ? LORAC_OK : fail_memory(err, "a path", strlen(name));
    if (status == LORAC_OK) {
        sprintf(temporary, "%s.tmp", path);
        if (os_is_folder(temporary)) status = os_remove_tree(m, temporary, err);
    }
    if (status == LORAC_OK) status = write_adapter(t, temporary, err);
    if (status == LORAC_OK) status = os_replace_folder(m, temporary, path, err);
    mem_free(m, path);
    mem_free(m, temporary);
    return status;
}

lorac_status checkpoint_keep(struct lorac_trainer *t, lorac_error *err)
{
    char name[64];
    if (!t->folder) return LORAC_OK;
    snprintf(name, sizeof name, "checkpoints/%07zu", t->iteration);
    return write_folder(t, name, err);
}

lorac_status checkpoint_best(struct lorac_trainer *t, lorac_error *err)
{
    if (!t->folder) return LORAC_OK;
    return write_folder(t, "best", err);
}

/* ---- what a run depends on --------------------------------------------------------------------- */

static void layout_hash_text(const struct lorac_trainer *t, char text[HASH_TEXT])
{
    struct hash h;
    uint8_t digest[HASH_BYTES] = {0};
    if (hash_begin(&h, NULL) == LORAC_OK) {
        for (size_t i = 0; i < t->layout.count; i++)
            hash_add(&h, t->layout.modules[i].linear->name, strlen(t->layout.modules[i].linear->name) + 1);
        hash_end(&h, digest);
    }
    hash_text(digest, text);
}

/* Everything that must be the same for the run to go on exactly; the keys are what a refusal names. */
static json_t *describe(const struct lorac_trainer *t)
{
    const lorac_trainer_options *o = &t->options;
    char base[HASH_TEXT], train[HASH_TEXT], valid[HASH_TEXT] = "", targets[HASH_TEXT];
    hash_text(t->model->fingerprint, base);
    hash_text(t->train->hash, train);
    if (t->valid) hash_text(t->valid->hash, valid);
    layout_hash_text(t, targets);
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:f,s:b,s:f,s:I,s:I,s:f,s:f,s:f,s:I,s:I,s:I,s:s,s:I}", "base model", base,
                     "training data", train, "validation data", valid, "--target-modules or --num-layers", targets,
                     "--rank", (json_int_t)o->rank, "--scale", o->scale, "--rslora", o->rslora, "--dropout", o->dropout,
                     "--batch-size", (json_int_t)o->batch_size, "--grad-accumulation-steps",
                     (json_int_t)o->accumulation, "--learning-rate", o->learning_rate, "--weight-decay",
                     o->weight_decay, "--clip-norm", o->clip_norm, "--lr-schedule", (json_int_t)o->schedule, "--warmup",
                     (json_int_t)o->warmup, "--seed", (json_int_t)o->seed, "--precision",
                     t->precision == PRECISION_EXACT ? "exact" : "fast", "--val-batches", (json_int_t)o->val_batches);
}

static json_t *progress(const struct lorac_trainer *t)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:I}", "iteration", (json_int_t)t->iteration, "optimizer_step",
                     (json_int_t)t->optimizer_step, "best_iteration", (json_int_t)t->best_iteration,
                     "evaluations_without_best", (json_int_t)t->evaluations_without_best, "validated",
                     (json_int_t)t->validated, "best_loss",
                     isfinite(t->best_loss) ? json_real(t->best_loss) : json_null(), "valid_loss",
                     isfinite(t->valid_loss) ? json_real(t->valid_loss) : json_null(), "iterations",
                     (json_int_t)t->options.iterations);
}

/* ---- state/ ----------------------------------------------------------------------------------- */

static char *state_path(const struct lorac_trainer *t, struct memory *m)
{
    return os_join(m, t->folder, "state/state.safetensors");
}

static lorac_status write_state(struct lorac_trainer *t, const char *path, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    struct text run = {.memory = m}, now = {.memory = m};
    json_t *values[2] = {describe(t), progress(t)};
    json_print(&run, values[0], (struct json_style){.sort_keys = true});
    json_print(&now, values[1], (struct json_style){.sort_keys = true});
    const char *const metadata[] = {"version", "1", "run", run.data, "progress", now.data};
    struct st_tensor tensors[STATES];
    for (size_t i = 0; i < STATES; i++)
        tensors[i] = (struct st_tensor){.name = (char *)(uintptr_t)part_names[i],
                                        .dtype = ST_F32,
                                        .dims = 1,
                                        .shape = {t->layout.floats},
                                        .data = (const uint8_t *)trainer_floats(t, (enum trainer_state)i),
                                        .bytes = t->layout.floats * sizeof(float)};
    lorac_status status = run.failed || now.failed || !run.data || !now.data
                              ? fail_memory(err, "a checkpoint", run.length)
                              : safetensors_write(m, path, tensors, STATES, metadata, 3, err);
    json_decref(values[0]);
    json_decref(values[1]);
    text_free(&run);
    text_free(&now);
    return status;
}

lorac_status checkpoint_prepare(struct lorac_trainer *t, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    if (!t->folder) return LORAC_OK;
    char *folder = os_join(m, t->folder, "state");
    lorac_status status = folder ? os_make_folder(folder, err) : fail_memory(err, "a path", 0);
    mem_free(m, folder);
    return status;
}

lorac_status checkpoint_save(struct lorac_trainer *t, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    if (!t->folder) return LORAC_OK;
    TRY(checkpoint_prepare(t, err));
    char *path = state_path(t, m);
    if (!path) return fail_memory(err, "a path", 0);
    lorac_status status = write_adapter(t, t->folder, err);
    if (status == LORAC_OK) status = write_state(t, path, err);
    mem_free(m, path);
    return status;
}

/* ---- going on --------------------------------------------------------------------------------- */

static lorac_status compare(struct lorac_trainer *t, const char *path, const json_t *then, lorac_error *err)
{
    json_t *now = describe(t), *value;
    const char *key;
    lorac_status status = LORAC_OK;
    json_object_foreach(now, key, value)
    {
        const json_t *old = json_object_get(then, key);
        bool same = json_is_number(value) ? json_is_number(old) && json_number_value(value) == json_number_value(old)
                                          : json_equal(value, (json_t *)(uintptr_t)old);
        if (!same && status == LORAC_OK)
            status = fail(err, LORAC_MISMATCH, path,
                          "cannot resume: %s changed since the checkpoint; use the same as before, or start anew in "
                          "another folder",
                          key);
    }
    json_decref(now);
    return status;
}

static lorac_status read_progress(struct lorac_trainer *t, const char *path, const json_t *p, lorac_error *err)
{
    size_t iterations;
    TRY(json_get_size(p, "iteration", 0, &t->iteration, path, err));
    TRY(json_get_size(p, "optimizer_step", 0, &t->optimizer_step, path, err));
    TRY(json_get_size(p, "best_iteration", 0, &t->best_iteration, path, err));
    TRY(json_get_size(p, "evaluations_without_best", 0, &t->evaluations_without_best, path, err));
    TRY(json_get_size(p, "validated", 0, &t->validated, path, err));
    TRY(json_get_float(p, "best_loss", INFINITY, &t->best_loss, path, err));
    TRY(json_get_float(p, "valid_loss", NAN, &t->valid_loss, path, err));
    TRY(json_get_size(p, "iterations", 0, &iterations, path, err));
    if (t->options.iterations < iterations)
        return fail(err, LORAC_MISMATCH, path,
                    "cannot resume: --iters %zu is less than the %zu of the run; it may only grow",
                    t->options.iterations, iterations);
    return LORAC_OK;
}

static lorac_status read_metadata(struct lorac_trainer *t, const struct safetensors *s, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    const char *version = safetensors_metadata(s, "version"), *run = safetensors_metadata(s, "run"),
               *now = safetensors_metadata(s, "progress");
    json_t *then = NULL, *p = NULL;
    if (!version || !run || !now) return fail(err, LORAC_FORMAT, s->path, "is no checkpoint of lorac");
    if (strcmp(version, "1"))
        return fail(err, LORAC_UNSUPPORTED, s->path, "is a checkpoint of version %.16s; this lorac reads %d", version,
                    STATE_VERSION);
    lorac_status status = json_read(m, run, strlen(run), s->path, &then, err);
    if (status == LORAC_OK) status = json_read(m, now, strlen(now), s->path, &p, err);
    if (status == LORAC_OK) status = compare(t, s->path, then, err);
    if (status == LORAC_OK) status = read_progress(t, s->path, p, err);
    json_decref(then);
    json_decref(p);
    return status;
}

static lorac_status read_tensors(struct lorac_trainer *t, const struct safetensors *s, lorac_error *err)
{
    struct stream stream = {.backend = t->runtime->backend};
    for (size_t i = 0; i < STATES; i++) {
        const struct st_tensor *part_tensor = safetensors_find(s, part_names[i]);
        if (!part_tensor || part_tensor->dtype != ST_F32 || part_tensor->bytes != t->layout.floats * sizeof(float))
            return fail(err, LORAC_FORMAT, s->path, "tensor \"%s\" is missing or has the wrong size", part_names[i]);
        stream.backend->kernels->upload(&stream, part(t, i), part_tensor->data, part_tensor->bytes);
    }
    return LORAC_OK;
}

lorac_status checkpoint_resume(struct lorac_trainer *t, lorac_error *err)
{
    struct memory *m = &t->runtime->memory;
    struct safetensors s;
    if (!t->folder) return fail(err, LORAC_INVALID_ARGUMENT, NULL, "resuming needs the folder of the run");
    char *path = state_path(t, m);
    if (!path) return fail_memory(err, "a path", 0);
    lorac_status status = os_is_file(path) ? safetensors_open(m, path, false, &s, err)
                                           : fail(err, LORAC_NOT_FOUND, path,
                                                  "there is no checkpoint to resume from; leave --resume out to start");
    if (status == LORAC_OK) {
        status = read_metadata(t, &s, err);
        if (status == LORAC_OK) status = read_tensors(t, &s, err);
        safetensors_close(&s);
    }
    mem_free(m, path);
    return status;
}
