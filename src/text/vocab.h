/* vocab.h — the tokens of a tokenizer: id -> bytes, bytes -> id, as the file spells them.
 *
 * Flat arrays and one open-addressing table; no allocation per token. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include "base/memory.h"

enum token_flag {
    TOKEN_KNOWN = 1,     /* the id is in use */
    TOKEN_ADDED = 2,     /* its bytes are text as is, not the model's spelling */
    TOKEN_SPECIAL = 4,   /* left out by a decode with skip_special */
    TOKEN_STOP = 8,      /* ends a generation */
    TOKEN_RESPELLED = 16 /* its text is what the normaliser makes of its bytes, in the tokenizer's `normalized` */
};

struct token {
    size_t offset; /* into vocab.bytes */
    uint32_t length, flags;
};

struct vocab {
    struct text bytes;
    struct token *tokens; /* (count): ids 0 .. count-1, some may be unknown */
    size_t count, capacity;
    struct {
        uint32_t hash, id_plus_1; /* 0: free */
    } * slots;                    /* a power of two, at most half full */
    size_t slot_count, indexed;
};

void vocab_init(struct vocab *v, struct memory *m);
void vocab_free(struct vocab *v);

/* Room for `count` tokens, so that putting them moves nothing. */
lorac_status vocab_reserve(struct vocab *v, size_t count, lorac_error *err);
/* Refuses an id that is taken or far beyond the tokens there are, and a text that is taken. With `indexed`, vocab_find
 * finds it. */
lorac_status vocab_put(struct vocab *v, int64_t id, const char *bytes, size_t length, bool indexed, const char *file,
                       lorac_error *err);
int32_t vocab_find(const struct vocab *v, const char *bytes, size_t length); /* -1: none */

static inline const char *vocab_bytes(const struct vocab *v, const struct token *t)
{
    return v->bytes.data + t->offset;
}

/* The tokens "<0x00>" .. "<0xFF>", with which byte fallback spells what has no token; -1: the vocabulary lacks it. */
struct byte_tokens {
    int32_t id[256];
};
void byte_tokens_find(struct byte_tokens *b, const struct vocab *v);
bool byte_tokens_spell(const struct byte_tokens *b, const uint8_t *text, size_t length); /* every byte has one */

#endif
