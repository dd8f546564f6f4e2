/* test_training_golden.c — every gradient tensor and 50 optimiser steps against PEFT in f32, from the same A and B on
 * the same batches (tests/golden/training, tools/golden_training.py), and of every family the gradients alone
 * (tests/golden/families, tools/golden_families.py); exact precision, every instruction set of this CPU, and trace.
 *
 * Bounds: gradients within 2e-5 of their tensor's largest element; losses of the steps within 1e-5; final A and B
 * within 1e-4 of their tensor's largest element. PEFT itself, computing products in f64, differs from the goldens by
 * their "noise". */
#include "engine.h"

#include "train/trainer.h"

enum { MOST_ROWS = 16, MOST_IDS = 64 };
static const double gradient_bound = 2e-5, loss_bound = 1e-5, final_bound = 1e-4;

struct golden {
    json_t *file;
    char folder[512];
    lorac_model *model;
    lorac_dataset *data;
    lorac_trainer *trainer;
};

/* ---- the case ------------------------------------------------------------------------------- */

static lorac_dataset *dataset_of(lorac_runtime *r, const json_t *file)
{
    lorac_dataset *d;
    lorac_dataset_options o;
    const json_t *rows = json_object_get(file, "rows"), *targets = json_object_get(file, "targets");
    lorac_dataset_options_init(&o);
    OK(dataset_create(&r->memory, &d, err));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int32_t ids[MOST_IDS], flags[MOST_IDS];
        uint8_t mask[MOST_IDS];
        size_t n = ids_of(json_array_get(rows, i), ids, MOST_IDS);
        assert_int_equal(ids_of(json_array_get(targets, i), flags, MOST_IDS), n);
        for (size_t k = 0; k < n; k++) mask[k] = (uint8_t)flags[k];
        OK(dataset_add(d, ids, mask, n, &o, NULL, i, err));
    }
    OK(dataset_finish(d, err));
    return d;
}

static void golden_open(struct golden *g, lorac_runtime *r, const char *place, const char *models, const char *name)
{
    char path[600];
    snprintf(g->folder, sizeof g->folder, "%s%s", place, name);
    snprintf(path, sizeof path, "%s/case.json", g->folder);
    g->file = json_of(path);
    g->model = model_in(r, models, string(g->file, "model"));
    g->data = dataset_of(r, g->file);
    lorac_trainer_options o;
    lorac_trainer_options_init(&o);
    o.precision = LORAC_EXACT;
    o.rank = integer(g->file, "rank");
    o.scale = number(g->file, "scale");
    o.num_layers = (int)integer(g->file, "num_layers");
    if (json_object_get(g->file, "target_modules")) o.target_modules = string(g->file, "target_modules");
    o.batch_size = json_array_size(json_object_get(g->file, "rows"));
    o.weight_decay = number(g->file, "weight_decay");
    o.clip_norm = number(g->file, "clip_norm");
    o.learning_rate = number(g->file, "learning_rate");
    o.warmup = integer(g->file, "warmup");
    o.schedule = !strcmp(string(g->file, "schedule"), "cosine") ? LORAC_COSINE : LORAC_CONSTANT;
    o.initial_adapter = g->folder;
    OK(lorac_trainer_create(g->model, g->data, NULL, &o, &g->trainer, err));
}

static void golden_close(struct golden *g)
{
    lorac_trainer_free(g->trainer);
    lorac_dataset_close(g->data);
    lorac_model_release(g->model);
    json_decref(g->file);
}

/* Adds the batch's gradient; its number of targets. */
static size_t run_batch(struct golden *g, const json_t *rows, double *sum)
{
    struct pass *p = &g->trainer->pass;
    pass_clear(p);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const int32_t *ids;
        const uint8_t *mask;
        size_t count;
        OK(lorac_dataset_row(g->data, (size_t)json_integer_value(json_array_get(rows, i)), &ids, &mask, &count, err));
        assert_true(pass_add(p, ids, mask, count, &g->trainer->table));
    }
    OK(pass_run(p, true, sum, err));
    return p->count;
}

/* ---- comparing ------------------------------------------------------------------------------ */

static float *host_of(struct golden *g, struct buffer *buffer)
{
    struct stream s = {.backend = g->trainer->runtime->backend};
    size_t bytes = g->trainer->layout.floats * sizeof(float);
    float *host = malloc(bytes);
    assert_non_null(host);
    s.backend->kernels->readback(&s, host, (struct buf){buffer, 0}, bytes);
    return host;
}

/* Largest difference of floats · factor (rows, cols) from the golden tensor, by the tensor's largest element. `b`: the
 * module whose B it is, its rows in memory in the base file's order. */
static double compare(const struct safetensors *file, const char *module, const char *suffix, const float *floats,
                      double factor, size_t rows, size_t cols, const struct adapter_module *b)
{
    char name[2 * MODULE_NAME];
    snprintf(name, sizeof name, "base_model.model.%s.%s.weight", module, suffix);
    const struct st_tensor *t = safetensors_find(file, name);
    if (!t || t->shape[0] != rows || t->shape[1] != cols) fail_msg("%s: missing or misshapen", name);
    double most = 0, worst = 0;
    for (size_t n = 0; n < rows; n++)
        for (size_t k = 0; k < cols; k++) {
            float golden;
            memcpy(&golden, t->data + (n * cols + k) * sizeof golden, sizeof golden);
            most = fmax(most, fabs((double)golden));
            worst = fmax(worst, fabs((double)floats[(b ? module_row(b, n) : n) * cols + k] * factor - (double)golden));
        }
    return worst / most;
}

static double compare_all(struct golden *g, struct buffer *buffer, double factor, const char *name)
{
    struct memory memory = {0};
    struct safetensors file;
    char path[600];
    const struct adapter_layout *layout = &g->trainer->layout;
    float *host = host_of(g, buffer);
    double worst = 0;
    snprintf(path, sizeof path, "%s/%s", g->folder, name);
    OK(safetensors_open(&memory, path, true, &file, err));
    assert_int_equal(file.count, layout->count * 2);
    for (size_t i = 0; i < layout->count; i++) {
        const struct adapter_module *m = &layout->modules[i];
        const struct module_names names = model_linears(g->trainer->model).names;
        char module[MODULE_NAME];
        module_spell(&names, names.peft, m->linear->name, module);
        worst =
            fmax(worst, compare(&file, module, "lora_A", host + m->a, factor, m->rank, m->linear->weight.cols, NULL));
        worst = fmax(worst, compare(&file, module, "lora_B", host + m->b, factor, module_rows(m), m->rank, m));
    }
    safetensors_close(&file);
    free(host);
    return worst;
}

/* ---- gradients ------------------------------------------------------------------------------ */

static void check_gradients(struct golden *g, const char *what)
{
    double sum;
    step_zero(g->trainer);
    size_t targets = run_batch(g, json_object_get(g->file, "gradient_rows"), &sum);
    double loss = fabs(sum / (double)targets - number(g->file, "gradient_loss"));
    double worst = compare_all(g, g->trainer->gradients, 1 / (double)targets, "gradients.safetensors");
    print_message("%s: loss within %.2e (bound %.0e), gradients within %.2e of their largest (bound %.0e)\n", what,
                  loss, loss_bound, worst, gradient_bound);
    assert_true(loss <= loss_bound && worst <= gradient_bound);
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* √Σ g² of the mean gradient. */
static double gradient_norm(struct golden *g, size_t targets)
{
    float *host = host_of(g, g->trainer->gradients);
    double sum = 0;
    for (size_t i = 0; i < g->trainer->layout.floats; i++) sum += (double)host[i] * (double)host[i];
    free(host);
    return sqrt(sum) / (double)targets;
}

static void check_steps(struct golden *g, const char *what)
{
    struct lorac_trainer *t = g->trainer;
    const json_t *steps = json_object_get(g->file, "steps"), *step;
    double loss_error = 0, norm_error = 0;
    size_t s;
    json_array_foreach((json_t *)(uintptr_t)steps, s, step)
    {
        const json_t *batches = json_object_get(step, "batches"), *losses = json_object_get(step, "losses");
        size_t targets = 0;
        double total = 0, rate = schedule_rate(&t->options, s, json_array_size(steps));
        step_zero(t);
        for (size_t i = 0; i < json_array_size(batches); i++) {
            double sum;
            size_t n = run_batch(g, json_array_get(batches, i), &sum);
            loss_error = fmax(loss_error, fabs(sum / (double)n - json_number_value(json_array_get(losses, i))));
            targets += n;
            total += sum;
        }
        loss_error = fmax(loss_error, fabs(total / (double)targets - number(step, "loss")));
        norm_error = fmax(norm_error, fabs(gradient_norm(g, targets) / number(step, "gradient_norm") - 1));
        assert_true(fabs(rate - number(step, "learning_rate")) <= 1e-12);
        OK(step_update(t, targets, rate, err));
    }
    double final = compare_all(g, t->weights, 1, "final.safetensors");
    const json_t *noise = json_object_get(g->file, "noise");
    print_message("%s: %zu steps, losses within %.2e (bound %.0e, noise %.0e), norms within %.2e, A and B within %.2e "
                  "of their largest (bound %.0e, noise %.0e)\n",
                  what, json_array_size(steps), loss_error, loss_bound, number(noise, "loss"), norm_error, final,
                  final_bound, number(noise, "final"));
    assert_true(json_array_size(steps) == 50 && loss_error <= loss_bound && norm_error <= 5e-4 && final <= final_bound);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void check_case(lorac_runtime *r, const char *level, const char *place, const char *models, const char *name)
{
    struct golden g;
    char what[64];
    snprintf(what, sizeof what, "%s, %s", level, name);
    golden_open(&g, r, place, models, name);
    check_gradients(&g, what);
    if (json_object_get(g.file, "steps")) check_steps(&g, what);
    golden_close(&g);
}

/* Every case of a folder whose name ends so; their number. */
static size_t check_place(lorac_runtime *r, const char *level, const char *place, const char *models,
                          const char *ending)
{
    char **names;
    size_t count, cases = 0;
    struct memory memory = {0};
    OK(os_list(&memory, place, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        const char *end = strlen(names[i]) >= strlen(ending) ? names[i] + strlen(names[i]) - strlen(ending) : "-";
        if (strcmp(end, ending) != 0) continue;
        check_case(r, level, place, models, names[i]);
        cases++;
    }
    os_names_free(&memory, names, count);
    return cases;
}

static void check_runtime(lorac_runtime *r, const char *level)
{
    size_t cases = check_place(r, level, TEST_DATA "/training/", MODELS, ""),
           of_families = check_place(r, level, FAMILIES, FAMILIES, ".training");
    assert_true(cases >= 4 && of_families >= 25);
    runtime_end(r);
}

static void every_level(void **state)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "avx512bf16", "amx"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        lorac_runtime *r = runtime_or_null(NULL, levels[i], 2);
        if (r) check_runtime(r, levels[i]);
    }
}

static void trace(void **state)
{
    check_runtime(runtime_of("trace", 2), "trace");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_level), cmocka_unit_test(trace)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
