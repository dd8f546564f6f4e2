/* config.h — what a model's files say about its shape, before any weight is looked at. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "base/json.h"
#include "file/gguf.h"

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN };

struct rope_config {
    double theta;
    size_t dims; /* rotated dimensions of a head */
    enum rope_scaling scaling;
    double factor;               /* all scalings */
    double original_context;     /* llama3, yarn */
    double low_freq, high_freq;  /* llama3 */
    double beta_fast, beta_slow; /* yarn */
    double attention_factor;     /* yarn: what cos and sin are multiplied with */
    bool truncate;               /* yarn: correction range to whole dimensions */
    bool interleaved;            /* pairs (2i, 2i + 1): the row order of GGUF files */
};

struct model_config {
    size_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocab, context;
    double norm_eps;
    struct rope_config rope;
    bool tied_head, attention_bias, mlp_bias;
};

lorac_status config_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err);
lorac_status config_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err);

/* inverse[i], i < dims/2: the angle per position of pair i; *factor: what cos and sin are multiplied with.
 * `divisors` (dims/2) or NULL: a GGUF's rope_freqs. */
void rope_frequencies(const struct rope_config *rope, const float *divisors, float *inverse, float *factor);

#endif
