/* test_logits_golden.c — every tiny model against the logits of transformers (tests/golden/models and families,
 * tools/golden_logits.py and golden_families.py).
 *
 * Exact: at every instruction set of this CPU and on the trace backend, log-probabilities within 1e-3, mean losses
 * within 1e-4. Fast: within the bounds below, a prompt at once (bf16 products) and a token at a time (int8
 * activations). */
#include "engine.h"

enum { MOST_IDS = 128, MOST_VOCAB = 512 };

struct bound {
    double logprob, loss;
};
static const struct bound exact = {1e-3, 1e-4}, fast = {0.8, 0.06};

struct run {
    lorac_model *model;
    lorac_precision precision;
    size_t step; /* tokens a forward takes */
    struct bound worst;
};

static void log_softmax(const double *logits, size_t n, double *out)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, logits[i]);
    for (size_t i = 0; i < n; i++) sum += exp(logits[i] - most);
    for (size_t i = 0; i < n; i++) out[i] = logits[i] - most - log(sum);
}

/* Largest difference of the log-probabilities that two rows of logits give. */
static double compare_logits(const float *found, const json_t *golden)
{
    double a[MOST_VOCAB], b[MOST_VOCAB], worst = 0;
    size_t n = json_array_size(golden);
    assert_true(n <= MOST_VOCAB);
    for (size_t i = 0; i < n; i++) {
        a[i] = (double)found[i];
        b[i] = json_number_value(json_array_get(golden, i));
    }
    log_softmax(a, n, a);
    log_softmax(b, n, b);
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs(a[i] - b[i]));
    return worst;
}

/* The row's logits after each id, (count, vocab), `step` ids a forward. */
static float *compute(const struct run *r, const int32_t *ids, size_t count, size_t vocab)
{
    lorac_session_options o;
    lorac_session *s;
    float *all = calloc(count * vocab, sizeof *all);
    assert_non_null(all);
    lorac_session_options_init(&o);
    o.precision = r->precision;
    o.all_logits = 1;
    o.max_tokens = o.prefill_tokens = MOST_IDS;
    OK(lorac_session_create(r->model, NULL, &o, &s, err));
    for (size_t at = 0; at < count; at += r->step) {
        size_t n = count - at < r->step ? count - at : r->step;
        OK(lorac_session_append(s, ids + at, n, err));
        OK(lorac_sessions_forward(&s, 1, err));
        for (size_t i = 0; i < n; i++)
            memcpy(all + (at + i) * vocab, lorac_session_logits(s, n - 1 - i), vocab * sizeof *all);
    }
    lorac_session_free(s);
    return all;
}

static void check_row(struct run *r, const json_t *row)
{
    int32_t ids[MOST_IDS];
    size_t count = ids_of(json_object_get(row, "ids"), ids, MOST_IDS);
    lorac_model_info info = {.struct_size = sizeof info};
    lorac_model_get_info(r->model, &info);
    float *all = compute(r, ids, count, info.vocab_size);
    const json_t *positions = json_object_get(row, "positions"), *logprobs = json_object_get(row, "logprobs");
    for (size_t i = 0; i < json_array_size(positions); i++) {
        const json_t *golden = json_array_get(json_object_get(row, "logits"), i);
        size_t at = (size_t)json_integer_value(json_array_get(positions, i));
        assert_int_equal(json_array_size(golden), info.vocab_size);
        r->worst.logprob = fmax(r->worst.logprob, compare_logits(all + at * info.vocab_size, golden));
    }
    double sum = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        float of;
        OK(lorac_logprobs(r->model, all + i * info.vocab_size, ids[i + 1], &of, NULL, 0, err));
        sum -= (double)of;
        r->worst.logprob = fmax(r->worst.logprob, fabs((double)of - json_number_value(json_array_get(logprobs, i))));
    }
    r->worst.loss = fmax(r->worst.loss, fabs(sum / (double)(count - 1) - number(row, "loss")));
    free(all);
}

/* The same loss from lorac_evaluate, whose head and cross-entropy are another op. */
static void check_evaluation(lorac_runtime *runtime, struct run *r, const json_t *row)
{
    int32_t ids[MOST_IDS];
    size_t count = ids_of(json_object_get(row, "ids"), ids, MOST_IDS);
    lorac_dataset *data;
    lorac_evaluation e = {.struct_size = sizeof e};
    OK(lorac_dataset_from_tokens(runtime, ids, &count, 1, &data, err));
    OK(lorac_evaluate(r->model, NULL, data, r->precision, NULL, NULL, &e, err));
    assert_int_equal(e.tokens, count - 1);
    r->worst.loss = fmax(r->worst.loss, fabs(e.loss - number(row, "loss")));
    lorac_dataset_close(data);
}

static struct bound check_model(lorac_runtime *runtime, const char *place, const json_t *golden,
                                lorac_precision precision, size_t step)
{
    struct run r = {.model = model_in(runtime, place, string(golden, "model")), .precision = precision, .step = step};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "rows"), i, row)
    {
        check_row(&r, row);
        if (step > 1) check_evaluation(runtime, &r, row);
    }
    lorac_model_release(r.model);
    return r.worst;
}

struct check {
    lorac_runtime *runtime;
    const char *what;
    lorac_precision precision;
    size_t step;
    struct bound bound, worst;
};

/* Every golden model of a folder; their number. */
static size_t check_place(struct check *c, const char *place)
{
    char **names, path[512];
    size_t count, models = 0;
    struct memory memory = {0};
    OK(os_list(&memory, place, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!strstr(names[i], ".logits.json")) continue;
        snprintf(path, sizeof path, "%s%s", place, names[i]);
        json_t *golden = json_of(path);
        struct bound found = check_model(c->runtime, place, golden, c->precision, c->step);
        if (!(found.logprob <= c->bound.logprob && found.loss <= c->bound.loss))
            fail_msg("%s, %s: log-probabilities differ by %.3g (bound %.3g), losses by %.3g (bound %.3g)", c->what,
                     names[i], found.logprob, c->bound.logprob, found.loss, c->bound.loss);
        c->worst = (struct bound){fmax(c->worst.logprob, found.logprob), fmax(c->worst.loss, found.loss)};
        json_decref(golden);
        models++;
    }
    os_names_free(&memory, names, count);
    return models;
}

/* Every golden model on one runtime. */
static void check_all(lorac_runtime *runtime, const char *what, lorac_precision precision, size_t step,
                      struct bound bound)
{
    struct check c = {.runtime = runtime, .what = what, .precision = precision, .step = step, .bound = bound};
    size_t models = check_place(&c, MODELS), families = check_place(&c, FAMILIES);
    print_message(
        "%-22s %zu models, %zu families: log-probabilities within %.2e (bound %.0e), losses within %.2e (bound %.0e)\n",
        what, models, families, c.worst.logprob, bound.logprob, c.worst.loss, bound.loss);
    assert_true(models >= 15 && families >= 25);
}

static const char *const levels[] = {"scalar", "avx2", "avx512", "avx512bf16", "amx"};

static void every_level(void **state)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char what[64];
        lorac_runtime *r = runtime_or_null(NULL, levels[i], 2);
        if (!r) {
            print_message("%s: not on this CPU\n", levels[i]);
            continue;
        }
        snprintf(what, sizeof what, "exact, %s", levels[i]);
        check_all(r, what, LORAC_EXACT, MOST_IDS, exact);
        snprintf(what, sizeof what, "fast, %s", levels[i]);
        check_all(r, what, LORAC_FAST, MOST_IDS, fast);
        snprintf(what, sizeof what, "fast by token, %s", levels[i]);
        check_all(r, what, LORAC_FAST, 1, fast);
        runtime_end(r);
    }
}

static void trace(void **state)
{
    lorac_runtime *r = runtime_of("trace", 2);
    check_all(r, "exact, trace", LORAC_EXACT, 7, exact);
    runtime_end(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_level), cmocka_unit_test(trace)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
