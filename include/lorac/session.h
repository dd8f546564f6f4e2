/* session.h — generation: a session is one sequence of tokens with its cache and its adapter set.
 *
 * Several sessions run in one batch, each under its own set (lorac_sessions_forward).
 * Thread rule: a session belongs to one thread at a time; different sessions are independent. */
#ifndef LORAC_SESSION_H
#define LORAC_SESSION_H

#include <lorac/adapter.h>
#include <lorac/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_session lorac_session;

typedef struct lorac_session_options {
    size_t struct_size;
    lorac_precision precision;
    size_t max_tokens;     /* most tokens the session can hold; 0: the model's context length; at most 1048576 */
    size_t prefill_tokens; /* most tokens computed in one forward; longer input is cut; 0: 512 */
    int all_logits; /* keep the logits of every row of the last forward (the last prefill_tokens at most), not only the
                       last one's */
    int kv_bits;    /* how keys and values are kept: 0: bf16, or f32 in exact precision; 8: 8 bits and an f16 scale per
                       32 values, not in exact precision */
    size_t expected_tokens; /* that the session will have, where that is known and not all are appended before the first
                               forward: rotary scalings that depend on a sequence's length (LongRoPE, dynamic) count
                               with it; 0: with what is there */
} lorac_session_options;
LORAC_API void lorac_session_options_init(lorac_session_options *options);

/* set: NULL for the base model alone. The session keeps model and set alive. */
LORAC_API lorac_status lorac_session_create(lorac_model *model, lorac_adapter_set *set,
                                            const lorac_session_options *options, lorac_session **session,
                                            lorac_error *err);
LORAC_API void lorac_session_free(lorac_session *session);

/* Another set, or NULL, from here on: a pointer swap. Cached tokens of the old set are dropped and computed again by
 * the next forward. */
LORAC_API void lorac_session_set_adapters(lorac_session *session, lorac_adapter_set *set);

/* Adds tokens that the next forward computes. An id out of the vocabulary or too many tokens is an error; nothing is
 * added then. */
LORAC_API lorac_status lorac_session_append(lorac_session *session, const int32_t *ids, size_t count, lorac_error *err);
LORAC_API lorac_status lorac_session_truncate(lorac_session *session, size_t tokens,
                                              lorac_error *err);     /* keeps the first `tokens` */
LORAC_API size_t lorac_session_length(const lorac_session *session); /* tokens, pending ones included */

/* Computes what is pending in each of `count` sessions of one model as one batch. All have the same precision.
 * A session with nothing pending is an error. */
LORAC_API lorac_status lorac_sessions_forward(lorac_session *const *sessions, size_t count, lorac_error *err);

/* Logits (vocab_size floats) after the last token computed; borrowed until the next forward of this session; NULL
 * before. With all_logits, `row` counts back from it: 0 the last token's, 1 the one before … */
LORAC_API const float *lorac_session_logits(const lorac_session *session, size_t row);

typedef struct lorac_sampler {
    size_t struct_size;
    double temperature; /* 0: the largest logit, ties to the lowest id; everything else is then ignored */
    double top_p, min_p;
    size_t top_k; /* 0: no cut */
    uint64_t seed;
} lorac_sampler;
LORAC_API void lorac_sampler_init(lorac_sampler *sampler); /* temperature 0, top_p 1, min_p 0, top_k 0, seed 0 */

/* Draws a token as mlx-lm orders it: top-p, min-p, top-k on the probabilities at temperature 1, then the temperature.
 * The draw depends on logits, seed and `index` (the number of the token in its text) alone. */
LORAC_API lorac_status lorac_sample(const lorac_model *model, const float *logits, const lorac_sampler *sampler,
                                    size_t index, int32_t *id, lorac_error *err);

typedef struct lorac_token_logprob {
    int32_t token;
    float logprob; /* natural log-softmax of the raw logits */
} lorac_token_logprob;

/* The `count` likeliest tokens, falling, ties by id; top may be NULL for count 0. *of gets the log-probability of `id`.
 */
LORAC_API lorac_status lorac_logprobs(const lorac_model *model, const float *logits, int32_t id, float *of,
                                      lorac_token_logprob *top, size_t count, lorac_error *err);

/* One token of a running generation. Borrowed, valid during the call. */
typedef struct lorac_generated {
    size_t struct_size;
    int32_t token;
    int is_stop;      /* the token ended the text (EOS or end of turn); its text is empty */
    const char *text; /* what became certain with this token: whole characters, nothing of a stop string */
    size_t text_length;
    float logprob;
    const lorac_token_logprob *top; /* `logprobs` of them */
    size_t top_count;
} lorac_generated;
typedef int (*lorac_generate_fn)(void *user, const lorac_generated *token); /* not 0: stop here */

typedef struct lorac_generate_options {
    size_t struct_size;
    size_t max_tokens; /* default 100 */
    lorac_sampler sampler;
    int ignore_eos;
    size_t logprobs;         /* how many alternatives to report */
    const char *const *stop; /* texts that end the generation; they are not part of the text */
    size_t stop_count;
} lorac_generate_options;
LORAC_API void lorac_generate_options_init(lorac_generate_options *options);

typedef struct lorac_generate_result {
    size_t struct_size;
    size_t prompt_tokens, tokens; /* tokens: generated, the stop token excluded */
    int stopped;                  /* 1: by EOS, a stop text or the callback; 0: by max_tokens */
    double prefill_seconds, decode_seconds;
} lorac_generate_result;

/* Generates after the tokens that the session holds (at least one). `tokenizer` may be NULL: then there is no text and
 * no stop token. The session holds the generated tokens afterwards. */
LORAC_API lorac_status lorac_generate(lorac_session *session, const lorac_tokenizer *tokenizer,
                                      const lorac_generate_options *options, lorac_generate_fn on_token, void *user,
                                      lorac_generate_result *result, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
