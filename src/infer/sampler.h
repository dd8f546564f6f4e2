/* sampler.h — from logits to a token. The scratch is made once and used for every token. */
#ifndef INFER_SAMPLER_H
#define INFER_SAMPLER_H

#include "infer/session.h"

struct candidate {
    int32_t id;
    float logprob;
};
struct sampling {
    struct memory *memory;
    struct candidate *candidates; /* (vocab) */
    size_t vocab;
};
lorac_status sampling_create(struct memory *m, size_t vocab, struct sampling *s, lorac_error *err);
void sampling_free(struct sampling *s);

/* log Σ exp(logits) */
double log_sum_exp(const float *logits, size_t vocab);
int32_t argmax(const float *logits, size_t vocab);
int32_t sample(struct sampling *s, const float *logits, double lse, const lorac_sampler *sampler, size_t index);
/* The `count` likeliest, falling, ties by id. */
void likeliest(const float *logits, size_t vocab, double lse, lorac_token_logprob *top, size_t count);
lorac_status sampler_check(const lorac_sampler *sampler, lorac_error *err);

#endif
