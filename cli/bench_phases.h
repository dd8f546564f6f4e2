/* bench_phases.h — the measurements of `lorac bench`, one function a phase. */
#ifndef CLI_BENCH_PHASES_H
#define CLI_BENCH_PHASES_H

#include "common.h"
#include <lorac/trainer.h>

struct bench {
    struct common common;
    size_t prompt, generation, train_batch, train_tokens, batch, rank, trials, prefill;
    int kv_bits;
    long long layers;
    bool grad_checkpoint;
    const char *only;
};

/* One set a row: NULL, the set of all adapters, or the row's own adapter. */
struct rows {
    lorac_adapter_set **sets;
    size_t count;
    size_t adapter_parameters; /* of all adapters */
    size_t adapter_uses;       /* the same, counted once for each row that runs under it */
};

struct speeds {
    double prefill, decode; /* tokens a second */
    size_t prefill_rss, decode_rss;
};

/* bare, unless NULL: the same rows without adapters, their trials in turns with the others. */
lorac_status measure_generation(const struct bench *b, lorac_model *model, const struct rows *rows,
                                struct speeds *speeds, struct speeds *bare, lorac_error *err);
/* Mean of a pointer swap, in microseconds. */
lorac_status measure_switch(const struct bench *b, lorac_model *model, lorac_adapter_set *set, double *microseconds,
                            lorac_error *err);

struct training {
    double tokens_per_second, flops_per_second;
    size_t peak_rss;
};
lorac_status measure_training(const struct bench *b, const struct engine *e, struct training *training,
                              lorac_error *err);

/* Opens everything anew and computes the first token behind a prompt of 16. */
int measure_open(const struct bench *b, double *milliseconds);

/* What a forward needs: FLOPs of prefilling one row, and bytes that one decoding step of all rows reads. */
double prefill_flops(const struct bench *b, const lorac_model *model, const struct rows *rows);
double decode_bytes(const struct bench *b, const lorac_model *model, const struct rows *rows);

/* ---- what the phases share ------------------------------------------------------------------- */

double median(double *values, size_t count); /* sorts them */
void reset_peak_rss(void);
size_t peak_rss(void); /* since then, of the whole process */
lorac_status append_random(lorac_model *model, lorac_session **sessions, size_t count, size_t tokens, uint64_t *state,
                           lorac_error *err);
lorac_status no_memory(lorac_error *err);

#endif
