/* bench_phases.c — times what the library does, on random tokens. */
#include "bench_phases.h"
#include "signals.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers ------------------------------------------------------------------------------- */

/* Ids from 5 up: the first few are special in most vocabularies. A multiplicative generator (Lehmer). */
static void random_ids(const lorac_model *model, uint64_t *state, int32_t *ids, size_t count)
{
    lorac_model_info info = {.struct_size = sizeof info};
    lorac_model_get_info(model, &info);
    for (size_t i = 0; i < count; i++) {
        *state = *state * 48271 % 2147483647;
        ids[i] = info.vocab_size > 5 ? (int32_t)(5 + *state % (info.vocab_size - 5)) : 0;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    if (!count) return 0;
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* VmHWM starts anew where the system allows it (Linux: proc(5), clear_refs). */
static void reset_peak_rss(void)
{
    int handle = open("/proc/self/clear_refs", O_WRONLY);
    if (handle < 0) return;
    ssize_t written = write(handle, "5", 1);
    (void)written; /* refused: the peak is then the process's so far */
    close(handle);
}

static size_t peak_rss(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    size_t kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %zu", &kilobytes) == 1) break;
    if (file) fclose(file);
    return 1024 * kilobytes;
}

static lorac_status stop_asked(lorac_error *err)
{
    err->status = LORAC_CANCELLED;
    err->file[0] = 0;
    snprintf(err->message, sizeof err->message, "interrupted");
    return LORAC_CANCELLED;
}

static lorac_status no_memory(lorac_error *err)
{
    err->status = LORAC_OUT_OF_MEMORY;
    err->file[0] = 0;
    snprintf(err->message, sizeof err->message, "out of memory");
    return LORAC_OUT_OF_MEMORY;
}

/* ---- prefill and decoding ------------------------------------------------------------------ */

static lorac_status append_random(lorac_model *model, lorac_session **sessions, size_t count, size_t tokens,
                                  uint64_t *state, lorac_error *err)
{
    int32_t *ids = malloc((tokens + 1) * sizeof *ids);
    lorac_status failed = ids ? LORAC_OK : no_memory(err);
    for (size_t i = 0; i < count && !failed; i++) {
        random_ids(model, state, ids, tokens);
        failed = lorac_session_append(sessions[i], ids, tokens, err);
    }
    free(ids);
    return failed;
}

/* One prefill and one generation: seconds of each, and the peaks so far. */
static lorac_status run_trial(const struct bench *b, lorac_model *model, lorac_session **sessions, size_t count,
                              double *seconds, struct speeds *speeds, lorac_error *err)
{
    uint64_t state = 1;
    lorac_status failed = append_random(model, sessions, count, b->prompt, &state, err);
    reset_peak_rss();
    double start = seconds_now();
    if (!failed) failed = lorac_sessions_forward(sessions, count, err);
    seconds[0] = seconds_now() - start;
    speeds->prefill_rss = peak_rss();
    reset_peak_rss();
    start = seconds_now();
    for (size_t i = 0; i < b->generation && !failed; i++) {
        failed = interrupted() ? stop_asked(err) : append_random(model, sessions, count, 1, &state, err);
        if (!failed) failed = lorac_sessions_forward(sessions, count, err);
    }
    seconds[1] = seconds_now() - start;
    speeds->decode_rss = peak_rss();
    return failed;
}

static lorac_status create_sessions(const struct bench *b, lorac_model *model, const struct rows *rows,
                                    lorac_session **sessions, lorac_error *err)
{
    lorac_session_options options;
    lorac_session_options_init(&options);
    options.precision = (lorac_precision)b->common.precision;
    options.kv_bits = b->kv_bits ? 8 : 0;
    options.max_tokens = b->prompt + b->generation + 1;
    options.prefill_tokens = b->prefill;
    for (size_t i = 0; i < rows->count; i++) {
        lorac_status failed = lorac_session_create(model, rows->sets[i], &options, &sessions[i], err);
        if (failed) return failed;
    }
    return LORAC_OK;
}

lorac_status measure_generation(const struct bench *b, lorac_model *model, const struct rows *rows,
                                struct speeds *speeds, lorac_error *err)
{
    lorac_session **sessions = calloc(rows->count, sizeof *sessions);
    double *prefill = calloc(b->trials, sizeof *prefill), *decode = calloc(b->trials, sizeof *decode);
    lorac_status failed = sessions && prefill && decode ? LORAC_OK : no_memory(err);
    if (!failed) failed = create_sessions(b, model, rows, sessions, err);
    for (size_t t = 0; t < b->trials && !failed; t++) {
        double seconds[2] = {0, 0};
        for (size_t i = 0; i < rows->count && !failed; i++) failed = lorac_session_truncate(sessions[i], 0, err);
        if (!failed) failed = run_trial(b, model, sessions, rows->count, seconds, speeds, err);
        prefill[t] = seconds[0];
        decode[t] = seconds[1];
    }
    if (!failed) {
        speeds->prefill = (double)(rows->count * b->prompt) / median(prefill, b->trials);
        speeds->decode = (double)(rows->count * b->generation) / median(decode, b->trials);
    }
    for (size_t i = 0; sessions && i < rows->count; i++) lorac_session_free(sessions[i]);
    free(sessions);
    free(prefill);
    free(decode);
    return failed;
}

lorac_status measure_switch(const struct bench *b, lorac_model *model, lorac_adapter_set *set, double *microseconds,
                            lorac_error *err)
{
    enum { SWITCHES = 10000 };
    lorac_session *session;
    lorac_session_options options;
    lorac_session_options_init(&options);
    options.precision = (lorac_precision)b->common.precision;
    options.kv_bits = b->kv_bits ? 8 : 0;
    options.max_tokens = 16;
    lorac_status failed = lorac_session_create(model, NULL, &options, &session, err);
    if (failed) return failed;
    double start = seconds_now();
    for (int i = 0; i < SWITCHES; i++) lorac_session_set_adapters(session, i % 2 ? NULL : set);
    *microseconds = (seconds_now() - start) * 1e6 / SWITCHES;
    lorac_session_free(session);
    return LORAC_OK;
}

/* ---- training ------------------------------------------------------------------------------ */

enum { TRAIN_STEPS = 9, TRAIN_STEPS_LEAST = 4 };
#define TRAIN_SECONDS 12.0

struct steps {
    double start, seconds[TRAIN_STEPS], flops;
    size_t count, tokens;
};

/* The first step warms up; more than three others only while time is left. */
static int on_step(void *user, const lorac_event *event)
{
    struct steps *s = user;
    if (event->kind != LORAC_EVENT_STEP) return interrupted();
    if (s->count < TRAIN_STEPS) s->seconds[s->count++] = event->seconds;
    s->flops = event->flops;
    s->tokens = event->target_tokens;
    return interrupted() || (s->count >= TRAIN_STEPS_LEAST && seconds_now() - s->start > TRAIN_SECONDS);
}

/* Rows of train_tokens + 1 ids: train_tokens positions, each with a target. */
static lorac_status random_rows(const struct bench *b, const struct engine *e, lorac_dataset **dataset,
                                lorac_error *err)
{
    size_t length = b->train_tokens + 1;
    int32_t *ids = calloc(b->train_batch, length * sizeof *ids);
    size_t *lengths = calloc(b->train_batch, sizeof *lengths);
    uint64_t state = 7;
    lorac_status failed = ids && lengths ? LORAC_OK : no_memory(err);
    if (!failed) {
        random_ids(e->model, &state, ids, b->train_batch * length);
        for (size_t i = 0; i < b->train_batch; i++) lengths[i] = length;
        failed = lorac_dataset_from_tokens(e->runtime, ids, lengths, b->train_batch, dataset, err);
    }
    free(ids);
    free(lengths);
    return failed;
}

static void training_options(const struct bench *b, lorac_trainer_options *options)
{
    lorac_trainer_options_init(options);
    options->precision = (lorac_precision)b->common.precision;
    options->rank = b->rank;
    options->num_layers = (int)b->layers;
    options->iterations = TRAIN_STEPS;
    options->batch_size = b->train_batch;
    options->steps_per_report = options->steps_per_eval = options->save_every = 0;
    options->memory_limit = b->common.memory_limit;
    options->recompute = b->grad_checkpoint;
}

lorac_status measure_training(const struct bench *b, const struct engine *e, struct training *training,
                              lorac_error *err)
{
    struct steps steps = {0};
    lorac_trainer_options options;
    lorac_dataset *dataset = NULL;
    lorac_trainer *trainer = NULL;
    lorac_train_result result = {.struct_size = sizeof result};
    training_options(b, &options);
    lorac_status failed = random_rows(b, e, &dataset, err);
    reset_peak_rss();
    if (!failed) failed = lorac_trainer_create(e->model, dataset, NULL, &options, &trainer, err);
    steps.start = seconds_now();
    if (!failed) failed = lorac_trainer_run(trainer, on_step, &steps, &result, err);
    if (failed == LORAC_CANCELLED && !interrupted()) failed = LORAC_OK; /* we stopped it: enough steps */
    if (!failed && steps.count > 1) {
        double seconds = median(steps.seconds + 1, steps.count - 1);
        training->tokens_per_second = (double)steps.tokens / seconds;
        training->flops_per_second = steps.flops / seconds;
    }
    training->peak_rss = peak_rss();
    if (trainer) lorac_trainer_free(trainer);
    if (dataset) lorac_dataset_close(dataset);
    return failed;
}

/* ---- opening ------------------------------------------------------------------------------- */

static lorac_status first_token(const struct bench *b, const struct engine *e, lorac_error *err)
{
    enum { PROMPT = 16 };
    lorac_session *session = NULL;
    lorac_session_options options;
    lorac_sampler sampler;
    uint64_t state = 3;
    int32_t id;
    lorac_session_options_init(&options);
    lorac_sampler_init(&sampler);
    options.precision = (lorac_precision)b->common.precision;
    options.kv_bits = b->kv_bits ? 8 : 0;
    options.max_tokens = PROMPT + 1;
    lorac_status failed = lorac_session_create(e->model, e->set, &options, &session, err);
    if (!failed) failed = append_random(e->model, &session, 1, PROMPT, &state, err);
    if (!failed) failed = lorac_sessions_forward(&session, 1, err);
    if (!failed) failed = lorac_sample(e->model, lorac_session_logits(session, 0), &sampler, 0, &id, err);
    lorac_session_free(session);
    return failed;
}

int measure_open(const struct bench *b, double *milliseconds)
{
    struct engine e;
    lorac_error err;
    double start = seconds_now();
    int status = engine_open(&e, &b->common, OPEN_ALL);
    if (!status && first_token(b, &e, &err)) status = fail_error(b->common.json, &err);
    *milliseconds = 1000 * (seconds_now() - start);
    engine_close(&e);
    return status;
}

/* ---- what the work needs ------------------------------------------------------------------- */

/* Weights inside the layers: all but embedding and head (norms are too few to matter). */
static double layer_weights(const lorac_model_info *m)
{
    double table = (double)m->vocab_size * (double)m->hidden_size;
    return (double)m->parameters - table * (m->tied_head ? 1 : 2);
}

/* 2 per weight and token, the head for the last token only, adapters, and attention to half the square:
 * 2 T² (scores) + 2 T² (values), each times heads · head_dim, halved by causality. */
double prefill_flops(const struct bench *b, const lorac_model *model, const struct rows *rows)
{
    lorac_model_info m = {.struct_size = sizeof m};
    lorac_model_get_info(model, &m);
    double tokens = (double)b->prompt, n = (double)rows->count;
    double products = 2 * (layer_weights(&m) * n + (double)rows->adapter_uses) * tokens;
    double head = 2 * (double)m.vocab_size * (double)m.hidden_size * n;
    double attention = 4 * (double)(m.layers * m.heads * m.head_dim) * tokens * tokens / 2 * n;
    return products + head + attention;
}

/* Every weight once (an untied embedding is not read), every adapter (f32) once, and each row's mean cache. */
double decode_bytes(const struct bench *b, const lorac_model *model, const struct rows *rows)
{
    lorac_model_info m = {.struct_size = sizeof m};
    lorac_model_get_info(model, &m);
    double table = (double)m.vocab_size * (double)m.hidden_size;
    double weights = (double)m.weight_bytes * (m.tied_head ? 1 : 1 - table / (double)m.parameters);
    double cached = (double)b->prompt + (double)b->generation / 2;
    double value = b->kv_bits                           ? 1 + 2.0 / 32
                   : b->common.precision == LORAC_EXACT ? 4
                                                        : 2; /* bytes; 8 bits have scales */
    double cache = cached * (double)(m.layers * 2 * m.kv_heads * m.head_dim) * value;
    return weights + 4 * (double)rows->adapter_parameters + cache * (double)rows->count;
}
