/* session.h — the inside of a session. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "adapter/adapter.h"
#include "model/model.h"
#include <lorac/session.h>

struct lorac_session {
    struct lorac_model *model;
    struct lorac_adapter_set *set;
    lorac_session_options options;
    enum precision precision;
    struct kv_cache cache;
    struct exec exec;
    struct batch batch;
    struct buffer *picks; /* i32: rows whose logits are wanted */
    int32_t *picks_host;
    int32_t *tokens;    /* (options.max_tokens) */
    size_t count;       /* of tokens; cache.tokens of them are computed */
    size_t most_logits; /* rows that `logits` holds */
    float *logits;      /* (most_logits, vocab): the last rows computed */
    size_t logit_rows;
    size_t rank; /* of adapter terms that the exec's stack has room for */
};

/* (Re)makes the exec with room for terms of this rank. */
lorac_status session_make_exec(struct lorac_session *s, size_t rank, lorac_error *err);

enum {
    SESSION_BATCH = 64,       /* sessions in one forward */
    SESSION_TOKENS = 1 << 20, /* most in a session: what attention's table of cache pages holds */
};

#endif
