/* bench_generation.c — times prefill, decoding and the change of adapters, on random tokens. */
#include "bench_phases.h"
#include "signals.h"

#include <stdlib.h>

/* ---- one run --------------------------------------------------------------------------------- */

static lorac_status stop_asked(lorac_error *err)
{
    err->status = LORAC_CANCELLED;
    err->file[0] = 0;
    snprintf(err->message, sizeof err->message, "interrupted");
    return LORAC_CANCELLED;
}

/* Sessions with their trials' times; the rows as they are, or the same rows without adapters. */
struct run {
    lorac_session **sessions;
    size_t count;
    double *prefill, *decode; /* seconds, one a trial */
    size_t prefill_rss, decode_rss;
};

static lorac_status run_trial(const struct bench *b, lorac_model *model, struct run *r, size_t trial, lorac_error *err)
{
    uint64_t state = 1;
    lorac_status failed = LORAC_OK;
    for (size_t i = 0; i < r->count && !failed; i++) failed = lorac_session_truncate(r->sessions[i], 0, err);
    if (!failed) failed = append_random(model, r->sessions, r->count, b->prompt, &state, err);
    reset_peak_rss();
    double start = seconds_now();
    if (!failed) failed = lorac_sessions_forward(r->sessions, r->count, err);
    r->prefill[trial] = seconds_now() - start;
    r->prefill_rss = peak_rss();
    reset_peak_rss();
    start = seconds_now();
    for (size_t i = 0; i < b->generation && !failed; i++) {
        failed = interrupted() ? stop_asked(err) : append_random(model, r->sessions, r->count, 1, &state, err);
        if (!failed) failed = lorac_sessions_forward(r->sessions, r->count, err);
    }
    r->decode[trial] = seconds_now() - start;
    r->decode_rss = peak_rss();
    return failed;
}

static lorac_status run_open(const struct bench *b, lorac_model *model, const struct rows *rows, bool adapters,
                             struct run *r, lorac_error *err)
{
    lorac_session_options options;
    lorac_session_options_init(&options);
    options.precision = (lorac_precision)b->common.precision;
    options.kv_bits = b->kv_bits ? 8 : 0;
    options.max_tokens = b->prompt + b->generation + 1;
    options.prefill_tokens = b->prefill;
    *r = (struct run){.sessions = calloc(rows->count, sizeof *r->sessions),
                      .count = rows->count,
                      .prefill = calloc(b->trials, sizeof *r->prefill),
                      .decode = calloc(b->trials, sizeof *r->decode)};
    if (!r->sessions || !r->prefill || !r->decode) return no_memory(err);
    for (size_t i = 0; i < r->count; i++) {
        lorac_adapter_set *set = adapters ? rows->sets[i] : NULL;
        lorac_status failed = lorac_session_create(model, set, &options, &r->sessions[i], err);
        if (failed) return failed;
    }
    return LORAC_OK;
}

/* A time of zero is the clock's step or no generation at all: no speed then. */
static double per_second(size_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

static void run_close(const struct bench *b, struct run *r, struct speeds *speeds)
{
    if (speeds)
        *speeds = (struct speeds){.prefill = per_second(r->count * b->prompt, median(r->prefill, b->trials)),
                                  .decode = per_second(r->count * b->generation, median(r->decode, b->trials)),
                                  .prefill_rss = r->prefill_rss,
                                  .decode_rss = r->decode_rss};
    for (size_t i = 0; r->sessions && i < r->count; i++) lorac_session_free(r->sessions[i]);
    free(r->sessions);
    free(r->prefill);
    free(r->decode);
}

lorac_status measure_generation(const struct bench *b, lorac_model *model, const struct rows *rows,
                                struct speeds *speeds, struct speeds *bare, lorac_error *err)
{
    struct run run[2] = {0};
    size_t runs = bare ? 2 : 1;
    lorac_status failed = LORAC_OK;
    for (size_t k = 0; k < runs && !failed; k++) failed = run_open(b, model, rows, k == 0, &run[k], err);
    for (size_t t = 0; t < b->trials && !failed; t++)
        for (size_t k = 0; k < runs && !failed; k++) failed = run_trial(b, model, &run[k], t, err);
    run_close(b, &run[0], failed ? NULL : speeds);
    run_close(b, &run[1], failed ? NULL : bare);
    return failed;
}

/* ---- adapters --------------------------------------------------------------------------------- */

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
