/* test_trainer.c — runs from outside: resuming bit for bit after stops, kills and full disks; refusals by name; limits;
 * events. */
#include "engine.h"

#include "train/trainer.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif
#define BASE "headdim-q4_1.gguf"

struct fixture {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_dataset *train, *valid;
    char folder[256], run[2][300]; /* run: two folders below it */
    lorac_trainer_options options;
    lorac_trainer *trainer;
};

/* ---- fixture ------------------------------------------------------------------------------------ */

static lorac_dataset *data_of(lorac_runtime *r, uint64_t seed, size_t rows, size_t longest)
{
    int32_t *ids = calloc(rows * longest, sizeof *ids);
    size_t lengths[64], total = 0;
    lorac_dataset *d;
    for (size_t i = 0; i < rows; i++) total += lengths[i] = longest - i % 7;
    draw_ids(seed, ids, total);
    OK(lorac_dataset_from_tokens(r, ids, lengths, rows, &d, err));
    free(ids);
    return d;
}

/* Everything that a checkpoint must carry is on. */
static lorac_trainer_options full_options(const char *folder)
{
    lorac_trainer_options o;
    lorac_trainer_options_init(&o);
    o.precision = LORAC_EXACT;
    o.rank = 4;
    o.iterations = 13;
    o.batch_size = 3;
    o.accumulation = 2;
    o.learning_rate = 1e-2;
    o.weight_decay = 0.01;
    o.clip_norm = 0.5;
    o.schedule = LORAC_COSINE;
    o.warmup = 2;
    o.dropout = 0.1;
    o.seed = 5;
    o.steps_per_eval = 5;
    o.save_every = 4;
    o.adapter_path = folder;
    o.base_name = "base";
    return o;
}

static void fixture_fill(struct fixture *f)
{
    f->runtime = runtime_of(NULL, 2);
    f->model = model_of(f->runtime, BASE);
    f->train = data_of(f->runtime, 1, 11, 16);
    f->valid = data_of(f->runtime, 2, 4, 12);
}

static void fixture_empty(struct fixture *f)
{
    lorac_dataset_close(f->train);
    lorac_dataset_close(f->valid);
    lorac_model_release(f->model);
    runtime_end(f->runtime);
}

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_fill(f);
    folder_make(f->folder);
    for (int i = 0; i < 2; i++) snprintf(f->run[i], sizeof f->run[i], "%s/run%d", f->folder, i);
    f->options = full_options(f->run[0]);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    folder_remove(f->folder);
    fixture_empty(f);
    free(f);
    return 0;
}

static lorac_status train(struct fixture *f, lorac_event_fn on_event, void *user, lorac_train_result *result,
                          lorac_error *err)
{
    lorac_status status = lorac_trainer_create(f->model, f->train, f->valid, &f->options, &f->trainer, err);
    if (status != LORAC_OK) return status;
    status = lorac_trainer_run(f->trainer, on_event, user, result, err);
    lorac_trainer_free(f->trainer);
    return status;
}

static char *file_of(const char *folder, const char *name, size_t *size)
{
    struct memory memory = {0};
    char path[500], *bytes, *copy;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(os_read(&memory, path, 1 << 24, &bytes, size, err));
    copy = malloc(*size + 1);
    memcpy(copy, bytes, *size);
    mem_free(&memory, bytes);
    return copy;
}

static void assert_same_run(const char *a, const char *b, const char *what)
{
    static const char *const names[] = {"adapter_model.safetensors", "adapter_config.json", "state/state.safetensors",
                                        "best/adapter_model.safetensors",
                                        "checkpoints/0000012/adapter_model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size[2];
        char *bytes[2] = {file_of(a, names[i], &size[0]), file_of(b, names[i], &size[1])};
        if (size[0] != size[1] || memcmp(bytes[0], bytes[1], size[0]))
            fail_msg("%s: %s differs from the uninterrupted run's", what, names[i]);
        free(bytes[0]);
        free(bytes[1]);
    }
}

/* ---- stops -------------------------------------------------------------------------------------- */

struct stop {
    lorac_event_kind kind;
    size_t at; /* the iteration, or of other kinds the number of the event */
    size_t seen;
};

static int stop_there(void *user, const lorac_event *event)
{
    struct stop *s = user;
    return event->kind == s->kind && (event->kind == LORAC_EVENT_STEP ? event->iteration : ++s->seen) == s->at;
}

static void stopped_runs_go_on_exactly(void **state)
{
    struct fixture *f = *state;
    OK(train(f, NULL, NULL, NULL, err));
    f->options.adapter_path = f->run[1];
    for (size_t at = 1; at <= 12; at++) {
        char what[64];
        struct stop first = {LORAC_EVENT_STEP, at, 0}, second = {LORAC_EVENT_STEP, at + 3, 0};
        snprintf(what, sizeof what, "stopped after iterations %zu and %zu", at, at + 3);
        f->options.resume = 0;
        FAILS(train(f, stop_there, &first, NULL, err), LORAC_CANCELLED, "stopped at iteration");
        f->options.resume = 1;
        if (at + 3 < 13) FAILS(train(f, stop_there, &second, NULL, err), LORAC_CANCELLED, "stopped at iteration");
        OK(train(f, NULL, NULL, NULL, err));
        assert_same_run(f->run[0], f->run[1], what);
        folder_remove(f->run[1]);
    }
}

/* Stops in the middle of a validation, and right after one. */
static void stops_at_validations_go_on_exactly(void **state)
{
    struct fixture *f = *state;
    OK(train(f, NULL, NULL, NULL, err));
    f->options.adapter_path = f->run[1];
    for (size_t n = 1; n <= 6; n++) {
        struct stop stop = {n % 2 ? LORAC_EVENT_VALID_PROGRESS : LORAC_EVENT_VALID, n % 2 ? n : n / 2, 0};
        f->options.resume = 0;
        FAILS(train(f, stop_there, &stop, NULL, err), LORAC_CANCELLED, "stopped at iteration");
        f->options.resume = 1;
        OK(train(f, NULL, NULL, NULL, err));
        assert_same_run(f->run[0], f->run[1], "stopped while validating");
        folder_remove(f->run[1]);
    }
}

/* ---- kills -------------------------------------------------------------------------------------- */

static void child_run(const struct fixture *parent)
{
    struct fixture f = *parent;
    char state_path[400];
    fixture_fill(&f);
    snprintf(state_path, sizeof state_path, "%s/state/state.safetensors", f.run[1]);
    f.options.resume = os_is_file(state_path);
    f.options.adapter_path = f.run[1];
    f.valid = NULL;
    _exit(train(&f, NULL, NULL, NULL, NULL) == LORAC_OK ? 0 : 1);
}

static void killed_runs_go_on_exactly(void **state)
{
    struct fixture *f = *state;
    f->options.save_every = 2;
    f->options.steps_per_eval = 0;
    lorac_dataset *none = f->valid;
    f->valid = NULL;
    OK(train(f, NULL, NULL, NULL, err));
    int kills = 0, status = 1;
    double start = os_seconds();
    pid_t probe = fork(); /* how long a whole run takes */
    if (!probe) child_run(f);
    waitpid(probe, &status, 0);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    double whole = os_seconds() - start;
    int rounds = 0;
    for (; rounds < 4 || (kills < 3 && rounds < 40); rounds++) {
        folder_remove(f->run[1]);
        for (int attempt = 0; attempt < 50; attempt++) {
            pid_t child = fork();
            if (!child) child_run(f);
            if (attempt < 49) {
                double share = 0.3 + 0.35 * (1 + uniform((uint64_t)rounds, (uint64_t)attempt)) / 2 + 0.05 * attempt;
                usleep((useconds_t)(whole * share * 1e6));
                kill(child, SIGKILL);
            }
            waitpid(child, &status, 0);
            if (WIFEXITED(status)) break;
            kills++;
        }
        if (kills <= rounds) whole *= 0.7; /* runs are quicker than the probe was: kill earlier */
        assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
        size_t size[2];
        char *bytes[2] = {file_of(f->run[0], "state/state.safetensors", &size[0]),
                          file_of(f->run[1], "state/state.safetensors", &size[1])};
        assert_true(size[0] == size[1] && !memcmp(bytes[0], bytes[1], size[0]));
        free(bytes[0]);
        free(bytes[1]);
    }
    f->valid = none;
    print_message("%d kills in %d runs of %.0f ms\n", kills, rounds, whole * 1e3);
    assert_true(kills >= 3);
}

/* ---- disks --------------------------------------------------------------------------------------- */

static int fill_disk(void *user, const lorac_event *event)
{
    struct rlimit small;
    if (event->kind != LORAC_EVENT_STEP || event->iteration != *(size_t *)user) return 0;
    getrlimit(RLIMIT_FSIZE, &small);
    small.rlim_cur = 3000; /* the config fits, the weights do not */
    setrlimit(RLIMIT_FSIZE, &small);
    return 0;
}

static void full_disks_leave_the_checkpoint_whole(void **state)
{
    struct fixture *f = *state;
    struct rlimit old;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    OK(train(f, NULL, NULL, NULL, err));
    getrlimit(RLIMIT_FSIZE, &old);
    for (size_t at = 5; at <= 11; at += 6) { /* the next save is that of iteration 8, and 12 */
        size_t when = at;
        lorac_error error = {0};
        f->options.adapter_path = f->run[1];
        f->options.resume = 0;
        lorac_status status = train(f, fill_disk, &when, NULL, &error);
        setrlimit(RLIMIT_FSIZE, &old);
        if (status != LORAC_IO || !strstr(error.message, ".safetensors") || !strstr(error.message, f->run[1]))
            fail_msg("%d: %s", status, error.message);
        f->options.resume = 1;
        OK(train(f, NULL, NULL, NULL, err));
        assert_same_run(f->run[0], f->run[1], "after a full disk");
        folder_remove(f->run[1]);
    }
    signal(SIGXFSZ, handler);
}

static void folders_that_cannot_be_written_are_named(void **state)
{
    struct fixture *f = *state;
    char path[400];
    file_write(f->folder, "file", "not a folder");
    snprintf(path, sizeof path, "%s/file/run", f->folder);
    f->options.adapter_path = path;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_IO, "/file: cannot make the folder");
    if (!geteuid()) return; /* root may write everywhere */
    assert_int_equal(chmod(f->folder, 0500), 0);
    f->options.adapter_path = f->run[0];
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_IO, f->run[0]);
    assert_int_equal(chmod(f->folder, 0700), 0);
}

/* ---- what a resume refuses ------------------------------------------------------------------------- */

static void changed_runs_are_refused_by_name(void **state)
{
    struct fixture *f = *state;
    f->options.resume = 1;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_NOT_FOUND, "no checkpoint to resume from");
    f->options.resume = 0;
    OK(train(f, NULL, NULL, NULL, err));
    f->options.resume = 1;
    const lorac_trainer_options o = f->options;
#define CHANGED(change, words)                                                                                         \
    do {                                                                                                               \
        f->options = o;                                                                                                \
        change;                                                                                                        \
        FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, words);                                                 \
    } while (0)
    CHANGED(f->options.rank = 5, "--rank");
    CHANGED(f->options.scale = 3, "--scale");
    CHANGED(f->options.rslora = 1, "--rslora");
    CHANGED(f->options.dropout = 0, "--dropout");
    CHANGED(f->options.batch_size = 2, "--batch-size");
    CHANGED(f->options.accumulation = 1, "--grad-accumulation-steps");
    CHANGED(f->options.learning_rate = 1e-3, "--learning-rate");
    CHANGED(f->options.weight_decay = 0, "--weight-decay");
    CHANGED(f->options.clip_norm = 0, "--clip-norm");
    CHANGED(f->options.schedule = LORAC_LINEAR, "--lr-schedule");
    CHANGED(f->options.warmup = 0, "--warmup");
    CHANGED(f->options.seed = 6, "--seed");
    CHANGED(f->options.precision = LORAC_FAST, "--precision");
    CHANGED(f->options.val_batches = 1, "--val-batches");
    CHANGED(f->options.num_layers = 1, "--target-modules or --num-layers");
    CHANGED(f->options.target_modules = "q_proj", "--target-modules or --num-layers");
    CHANGED(f->options.iterations = 12, "--iters 12");
    f->options = o;
    lorac_dataset *train_data = f->train, *valid = f->valid;
    f->train = valid;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, "training data");
    f->train = train_data;
    f->valid = train_data;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, "validation data");
    f->valid = NULL;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, "validation data");
    f->valid = valid;
    lorac_model *model = f->model;
    f->model = model_of(f->runtime, "plain-q8_0.gguf");
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, "base model");
    lorac_model_release(f->model);
    f->model = model;
    OK(train(f, NULL, NULL, NULL, err)); /* as it was: nothing left to do */
    char path[400];
    snprintf(path, sizeof path, "%s/state", f->run[0]);
    file_write(path, "state.safetensors", "damaged");
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_FORMAT, "state.safetensors");
}

/* ---- starts and ends ------------------------------------------------------------------------------- */

static void starts_from_a_given_adapter(void **state)
{
    struct fixture *f = *state;
    lorac_adapter *given, *got;
    lorac_adapter_info a = {.struct_size = sizeof a}, b = a;
    OK(lorac_adapter_open(f->model, TEST_DATA "/training/quantised", &given, err));
    lorac_adapter_get_info(given, &a);
    f->options.initial_adapter = TEST_DATA "/training/quantised";
    f->options.scale = 2;
    f->options.adapter_path = NULL;
    OK(lorac_trainer_create(f->model, f->train, f->valid, &f->options, &f->trainer, err));
    OK(lorac_trainer_adapter(f->trainer, &got, err));
    lorac_adapter_get_info(got, &b);
    assert_string_equal(a.hash, b.hash);
    assert_true(a.parameters == b.parameters && a.modules == 14);
    lorac_trainer_free(f->trainer);
    lorac_adapter_release(got);
    lorac_adapter_release(given);
    f->options.rank = 8;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, "has rank 4, this run has --rank 8");
    f->options.rank = 4;
    f->options.target_modules = "q_proj,v_proj";
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, "k_proj\" is in one only");
}

static void ends_early_without_improvement(void **state)
{
    struct fixture *f = *state;
    lorac_train_result result = {.struct_size = sizeof result};
    f->options.learning_rate = 0;
    f->options.accumulation = 1;
    f->options.steps_per_eval = 1;
    f->options.early_stop = 2;
    OK(train(f, NULL, NULL, &result, err));
    assert_int_equal(result.iteration, 2);
    assert_int_equal(result.best_iteration, 0);
    assert_true(isfinite(result.valid_loss));
}

static void losses_that_explode_are_an_error(void **state)
{
    struct fixture *f = *state;
    f->options.learning_rate = 1e30;
    f->options.clip_norm = 0;
    f->options.schedule = LORAC_CONSTANT;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_NOT_FINITE, "not finite");
    f->options.steps_per_eval = 0;
    f->options.adapter_path = f->run[1];
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_NOT_FINITE, "lower --learning-rate");
}

/* ---- memory ---------------------------------------------------------------------------------------- */

static lorac_memory_plan plan_of(struct fixture *f)
{
    lorac_memory_plan plan = {.struct_size = sizeof plan};
    f->options.iterations = 6;
    OK(lorac_trainer_create(f->model, f->train, f->valid, &f->options, &f->trainer, err));
    lorac_trainer_get_plan(f->trainer, &plan);
    struct pass *p = &f->trainer->pass;
    size_t stack = p->exec.stack.capacity, gradients = p->exec.gradients.capacity;
    OK(lorac_trainer_run(f->trainer, NULL, NULL, NULL, err));
    assert_true(p->exec.stack.high <= stack && p->exec.gradients.high <= gradients);
    lorac_trainer_free(f->trainer);
    return plan;
}

static void limits_choose_the_recomputation(void **state)
{
    struct fixture *f = *state;
    f->options.adapter_path = NULL;
    lorac_memory_plan none = plan_of(f);
    assert_string_equal(none.recompute, "none");
    assert_true(none.total == none.weights + none.adapter + none.activations + none.process);
    f->options.memory_limit = none.total - 1;
    lorac_memory_plan gate_up = plan_of(f);
    assert_string_equal(gate_up.recompute, "gate-up");
    assert_true(gate_up.activations < none.activations);
    assert_int_equal(gate_up.recomputed_layers, 1); /* no more than the limit asks for */
    lorac_memory_plan layers = gate_up;
    for (lorac_memory_plan last; strcmp(layers.recompute, "layers"); layers = last) {
        f->options.memory_limit = layers.total - 1;
        last = plan_of(f);
        assert_true(last.activations < layers.activations);
    }
    f->options.memory_limit = 0;
    f->options.recompute = 1;
    layers = plan_of(f);
    f->options.recompute = 0;
    f->options.memory_limit = layers.total - 1;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_OUT_OF_MEMORY, "--memory-limit");
    f->options.memory_limit = 0;
    f->options.recompute = 1;
    assert_string_equal(plan_of(f).recompute, "layers");
}

static int add_flops(void *user, const lorac_event *e)
{
    if (e->kind == LORAC_EVENT_STEP) *(double *)user += e->flops;
    return 0;
}

/* percent_of_peak counts what the work needs: recomputation adds nothing to it. */
static void flops_leave_recomputation_out(void **state)
{
    struct fixture *f = *state;
    double flops[3] = {0};
    f->options.adapter_path = NULL;
    lorac_memory_plan none = plan_of(f);
    OK(train(f, add_flops, &flops[0], NULL, err));
    f->options.memory_limit = none.total - 1; /* gate and up */
    OK(train(f, add_flops, &flops[1], NULL, err));
    f->options.memory_limit = 0;
    f->options.recompute = 1;
    OK(train(f, add_flops, &flops[2], NULL, err));
    print_message("FLOPs of a run: %.0f, gate and up recomputed %.0f, layers recomputed %.0f\n", flops[0], flops[1],
                  flops[2]);
    assert_true(flops[0] > 0 && flops[1] == flops[0] && flops[2] == flops[0]);
}

/* ---- events ---------------------------------------------------------------------------------------- */

struct events {
    size_t steps, reports, validations, saves, targets, last_targets;
    double loss[4], first_validation;
};

static int count_events(void *user, const lorac_event *e)
{
    struct events *c = user;
    if (e->kind == LORAC_EVENT_STEP) {
        c->targets += e->target_tokens;
        assert_int_equal(e->iteration, ++c->steps);
    }
    if (e->kind == LORAC_EVENT_TRAIN) {
        c->reports++;
        c->last_targets = e->target_tokens;
    }
    if (e->kind == LORAC_EVENT_VALID) c->loss[c->validations++] = e->loss;
    if (e->kind == LORAC_EVENT_SAVE) c->saves++;
    return 0;
}

/* The validation of a run with dropout is that of the adapter as it is used. */
static void events_tell_what_happened(void **state)
{
    struct fixture *f = *state;
    struct events c = {0};
    lorac_adapter *a;
    lorac_adapter_set *set;
    lorac_evaluation base = {.struct_size = sizeof base}, after = base;
    const double one = 1;
    f->options.dropout = 0.5;
    f->options.steps_per_report = 3;
    OK(lorac_trainer_create(f->model, f->train, f->valid, &f->options, &f->trainer, err));
    OK(lorac_trainer_run(f->trainer, count_events, &c, NULL, err));
    OK(lorac_trainer_adapter(f->trainer, &a, err));
    OK(lorac_adapter_set_create(&a, &one, 1, &set, err));
    OK(lorac_evaluate(f->model, NULL, f->valid, LORAC_EXACT, NULL, NULL, &base, err));
    OK(lorac_evaluate(f->model, set, f->valid, LORAC_EXACT, NULL, NULL, &after, err));
    assert_true(c.steps == 13 && c.reports == 5 && c.validations == 4 && c.saves == 4 && c.last_targets == c.targets);
    assert_true(fabs(c.loss[0] - base.loss) < 1e-9 && fabs(c.loss[3] - after.loss) < 1e-9 &&
                fabs(base.loss - after.loss) > 1e-3);
    lorac_adapter_set_release(set);
    lorac_adapter_release(a);
    lorac_trainer_free(f->trainer);
}

static void no_batches_are_no_validation(void **state)
{
    struct fixture *f = *state;
    struct events c = {0};
    f->options.val_batches = 0;
    OK(train(f, count_events, &c, NULL, err));
    assert_true(c.steps == 13 && !c.validations);
}

/* ---- cancelling -------------------------------------------------------------------------------------- */

struct canceller {
    lorac_trainer *trainer;
    double after, when;
};

static void *cancel_later(void *user)
{
    struct canceller *c = user;
    usleep((useconds_t)(c->after * 1e6));
    c->when = os_seconds();
    lorac_trainer_cancel(c->trainer);
    return NULL;
}

static void cancelling_is_quick_inside_a_step(void **state)
{
    struct fixture *f = *state;
    double best = 1e9, step = 0;
    lorac_dataset *small = f->train;
    f->train = data_of(f->runtime, 9, 64, 250);
    f->options.batch_size = 64;
    f->options.adapter_path = NULL;
    f->options.steps_per_eval = 0;
    for (int i = 0; i < 4; i++) {
        struct canceller c = {.after = 0.02 * SLOWER};
        pthread_t thread;
        OK(lorac_trainer_create(f->model, f->train, NULL, &f->options, &f->trainer, err));
        c.trainer = f->trainer;
        if (!i) { /* how long an iteration is, to know that the others are stopped inside one */
            double start = os_seconds(), loss;
            size_t targets;
            OK(step_gradient(f->trainer, 0, &loss, &targets, err));
            step = os_seconds() - start;
        } else {
            assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
            FAILS(lorac_trainer_run(f->trainer, NULL, NULL, NULL, err), LORAC_CANCELLED, "stopped at iteration 0");
            best = fmin(best, os_seconds() - c.when);
            pthread_join(thread, NULL);
        }
        lorac_trainer_free(f->trainer);
    }
    print_message("an iteration takes %.0f ms; cancelled within %.1f ms (bound %d ms)\n", step * 1e3, best * 1e3,
                  50 * SLOWER);
    assert_true(step > 0.05 * SLOWER && best < 0.05 * SLOWER);
    lorac_dataset_close(f->train);
    f->train = small;
}

/* ---- options ----------------------------------------------------------------------------------------- */

static size_t parameters_of(struct fixture *f, const char *targets)
{
    lorac_trainer_info info = {.struct_size = sizeof info};
    f->options.target_modules = targets;
    OK(lorac_trainer_create(f->model, f->train, NULL, &f->options, &f->trainer, err));
    lorac_trainer_get_info(f->trainer, &info);
    lorac_trainer_free(f->trainer);
    return info.trainable_parameters;
}

static void targets_are_chosen_by_name(void **state)
{
    struct fixture *f = *state;
    lorac_model_info m = {.struct_size = sizeof m};
    lorac_model_get_info(f->model, &m);
    size_t q = 4 * (m.hidden_size + m.heads * m.head_dim), v = 4 * (m.hidden_size + m.kv_heads * m.head_dim);
    assert_int_equal(parameters_of(f, "q_proj"), m.layers * q);
    assert_int_equal(parameters_of(f, "q_proj,self_attn.v_proj"), m.layers * (q + v));
    assert_int_equal(parameters_of(f, "re:.*layers\\.0\\..*q_proj"), q);
    f->options.num_layers = 1;
    assert_int_equal(parameters_of(f, "q_proj"), q);
    f->options.target_modules = "q_proj,w_proj";
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, "\"w_proj\" matches no module");
    f->options.target_modules = "re:(";
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, "expression");
    f->options.target_modules = "re:.*layers\\.0\\..*q_proj"; /* the layer that --num-layers leaves out */
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, "matches no module");
    f->options.num_layers = 2;
    f->options.format = LORAC_FORMAT_MLX;
    FAILS(train(f, NULL, NULL, NULL, err), LORAC_UNSUPPORTED, "--adapter-format peft");
}

static void wrong_options_are_named(void **state)
{
    struct fixture *f = *state;
    const lorac_trainer_options o = f->options;
#define WRONG(change, words)                                                                                           \
    do {                                                                                                               \
        f->options = o;                                                                                                \
        change;                                                                                                        \
        FAILS(train(f, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, words);                                         \
    } while (0)
    WRONG(f->options.rank = 0, "rank");
    WRONG(f->options.scale = INFINITY, "scale");
    WRONG(f->options.dropout = 1, "dropout");
    WRONG(f->options.iterations = 0, "iterations");
    WRONG(f->options.batch_size = 2000, "batch size");
    WRONG(f->options.accumulation = 0, "accumulation");
    WRONG(f->options.learning_rate = NAN, "learning rate");
    WRONG(f->options.weight_decay = -1, "weight decay");
    WRONG(f->options.clip_norm = -1, "norm");
    WRONG(f->options.num_layers = 3, "--num-layers 3");
    WRONG(f->options.num_layers = 0, "--num-layers 0");
    WRONG((f->options.resume = 1, f->options.adapter_path = NULL), "folder");
}

static void ids_of_another_tokenizer_are_refused(void **state)
{
    struct fixture *f = *state;
    int32_t ids[3] = {4, 5, 100000};
    size_t length = 3;
    lorac_dataset *d, *good = f->train;
    lorac_evaluation e = {.struct_size = sizeof e};
    for (int i = 0; i < 2; i++, ids[2] = -1) {
        OK(lorac_dataset_from_tokens(f->runtime, ids, &length, 1, &d, err));
        f->train = d;
        FAILS(train(f, NULL, NULL, NULL, err), LORAC_MISMATCH, i ? "token -1" : "token 100000");
        FAILS(lorac_evaluate(f->model, NULL, d, LORAC_FAST, NULL, NULL, &e, err), LORAC_MISMATCH, "vocabulary");
        f->train = good;
        lorac_dataset_close(d);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stopped_runs_go_on_exactly),
        TEST(stops_at_validations_go_on_exactly),
        TEST(killed_runs_go_on_exactly),
        TEST(full_disks_leave_the_checkpoint_whole),
        TEST(folders_that_cannot_be_written_are_named),
        TEST(changed_runs_are_refused_by_name),
        TEST(starts_from_a_given_adapter),
        TEST(ends_early_without_improvement),
        TEST(losses_that_explode_are_an_error),
        TEST(limits_choose_the_recomputation),
        TEST(flops_leave_recomputation_out),
        TEST(events_tell_what_happened),
        TEST(no_batches_are_no_validation),
        TEST(cancelling_is_quick_inside_a_step),
        TEST(targets_are_chosen_by_name),
        TEST(wrong_options_are_named),
        TEST(ids_of_another_tokenizer_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
