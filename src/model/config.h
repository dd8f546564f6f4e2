/* config.h — what a model's files say about its shape and its arithmetic, before any weight is looked at.
 *
 * One struct describes every dense decoder: a family (family.h) sets what is fixed for it, the files the rest. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "backend/activation.h"
#include "base/json.h"
#include "file/gguf.h"

enum { MAX_LAYERS = 512, MAX_HEAD_DIM = 512 };

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONG };

struct rope_config {
    double theta;
    double part; /* of a head's dimensions that rotates, where the file says a share */
    size_t dims; /* rotated dimensions of a head, the first ones */
    enum rope_scaling scaling;
    double factor;               /* all scalings but longrope */
    double original_context;     /* dynamic, llama3, yarn, longrope */
    double low_freq, high_freq;  /* llama3 */
    double beta_fast, beta_slow; /* yarn */
    double attention_factor;     /* yarn, longrope: what cos and sin are multiplied with */
    bool truncate;               /* yarn: correction range to whole dimensions */
    bool interleaved;            /* pairs (2i, 2i + 1) instead of (i, i + dims/2) */
    /* longrope: what divides the frequencies, within the original context and beyond it */
    float divisors[2][MAX_HEAD_DIM / 2];
};

enum norm_place { /* of a block, attention or MLP: y = x + after(f(before(x))) */
                  NORM_BEFORE = 1,
                  NORM_AFTER = 2
};
enum block_order {
    BLOCK_SEQUENTIAL,     /* h = x + attention(x), y = h + mlp(h) */
    BLOCK_PARALLEL,       /* y = x + attention(n x) + mlp(n x): one norm */
    BLOCK_PARALLEL_NORMS, /* the same with a norm for each */
};
enum qk_norm {
    QK_NORM_NONE,
    QK_NORM_HEAD,  /* over a head, all heads with one weight (head_dim) */
    QK_NORM_HEADS, /* over a head, each with its own weight (heads, head_dim) */
    QK_NORM_WIDTH, /* over the whole row (heads · head_dim) */
};

/* Whether rows of q, k, v stand in one module, and how. */
enum fused_qkv {
    FUSED_NONE,
    FUSED_BLOCKS, /* all of q, all of k, all of v */
    FUSED_GROUPS, /* for each KV head: its query heads, its key head, its value head */
};

enum layer_kind { LAYER_WINDOW = 1, LAYER_NO_ROPE = 2 }; /* bits */
enum { ROPE_FULL, ROPE_LOCAL, ROPES };                   /* layers with a window may rotate otherwise */

struct model_config {
    size_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocab, context;
    size_t positions; /* learned ones; 0: none */
    double norm_eps;
    struct rope_config rope[ROPES];
    bool local_rope; /* rope[ROPE_LOCAL] differs */
    size_t window;   /* keys that a query of a LAYER_WINDOW layer sees, itself included; 0: all */
    uint8_t kind[MAX_LAYERS];

    bool layer_norm, norm_bias, norm_plain; /* plain: without weights */
    bool norm_plus_one;                     /* the folder's norm weights are w, the norm multiplies with 1 + w */
    int norms;                              /* enum norm_place, for both blocks */
    enum block_order order;
    enum qk_norm qk_norm;
    enum activation activation;
    bool gated;
    bool qkv_bias, o_bias, mlp_bias, head_bias, tied_head;
    enum fused_qkv fused_qkv;
    bool fused_gate_up;
    bool conv1d;        /* the folder's matrices are (in, out) */
    bool rows_permuted; /* the file's rows of q and k stand in interleaved pairs, Hugging Face's do not */

    double embedding_scale, residual_scale, logit_scale;
    double attention_scale;   /* 0: 1 / sqrt(head_dim) */
    double attention_softcap; /* 0: none */
    double final_softcap;     /* 0: none */
    double qkv_limit;         /* q, k and v are cut to ± this; 0: they are not */
};

/* What attention of one layer is computed with. */
struct layer_attention {
    size_t window; /* 0: none */
    float softcap; /* 0: none */
    float scale;
};
struct layer_attention config_attention(const struct model_config *c, size_t layer);
/* The rotary embedding of a layer; NULL: none. */
const struct rope_config *config_rope(const struct model_config *c, size_t layer);

struct family;
lorac_status config_from_json(const json_t *config, const char *file, const struct family **family,
                              struct model_config *c, lorac_error *err);
lorac_status config_from_gguf(const struct gguf *g, const struct family **family, struct model_config *c,
                              lorac_error *err);
/* Shapes that make no sense are refused before anything is allocated by them. */
lorac_status config_check(const struct model_config *c, const char *file, lorac_error *err);

/* inverse[i], i < dims/2: the angle per position of pair i for a sequence of `length` tokens (dynamic and longrope
 * depend on it); *factor: what cos and sin are multiplied with. `divisors` (dims/2) or NULL: a GGUF's rope_freqs. */
void rope_frequencies(const struct rope_config *rope, size_t length, const float *divisors, float *inverse,
                      float *factor);

#endif
