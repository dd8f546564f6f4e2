/* test_batch.c — what a batch may not change: in exact precision a row's logits and losses have the same bits alone,
 * beside others under other adapter sets, and however its prompt is cut; threads change no bit at all; warm work makes
 * no heap call. */
#include "engine.h"

#include "train/trainer.h"

enum { PROMPT = 150, SEQUENCES = 4 };

struct fixture {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_adapter *adapter[2];
    lorac_adapter_set *set[3]; /* one; the other; both stacked */
    size_t vocab;
};

static lorac_adapter_set *set_of(lorac_adapter *const *adapters, const double *factors, size_t count)
{
    lorac_adapter_set *set;
    OK(lorac_adapter_set_create(adapters, factors, count, &set, err));
    return set;
}

/* An adapter for every layer with B not zero, as a trainer leaves it after a few steps. */
static lorac_adapter *trained_adapter(lorac_runtime *r, lorac_model *m, uint64_t seed, lorac_precision precision)
{
    int32_t ids[120];
    size_t lengths[6] = {20, 9, 31, 5, 30, 25};
    lorac_dataset *d;
    lorac_trainer *t;
    lorac_trainer_options o;
    lorac_adapter *a;
    draw_ids(seed, ids, 120);
    OK(lorac_dataset_from_tokens(r, ids, lengths, 6, &d, err));
    lorac_trainer_options_init(&o);
    o.precision = precision;
    o.rank = 3 + seed % 3;
    o.scale = 4;
    o.seed = seed;
    o.iterations = 12;
    o.batch_size = 3;
    o.accumulation = 2;
    o.learning_rate = 1e-2;
    o.clip_norm = 1;
    o.dropout = 0.1;
    o.steps_per_eval = 0;
    OK(lorac_trainer_create(m, d, NULL, &o, &t, err));
    OK(lorac_trainer_run(t, NULL, NULL, NULL, err));
    OK(lorac_trainer_adapter(t, &a, err));
    lorac_trainer_free(t);
    lorac_dataset_close(d);
    return a;
}

static struct fixture fixture_open(const char *model, int threads)
{
    struct fixture f = {.runtime = runtime_of(NULL, threads)};
    lorac_model_info info = {.struct_size = sizeof info};
    const double factors[2] = {1, 0.5};
    f.model = model_of(f.runtime, model);
    lorac_model_get_info(f.model, &info);
    f.vocab = info.vocab_size;
    for (uint64_t i = 0; i < 2; i++) {
        f.adapter[i] = trained_adapter(f.runtime, f.model, i + 1, LORAC_EXACT);
        f.set[i] = set_of(&f.adapter[i], factors, 1);
    }
    f.set[2] = set_of(f.adapter, factors, 2);
    return f;
}

static void fixture_close(struct fixture *f)
{
    for (int i = 0; i < 3; i++) lorac_adapter_set_release(f->set[i]);
    for (int i = 0; i < 2; i++) lorac_adapter_release(f->adapter[i]);
    lorac_model_release(f->model);
    runtime_end(f->runtime);
}

static lorac_session *session_of(lorac_model *m, lorac_adapter_set *set, lorac_precision precision, size_t prefill)
{
    lorac_session_options o;
    lorac_session *s;
    lorac_session_options_init(&o);
    o.precision = precision;
    o.prefill_tokens = prefill;
    OK(lorac_session_create(m, set, &o, &s, err));
    return s;
}

static void append(lorac_session *s, const int32_t *ids, size_t count)
{
    OK(lorac_session_append(s, ids, count, err));
}
static void forward(lorac_session *s)
{
    OK(lorac_sessions_forward(&s, 1, err));
}

/* The logits after each of the last ids, a token at a time behind a prompt cut into `prefill`. */
static float *alone(const struct fixture *f, lorac_adapter_set *set, const int32_t *ids, size_t prompt, size_t more,
                    size_t prefill, lorac_precision precision)
{
    float *all = calloc((more + 1) * f->vocab, sizeof *all);
    lorac_session *s = session_of(f->model, set, precision, prefill);
    append(s, ids, prompt);
    for (size_t i = 0; i <= more; i++) {
        if (i) append(s, ids + prompt + i - 1, 1);
        forward(s);
        memcpy(all + i * f->vocab, lorac_session_logits(s, 0), f->vocab * sizeof *all);
    }
    lorac_session_free(s);
    return all;
}

/* ---- one row -------------------------------------------------------------------------------- */

static void prefill_cuts_change_no_bit(void **state)
{
    static const char *const models[] = {"llama3", "headdim-q4_1.gguf", "sharded-q4_0.gguf"};
    static const size_t cuts[] = {1, 7, 64, 100};
    int32_t ids[PROMPT + 3];
    draw_ids(9, ids, PROMPT + 3);
    for (size_t m = 0; m < 3; m++) {
        struct fixture f = fixture_open(models[m], 2);
        float *whole = alone(&f, f.set[2], ids, PROMPT, 3, 512, LORAC_EXACT);
        for (size_t c = 0; c < 4; c++) {
            float *cut = alone(&f, f.set[2], ids, PROMPT, 3, cuts[c], LORAC_EXACT);
            assert_memory_equal(whole, cut, 4 * f.vocab * sizeof *whole);
            free(cut);
        }
        free(whole);
        fixture_close(&f);
    }
}

static void no_term_is_the_base(void **state)
{
    int32_t ids[PROMPT];
    const double zeros[2] = {0, 0}, half[2] = {1, 0};
    draw_ids(9, ids, PROMPT);
    struct fixture f = fixture_open("headdim-q4_1.gguf", 2);
    lorac_adapter_set *none = set_of(f.adapter, zeros, 2), *first = set_of(f.adapter, half, 2);
    for (int precision = LORAC_FAST; precision <= LORAC_EXACT; precision++) {
        float *base = alone(&f, NULL, ids, PROMPT - 3, 3, 64, (lorac_precision)precision);
        float *zero = alone(&f, none, ids, PROMPT - 3, 3, 64, (lorac_precision)precision);
        float *one = alone(&f, f.set[0], ids, PROMPT - 3, 3, 64, (lorac_precision)precision);
        float *same = alone(&f, first, ids, PROMPT - 3, 3, 64, (lorac_precision)precision);
        assert_memory_equal(base, zero, 4 * f.vocab * sizeof *base);
        assert_memory_equal(one, same, 4 * f.vocab * sizeof *base);
        assert_memory_not_equal(base, one, f.vocab * sizeof *base);
        free(base);
        free(zero);
        free(one);
        free(same);
    }
    lorac_adapter_set_release(none);
    lorac_adapter_set_release(first);
    fixture_close(&f);
}

/* ---- several sessions ----------------------------------------------------------------------- */

/* Four sequences of other lengths under other sets, in one batch throughout; then each alone. */
static void sessions_together_equal_alone(void **state)
{
    static const size_t prompt[SEQUENCES] = {70, 1, 33, 130};
    enum { MORE = 5 };
    struct fixture f = fixture_open("headdim-q4_1.gguf", 2);
    lorac_adapter_set *sets[SEQUENCES] = {f.set[0], NULL, f.set[2], f.set[1]};
    int32_t ids[SEQUENCES][160];
    lorac_session *s[SEQUENCES];
    float *found[SEQUENCES];
    for (size_t i = 0; i < SEQUENCES; i++) {
        draw_ids(20 + i, ids[i], 160);
        s[i] = session_of(f.model, sets[i], LORAC_EXACT, 96);
        found[i] = calloc((MORE + 1) * f.vocab, sizeof **found);
        append(s[i], ids[i], prompt[i]);
    }
    for (size_t step = 0; step <= MORE; step++) {
        for (size_t i = 0; step && i < SEQUENCES; i++) append(s[i], &ids[i][prompt[i] + step - 1], 1);
        OK(lorac_sessions_forward(s, SEQUENCES, err));
        for (size_t i = 0; i < SEQUENCES; i++)
            memcpy(found[i] + step * f.vocab, lorac_session_logits(s[i], 0), f.vocab * sizeof **found);
    }
    for (size_t i = 0; i < SEQUENCES; i++) {
        float *wanted = alone(&f, sets[i], ids[i], prompt[i], MORE, 512, LORAC_EXACT);
        assert_memory_equal(found[i], wanted, (MORE + 1) * f.vocab * sizeof *wanted);
        free(wanted);
        free(found[i]);
        lorac_session_free(s[i]);
    }
    fixture_close(&f);
}

static void forward_refuses(void **state)
{
    struct fixture f = fixture_open("plain", 1);
    lorac_session *s[65];
    const int32_t id = 5, wrong = (int32_t)f.vocab;
    for (size_t i = 0; i < 65; i++) s[i] = session_of(f.model, NULL, i ? LORAC_EXACT : LORAC_FAST, 8);
    FAILS(lorac_sessions_forward(s, 1, err), LORAC_INVALID_ARGUMENT, "no new token");
    for (size_t i = 0; i < 65; i++) append(s[i], &id, 1);
    FAILS(lorac_sessions_forward(s, 65, err), LORAC_INVALID_ARGUMENT, "64");
    FAILS(lorac_sessions_forward(s, 0, err), LORAC_INVALID_ARGUMENT, "0");
    FAILS(lorac_sessions_forward(s, 2, err), LORAC_MISMATCH, "precision");
    OK(lorac_sessions_forward(s + 1, 64, err));
    FAILS(lorac_session_append(s[0], &wrong, 1, err), LORAC_INVALID_ARGUMENT, "vocabulary");
    FAILS(lorac_session_append(s[0], &id, 256, err), LORAC_INVALID_ARGUMENT, "256");
    FAILS(lorac_session_truncate(s[0], 2, err), LORAC_INVALID_ARGUMENT, "2");
    lorac_session_options huge;
    lorac_session *none;
    lorac_session_options_init(&huge);
    huge.max_tokens = (1 << 20) + 1;
    FAILS(lorac_session_create(f.model, NULL, &huge, &none, err), LORAC_INVALID_ARGUMENT, "at most 1048576");
    for (size_t i = 0; i < 65; i++) lorac_session_free(s[i]);
    fixture_close(&f);
}

/* all_logits: every row's, also when prompts are cut and sessions of other sizes share a batch. */
static void all_logits_are_each_rows(void **state)
{
    static const size_t prefill[2] = {100, 3};
    struct fixture f = fixture_open("plain", 1);
    lorac_session *s[2];
    int32_t ids[80];
    draw_ids(4, ids, 80);
    for (size_t i = 0; i < 2; i++) {
        lorac_session_options o;
        lorac_session_options_init(&o);
        o.precision = LORAC_EXACT;
        o.all_logits = 1;
        o.prefill_tokens = prefill[i];
        OK(lorac_session_create(f.model, NULL, &o, &s[i], err));
        append(s[i], ids, 80);
    }
    OK(lorac_sessions_forward(s, 2, err));
    float *each = alone(&f, NULL, ids, 75, 5, 512, LORAC_EXACT);
    for (size_t i = 0; i < 2; i++) {
        for (size_t back = 0; back < 2; back++)
            assert_memory_equal(lorac_session_logits(s[i], back), each + (5 - back) * f.vocab, f.vocab * sizeof *each);
        assert_null(lorac_session_logits(s[i], 80));
    }
    assert_non_null(lorac_session_logits(s[0], 79));
    assert_null(lorac_session_logits(s[1], 3));
    free(each);
    for (size_t i = 0; i < 2; i++) lorac_session_free(s[i]);
    fixture_close(&f);
}

static void truncating_forgets(void **state)
{
    struct fixture f = fixture_open("llama3", 2);
    int32_t ids[PROMPT], other[PROMPT];
    draw_ids(1, ids, PROMPT);
    draw_ids(2, other, PROMPT);
    memcpy(other, ids, 65 * sizeof *ids);
    lorac_session *s = session_of(f.model, f.set[0], LORAC_EXACT, 512);
    append(s, ids, PROMPT);
    forward(s);
    OK(lorac_session_truncate(s, 65, err));
    assert_null(lorac_session_logits(s, 0));
    assert_int_equal(lorac_session_length(s), 65);
    append(s, other + 65, PROMPT - 65);
    forward(s);
    float *wanted = alone(&f, f.set[0], other, PROMPT, 0, 512, LORAC_EXACT);
    assert_memory_equal(lorac_session_logits(s, 0), wanted, f.vocab * sizeof *wanted);
    free(wanted);
    lorac_session_set_adapters(s, f.set[1]); /* what was cached belonged to another set */
    forward(s);
    wanted = alone(&f, f.set[1], other, PROMPT, 0, 512, LORAC_EXACT);
    assert_memory_equal(lorac_session_logits(s, 0), wanted, f.vocab * sizeof *wanted);
    free(wanted);
    lorac_session_free(s);
    fixture_close(&f);
}

/* ---- windows ---------------------------------------------------------------------------------- */

enum { LONG = 1600, WINDOW = 100, LAST = 4 };

/* The cache of a long pass holds everything, that of short ones two pages of the layers with a window: the same bits,
 * also behind what was taken back, a little and a lot. */
static void windows_change_no_bit(void **state)
{
    struct fixture f = fixture_open("llama3", 2);
    int32_t ids[LONG + LAST];
    draw_ids(3, ids, LONG + LAST);
    f.model->config.context = LONG + LAST;
    float *all = alone(&f, f.set[0], ids, LONG, LAST, LONG, LORAC_EXACT);
    f.model->config.window = WINDOW;
    for (size_t i = 0; i < f.model->config.layers; i++) f.model->config.kind[i] = i % 2 ? 0 : LAYER_WINDOW;
    float *wanted = alone(&f, f.set[0], ids, LONG, LAST, LONG, LORAC_EXACT);
    assert_memory_not_equal(wanted, all, f.vocab * sizeof *wanted);
    for (size_t prefill = 1; prefill < LONG; prefill = prefill * 7 + 5) {
        float *have = alone(&f, f.set[0], ids, LONG, LAST, prefill, LORAC_EXACT);
        assert_memory_equal(have, wanted, (LAST + 1) * f.vocab * sizeof *wanted);
        free(have);
    }
    lorac_session *s = session_of(f.model, f.set[0], LORAC_EXACT, 33);
    append(s, ids, LONG);
    forward(s);
    for (size_t back = 1; back < LONG; back = back * 5 + 3) {
        OK(lorac_session_truncate(s, LONG - back, err));
        append(s, ids + LONG - back, back);
        forward(s);
        assert_memory_equal(lorac_session_logits(s, 0), wanted, f.vocab * sizeof *wanted);
    }
    lorac_session_free(s);
    free(all), free(wanted);
    fixture_close(&f);
}

/* ---- stacking --------------------------------------------------------------------------------- */

static double largest_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* One adapter twice at half its strength is itself; and two adapters are one whose A and B stand one behind the other.
 */
static void stacked_adapters_add_up(void **state)
{
    struct fixture f = fixture_open("plain", 1);
    int32_t ids[PROMPT];
    draw_ids(3, ids, PROMPT);
    lorac_adapter *twice[2] = {f.adapter[0], f.adapter[0]};
    const double halves[2] = {0.5, 0.5};
    lorac_adapter_set *set = set_of(twice, halves, 2);
    float *one = alone(&f, f.set[0], ids, PROMPT, 0, 512, LORAC_EXACT),
          *sum = alone(&f, set, ids, PROMPT, 0, 512, LORAC_EXACT);
    double same = largest_difference(one, sum, f.vocab);
    free(sum);

    const struct lorac_adapter *const a[2] = {f.adapter[0], f.adapter[1]};
    const double factors[2] = {1, 0.5};
    struct adapter_layout owned = {.count = a[0]->layout.count};
    owned.modules = mem_array(&f.runtime->memory, owned.count, sizeof *owned.modules);
    for (size_t i = 0; i < owned.count; i++) {
        const struct adapter_module *m = a[0]->layout.modules, *n = a[1]->layout.modules;
        owned.modules[i] = (struct adapter_module){m[i].linear, m[i].rank + n[i].rank, 1, 0, 0};
    }
    OK(layout_place(&owned, err));
    float *floats = calloc(owned.floats, sizeof *floats);
    for (size_t i = 0; i < owned.count; i++) {
        const struct adapter_module *m = &owned.modules[i];
        size_t in = m->linear->weight.cols, out = m->linear->weight.rows, first = 0;
        for (int k = 0; k < 2; k++) {
            const struct adapter_module *from = &a[k]->layout.modules[i];
            const float *host = a[k]->numbers.wide->host;
            memcpy(floats + m->a + first * in, host + from->a, from->rank * in * sizeof *floats);
            for (size_t row = 0; row < out; row++)
                for (size_t r = 0; r < from->rank; r++)
                    floats[m->b + row * m->rank + first + r] =
                        host[from->b + row * from->rank + r] * (float)(from->scale * factors[k]);
            first += from->rank;
        }
    }
    lorac_adapter *joined;
    const double whole = 1;
    OK(adapter_create(f.runtime, f.model, f.model->linear_count, &owned, floats, "joined", &joined, err));
    lorac_adapter_set *joined_set = set_of(&joined, &whole, 1);
    sum = alone(&f, f.set[2], ids, PROMPT, 0, 512, LORAC_EXACT);
    float *merged = alone(&f, joined_set, ids, PROMPT, 0, 512, LORAC_EXACT);
    double together = largest_difference(sum, merged, f.vocab), apart = largest_difference(sum, one, f.vocab);
    print_message("halves: %.2e, joined: %.2e (bound 2e-5; the second adapter changes %.2e)\n", same, together, apart);
    assert_true(same <= 2e-5 && together <= 2e-5 && apart > 1e-2);
    free(one);
    free(sum);
    free(merged);
    free(floats);
    lorac_adapter_set_release(joined_set);
    lorac_adapter_release(joined);
    lorac_adapter_set_release(set);
    fixture_close(&f);
}

/* ---- packed rows ------------------------------------------------------------------------------ */

/* The losses of a row's targets, beside other rows or not. */
static void row_losses(struct pass *p, const int32_t *ids, const size_t *lengths, size_t rows, size_t only,
                       float *losses)
{
    uint8_t ones[128];
    double sum;
    memset(ones, 1, sizeof ones);
    pass_clear(p);
    for (size_t i = 0; i < rows; ids += lengths[i++])
        if (only == SIZE_MAX || only == i) assert_true(pass_add(p, ids, ones, lengths[i], NULL));
    OK(pass_run(p, false, &sum, err));
    memcpy(losses, p->losses, p->count * sizeof *losses);
}

static void packed_rows_never_meet(void **state)
{
    static const size_t lengths[4] = {40, 2, 97, 13};
    struct fixture f = fixture_open("bias-q8_0.gguf", 2);
    struct pass_shape shape = {.rows = 200, .sequences = 4, .targets = 200};
    struct pass p;
    int32_t ids[152];
    float packed[152], single[128];
    size_t at = 0;
    draw_ids(8, ids, 152);
    OK(pass_plan(f.model, &shape, false, PRECISION_EXACT, 0, NULL, SIZE_MAX, (struct recompute){0}, err));
    OK(pass_create(f.model, f.runtime->backend, &shape, PRECISION_EXACT, &p, err));
    p.exec.precision = PRECISION_EXACT;
    row_losses(&p, ids, lengths, 4, SIZE_MAX, packed);
    for (size_t i = 0; i < 4; i++) {
        row_losses(&p, ids, lengths, 4, i, single);
        assert_memory_equal(packed + at, single, (lengths[i] - 1) * sizeof *single);
        at += lengths[i] - 1;
    }
    pass_free(&p);
    fixture_close(&f);
}

/* ---- threads ---------------------------------------------------------------------------------- */

/* A hash of everything: prompts and single tokens in both precisions, a trained adapter in both. */
static void run_threads(const char *model, int threads, float *logits, char hashes[2][65])
{
    int32_t ids[PROMPT];
    struct fixture f = fixture_open(model, threads);
    lorac_adapter_info info = {.struct_size = sizeof info};
    draw_ids(6, ids, PROMPT);
    for (int precision = LORAC_FAST; precision <= LORAC_EXACT; precision++) {
        float *some = alone(&f, f.set[2], ids, PROMPT - 3, 3, 512, (lorac_precision)precision);
        memcpy(logits + (size_t)precision * 4 * f.vocab, some, 4 * f.vocab * sizeof *some);
        free(some);
        lorac_adapter *a = trained_adapter(f.runtime, f.model, 7, (lorac_precision)precision);
        lorac_adapter_get_info(a, &info);
        memcpy(hashes[precision], info.hash, sizeof info.hash);
        lorac_adapter_release(a);
    }
    fixture_close(&f);
}

static void threads_change_no_bit(void **state)
{
    static const char *const models[] = {"headdim-q4_1.gguf", "llama3"};
    static float logits[3][8 * 512];
    for (size_t m = 0; m < 2; m++) {
        char hashes[3][2][65];
        memset(logits, 0, sizeof logits);
        for (int threads = 1; threads <= 3; threads++)
            run_threads(models[m], threads, logits[threads - 1], hashes[threads - 1]);
        for (int i = 1; i < 3; i++) {
            assert_memory_equal(logits[0], logits[i], sizeof *logits);
            assert_string_equal(hashes[0][0], hashes[i][0]);
            assert_string_equal(hashes[0][1], hashes[i][1]);
        }
        assert_string_not_equal(hashes[0][0], hashes[0][1]); /* fast trains on bf16 activations everywhere */
    }
}

/* ---- heap calls --------------------------------------------------------------------------------- */

struct counting {
    lorac_runtime *runtime;
    size_t first, last, steps;
};

static size_t heap_calls(const lorac_runtime *r)
{
    lorac_runtime_info info = {.struct_size = sizeof info};
    lorac_runtime_get_info(r, &info);
    return info.heap_calls;
}

static int count_step(void *user, const lorac_event *event)
{
    struct counting *c = user;
    if (event->kind != LORAC_EVENT_STEP) return 0;
    c->last = heap_calls(c->runtime);
    if (!c->steps++) c->first = c->last;
    return 0;
}

static void training_steps_make_no_heap_call(void **state)
{
    struct counting c = {.runtime = runtime_of(NULL, 2)};
    lorac_model *m = model_of(c.runtime, "headdim-q4_1.gguf");
    int32_t ids[21 * 20];
    size_t lengths[20];
    lorac_dataset *d;
    lorac_trainer *t;
    lorac_trainer_options o;
    for (size_t i = 0; i < 20; i++) lengths[i] = 2 + 2 * i;
    draw_ids(1, ids, 420);
    OK(lorac_dataset_from_tokens(c.runtime, ids, lengths, 20, &d, err));
    lorac_trainer_options_init(&o);
    o.iterations = 101;
    o.batch_size = 3;
    o.accumulation = 2;
    o.clip_norm = 1;
    o.dropout = 0.1;
    o.steps_per_eval = 0;
    OK(lorac_trainer_create(m, d, NULL, &o, &t, err));
    OK(lorac_trainer_run(t, count_step, &c, NULL, err));
    assert_int_equal(c.steps, 101);
    assert_int_equal(c.last - c.first, 0);
    lorac_trainer_free(t);
    lorac_dataset_close(d);
    lorac_model_release(m);
    runtime_end(c.runtime);
}

static int count_token(void *user, const lorac_generated *token)
{
    struct counting *c = user;
    c->last = heap_calls(c->runtime);
    if (!c->steps++) c->first = c->last;
    return 0;
}

static void decoding_makes_no_heap_call(void **state)
{
    struct fixture f = fixture_open("headdim-q4_1.gguf", 2);
    struct counting c = {.runtime = f.runtime};
    lorac_session_options so;
    lorac_generate_options o;
    lorac_generate_result result = {.struct_size = sizeof result};
    lorac_session *s;
    int32_t ids[1100];
    draw_ids(1, ids, 1100);
    lorac_session_options_init(&so);
    so.max_tokens = 1100;
    OK(lorac_session_create(f.model, f.set[2], &so, &s, err));
    append(s, ids, 1100); /* the planned maximum, once */
    forward(s);
    OK(lorac_session_truncate(s, 50, err));
    lorac_generate_options_init(&o);
    o.max_tokens = 1001;
    o.logprobs = 3;
    o.sampler.temperature = 1;
    o.sampler.top_p = 0.9;
    OK(lorac_generate(s, NULL, &o, count_token, &c, &result, err));
    assert_int_equal(result.tokens, 1001);
    assert_int_equal(c.steps, 1001);
    assert_int_equal(c.last - c.first, 0);
    lorac_session_free(s);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefill_cuts_change_no_bit),
        cmocka_unit_test(no_term_is_the_base),
        cmocka_unit_test(sessions_together_equal_alone),
        cmocka_unit_test(forward_refuses),
        cmocka_unit_test(all_logits_are_each_rows),
        cmocka_unit_test(truncating_forgets),
        cmocka_unit_test(windows_change_no_bit),
        cmocka_unit_test(stacked_adapters_add_up),
        cmocka_unit_test(packed_rows_never_meet),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(training_steps_make_no_heap_call),
        cmocka_unit_test(decoding_makes_no_heap_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
