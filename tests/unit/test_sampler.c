/* test_sampler.c — drawing tokens against a slow plain reference (mlx-lm's order: top-p, min-p, top-k at temperature 1,
 * then the temperature), and the generation loop: stop strings, streaming in whole characters, what it reports. */
#include "engine.h"

#include "base/reader.h"

enum { VOCAB = 288, DRAWS = 10000 };

struct fixture {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_tokenizer *tokenizer;
};

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->runtime = runtime_of(NULL, 1);
    f->model = model_of(f->runtime, "plain");
    OK(lorac_tokenizer_open(f->runtime, MODELS "plain", &f->tokenizer, err));
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    lorac_tokenizer_close(f->tokenizer);
    lorac_model_release(f->model);
    runtime_end(f->runtime);
    free(f);
    return 0;
}

/* ---- the reference ------------------------------------------------------------------------------- */

static void probabilities(const float *logits, double temperature, const bool *kept, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < VOCAB; i++)
        if (kept[i]) most = fmax(most, (double)logits[i]);
    for (int i = 0; i < VOCAB; i++) sum += p[i] = kept[i] ? exp(((double)logits[i] - most) / temperature) : 0;
    for (int i = 0; i < VOCAB; i++) p[i] /= sum;
}

/* Likelier, or equally likely and of a lower id. */
static bool before(const double *p, int a, int b)
{
    return p[a] > p[b] || (p[a] == p[b] && a < b);
}

static void reference(const float *logits, const lorac_sampler *o, double *p)
{
    bool all[VOCAB], kept[VOCAB];
    double one[VOCAB], most = 0;
    for (int i = 0; i < VOCAB; i++) all[i] = true;
    probabilities(logits, 1, all, one);
    for (int i = 0; i < VOCAB; i++) most = fmax(most, one[i]);
    for (int i = 0; i < VOCAB; i++) {
        double likelier = 0;
        for (int k = 0; k < VOCAB; k++) likelier += one[k] > one[i] ? one[k] : 0;
        kept[i] = (o->top_p >= 1 || likelier < o->top_p) && one[i] >= o->min_p * most;
    }
    bool cut[VOCAB];
    for (int i = 0; i < VOCAB; i++) {
        size_t rank = 0;
        for (int k = 0; k < VOCAB; k++) rank += kept[k] && before(one, k, i);
        cut[i] = kept[i] && (!o->top_k || rank < o->top_k);
    }
    probabilities(logits, o->temperature, cut, p);
}

static void draw_logits(uint64_t seed, float *logits, double spread)
{
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)(spread * uniform(seed, (uint64_t)i));
    logits[7] = logits[8] = logits[200]; /* ties */
}

/* ---- draws --------------------------------------------------------------------------------------- */

/* χ² of the draws against p over tokens expected 5 times or more, the rest taken together; nothing outside the support.
 */
static void check_draws(struct fixture *f, const float *logits, lorac_sampler *o)
{
    double p[VOCAB], chi = 0, rest_expected = 0, rest_found = 0;
    size_t found[VOCAB] = {0}, cells = 0;
    reference(logits, o, p);
    for (size_t i = 0; i < DRAWS; i++) {
        int32_t id;
        OK(lorac_sample(f->model, logits, o, i, &id, err));
        assert_true(id >= 0 && id < VOCAB);
        found[id]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        double expected = p[i] * DRAWS;
        if (expected == 0 && found[i])
            fail_msg("token %d was drawn %zu times, but is cut (top_p %g, min_p %g, top_k %zu)", i, found[i], o->top_p,
                     o->min_p, o->top_k);
        if (expected >= 5) {
            chi += ((double)found[i] - expected) * ((double)found[i] - expected) / expected;
            cells++;
        } else {
            rest_expected += expected;
            rest_found += (double)found[i];
        }
    }
    if (rest_expected >= 5) {
        chi += (rest_found - rest_expected) * (rest_found - rest_expected) / rest_expected;
        cells++;
    }
    double freedom = cells > 1 ? (double)cells - 1 : 1, limit = freedom + 5 * sqrt(2 * freedom) + 5;
    if (!(chi <= limit))
        fail_msg("temperature %g, top_p %g, min_p %g, top_k %zu: chi-square %.1f over %zu cells (limit %.1f)",
                 o->temperature, o->top_p, o->min_p, o->top_k, chi, cells, limit);
}

static void draws_follow_the_distribution(void **state)
{
    static const lorac_sampler cases[] = {
        {.temperature = 1, .top_p = 1},
        {.temperature = 0.5, .top_p = 1},
        {.temperature = 3, .top_p = 0.9},
        {.temperature = 1, .top_p = 0.3},
        {.temperature = 1, .top_p = 1e-9},
        {.temperature = 2, .top_p = 1, .min_p = 0.2},
        {.temperature = 2, .top_p = 1, .min_p = 1},
        {.temperature = 2, .top_p = 1, .top_k = 1},
        {.temperature = 2, .top_p = 1, .top_k = 5},
        {.temperature = 2, .top_p = 1, .top_k = 100000},
        {.temperature = 1.5, .top_p = 0.8, .min_p = 0.05, .top_k = 20},
        {.temperature = 1.5, .top_p = 0.99, .min_p = 0.001, .top_k = 250},
    };
    float logits[VOCAB];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 3; k++) {
            /* ties alone; flat; so steep that most are below any first guess */
            static const double spreads[] = {0, 1, 30};
            lorac_sampler o = cases[i];
            o.struct_size = sizeof o;
            o.seed = i;
            draw_logits(i, logits, spreads[k]);
            check_draws(*state, logits, &o);
        }
}

static void draws_depend_on_seed_and_index_alone(void **state)
{
    struct fixture *f = *state;
    float logits[VOCAB];
    lorac_sampler o;
    int32_t a, b;
    size_t same = 0;
    draw_logits(1, logits, 1);
    lorac_sampler_init(&o);
    o.temperature = 1;
    for (size_t i = 0; i < 200; i++) {
        OK(lorac_sample(f->model, logits, &o, i, &a, err));
        OK(lorac_sample(f->model, logits, &o, i, &b, err));
        assert_int_equal(a, b);
        o.seed = 1;
        OK(lorac_sample(f->model, logits, &o, i, &b, err));
        same += a == b;
        o.seed = 0;
    }
    assert_true(same < 20);
}

static void ties_go_to_the_lowest_id(void **state)
{
    struct fixture *f = *state;
    float logits[VOCAB] = {0}, of;
    lorac_sampler o;
    lorac_token_logprob top[4];
    int32_t id;
    lorac_sampler_init(&o);
    logits[9] = logits[4] = logits[250] = 3;
    logits[1] = 2;
    OK(lorac_sample(f->model, logits, &o, 0, &id, err));
    assert_int_equal(id, 4);
    OK(lorac_logprobs(f->model, logits, 1, &of, top, 4, err));
    assert_true(top[0].token == 4 && top[1].token == 9 && top[2].token == 250 && top[3].token == 1);
    double lse = log(3 * exp(3) + exp(2) + 284);
    assert_true(fabs((double)of - (2 - lse)) < 1e-5 && top[3].logprob == of &&
                fabs((double)top[0].logprob - (3 - lse)) < 1e-5);
}

static void wrong_settings_are_named(void **state)
{
    struct fixture *f = *state;
    float logits[VOCAB] = {0}, of;
    int32_t id;
    lorac_sampler o;
#define WRONG(change, words)                                                                                           \
    do {                                                                                                               \
        lorac_sampler_init(&o);                                                                                        \
        change;                                                                                                        \
        FAILS(lorac_sample(f->model, logits, &o, 0, &id, err), LORAC_INVALID_ARGUMENT, words);                         \
    } while (0)
    WRONG(o.temperature = -1, "temperature");
    WRONG(o.temperature = NAN, "temperature");
    WRONG(o.top_p = 0, "top-p");
    WRONG(o.top_p = 1.5, "top-p");
    WRONG(o.min_p = 2, "min-p");
    FAILS(lorac_logprobs(f->model, logits, VOCAB, &of, NULL, 0, err), LORAC_INVALID_ARGUMENT, "288");
    FAILS(lorac_logprobs(f->model, logits, 1, &of, NULL, VOCAB + 1, err), LORAC_INVALID_ARGUMENT, "289");
}

/* ---- generation ------------------------------------------------------------------------------------ */

struct heard {
    char text[8192];
    int32_t tokens[512];
    size_t length, count, stop_after; /* 0: never */
    float logprob[512];
    int ended;
};

static int hear(void *user, const lorac_generated *g)
{
    struct heard *h = user;
    for (size_t at = 0, n; at < g->text_length; at += n) /* whole characters only */
        assert_true((n = utf8_length((const uint8_t *)g->text + at, g->text_length - at)) > 0);
    assert_true(h->length + g->text_length < sizeof h->text);
    memcpy(h->text + h->length, g->text, g->text_length);
    h->length += g->text_length;
    h->text[h->length] = 0;
    h->ended |= g->is_stop;
    if (!g->is_stop) {
        h->logprob[h->count] = g->logprob;
        h->tokens[h->count++] = g->token;
    }
    return h->stop_after && h->count == h->stop_after;
}

static lorac_generate_result generate(struct fixture *f, const lorac_generate_options *o, struct heard *h)
{
    const int32_t prompt[2] = {1, 60};
    lorac_generate_result result = {.struct_size = sizeof result};
    lorac_session_options so;
    lorac_session *s;
    size_t stop_after = h->stop_after;
    *h = (struct heard){.stop_after = stop_after};
    lorac_session_options_init(&so);
    so.max_tokens = 512;
    OK(lorac_session_create(f->model, NULL, &so, &s, err));
    OK(lorac_session_append(s, prompt, 2, err));
    OK(lorac_generate(s, f->tokenizer, o, hear, h, &result, err));
    assert_int_equal(result.tokens, h->count);
    assert_int_equal(lorac_session_length(s), 2 + h->count);
    lorac_session_free(s);
    return result;
}

static lorac_generate_options options_of(uint64_t seed)
{
    lorac_generate_options o;
    lorac_generate_options_init(&o);
    o.max_tokens = 120;
    o.ignore_eos = 1;
    o.sampler.temperature = 4; /* a random model's bytes, broken characters among them */
    o.sampler.seed = seed;
    return o;
}

static void streaming_is_the_decoded_text(void **state)
{
    struct fixture *f = *state;
    static struct heard h;
    size_t multibyte = 0;
    for (uint64_t seed = 0; seed < 10; seed++) {
        lorac_generate_options o = options_of(seed);
        char *text;
        size_t length;
        lorac_generate_result r = generate(f, &o, &h);
        assert_true(h.count == 120 && !r.stopped && r.prompt_tokens == 2);
        OK(lorac_tokenizer_decode(f->tokenizer, h.tokens, h.count, 1, &text, &length, err));
        if (length != h.length || memcmp(text, h.text, length))
            fail_msg("seed %d: streamed \"%s\", decoded \"%s\"", (int)seed, h.text, text);
        for (size_t i = 0; i < length; i++) multibyte += (text[i] & 0xC0) == 0xC0;
        lorac_free(text);
    }
    assert_true(multibyte > 50);
}

/* `count` whole characters of the text from byte `at` on, or a little after. */
static void characters(const char *text, size_t at, size_t count, char *out)
{
    while ((text[at] & 0xC0) == 0x80) at++;
    for (size_t n; count--; at += n, out += n) {
        n = utf8_length((const uint8_t *)text + at, strlen(text + at));
        memcpy(out, text + at, n);
    }
    *out = 0;
}

/* Any piece of the free text as a stop: the text ends before its first occurrence, whatever tokens it straddles. */
static void stop_strings_end_the_text(void **state)
{
    struct fixture *f = *state;
    static struct heard whole, h;
    size_t checked = 0;
    for (uint64_t seed = 0; checked < 12; seed++) {
        lorac_generate_options o = options_of(seed / 3);
        generate(f, &o, &whole);
        if (memchr(whole.text, 0, whole.length)) continue; /* no stop string holds that */
        checked++;
        char first[64], second[64];
        const char *stops[3] = {"never-in-there", first, second};
        size_t at = 20 + 7 * (seed % 12), n = 1 + seed % 6;
        assert_true(at + 32 < whole.length);
        characters(whole.text, at, n, first);
        characters(whole.text, at + 9, 3, second);
        const char *a = strstr(whole.text, first), *b = strstr(whole.text, second), *end = !a ? b : !b || a < b ? a : b;
        o.stop = stops;
        o.stop_count = 3;
        lorac_generate_result r = generate(f, &o, &h);
        assert_non_null(end);
        assert_int_equal(r.stopped, 1);
        if (h.length != (size_t)(end - whole.text) || memcmp(h.text, whole.text, h.length))
            fail_msg("stop \"%s\" or \"%s\": \"%s\" of \"%s\"", first, second, h.text, whole.text);
    }
}

static void what_was_held_back_comes_at_the_end(void **state)
{
    struct fixture *f = *state;
    static struct heard whole, h;
    lorac_generate_options o = options_of(1);
    generate(f, &o, &whole);
    char begins[16];
    const char *stop = begins;
    size_t last = whole.length - 1;
    while ((whole.text[last] & 0xC0) == 0x80) last--;
    snprintf(begins, sizeof begins, "%.8s\1", whole.text + last); /* the last character might begin it */
    o.stop = &stop;
    o.stop_count = 1;
    lorac_generate_result r = generate(f, &o, &h);
    assert_int_equal(r.stopped, 0);
    assert_true(whole.length == h.length && !memcmp(whole.text, h.text, h.length));
}

static void ends_are_told(void **state)
{
    struct fixture *f = *state;
    static struct heard h;
    lorac_generate_options o = options_of(2);
    h.stop_after = 5;
    lorac_generate_result r = generate(f, &o, &h);
    assert_true(r.stopped == 1 && r.tokens == 5);
    h.stop_after = 0;
    o.ignore_eos = 0;
    o.max_tokens = 500;
    size_t ended = 0;
    for (o.sampler.seed = 0; o.sampler.seed < 12; o.sampler.seed++) { /* 2 of 288 tokens end a text */
        r = generate(f, &o, &h);
        assert_int_equal(r.stopped, h.ended);
        ended += (size_t)h.ended;
        for (size_t i = 0; i < h.count; i++) assert_false(lorac_tokenizer_is_stop(f->tokenizer, h.tokens[i]));
    }
    assert_true(ended > 3);
    o.max_tokens = 0;
    r = generate(f, &o, &h);
    assert_true(!r.tokens && !r.stopped);
}

static void generation_refuses(void **state)
{
    struct fixture *f = *state;
    lorac_session *s;
    lorac_generate_options o = options_of(1);
    const int32_t id = 5;
    OK(lorac_session_create(f->model, NULL, NULL, &s, err));
    FAILS(lorac_generate(s, f->tokenizer, &o, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, "no prompt");
    OK(lorac_session_append(s, &id, 1, err));
    o.logprobs = VOCAB + 1;
    FAILS(lorac_generate(s, f->tokenizer, &o, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, "289");
    o.logprobs = 2;
    o.sampler.top_p = 2;
    FAILS(lorac_generate(s, f->tokenizer, &o, NULL, NULL, NULL, err), LORAC_INVALID_ARGUMENT, "top-p");
    lorac_session_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(draws_follow_the_distribution),
        TEST(draws_depend_on_seed_and_index_alone),
        TEST(ties_go_to_the_lowest_id),
        TEST(wrong_settings_are_named),
        TEST(streaming_is_the_decoded_text),
        TEST(stop_strings_end_the_text),
        TEST(what_was_held_back_comes_at_the_end),
        TEST(ends_are_told),
        TEST(generation_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
