/* decode_chain.h — from tokens to text, by the chain of steps that tokenizer files call "decoder".
 *
 * A step turns a list of tokens into a list of tokens; what leaves the last one is joined. Tokens are pushed one at a
 * time and text comes out as early as the steps allow, so decoding at once and streaming are the same. */
#ifndef TEXT_DECODE_CHAIN_H
#define TEXT_DECODE_CHAIN_H

#include "text/bytelevel.h"
#include "text/pattern.h"

struct decoder_run;
struct decoder_step;

/* A token on its way, or a part of one that comes in several (after Fuse). */
struct decoder_piece {
    const char *text;
    size_t length;
    bool begins, ends; /* the first part, the last part */
};

struct decoder_kind {
    const char *type; /* as tokenizer.json calls it */
    bool takes_parts; /* otherwise a token in parts is gathered first */
    lorac_status (*push)(struct decoder_run *run, size_t step, struct decoder_piece piece, lorac_error *err);
    lorac_status (*finish)(struct decoder_run *run, size_t step, lorac_error *err); /* NULL: keeps nothing back */
};
const struct decoder_kind *decoder_kind_named(const char *type); /* NULL: unknown */
extern const struct decoder_kind decoder_join;                   /* no decoder: tokens with spaces between */

struct decoder_step {
    const struct decoder_kind *kind;
    struct pattern pattern; /* Replace */
    char *content, *marker; /* Replace: what it becomes; Strip, Metaspace, WordPiece, BPEDecoder, CTC: what is sought */
    char *delimiter;        /* CTC */
    size_t start, stop;     /* Strip: how many at most */
    bool cleanup;           /* WordPiece, CTC */
    bool drops_first;       /* Metaspace: the first token loses its markers */
};

struct decoder {
    struct memory *memory;
    struct list steps; /* struct decoder_step */
    struct byte_alphabet alphabet;
};
void decoder_init(struct decoder *d, struct memory *m);
void decoder_free(struct decoder *d);
struct decoder_step *decoder_add(struct decoder *d, const struct decoder_kind *kind, lorac_error *err); /* or NULL */

/* What a step remembers between tokens. */
struct decoder_state {
    struct text gathered; /* a token's parts */
    struct text held;
    size_t seen; /* tokens (Strip: markers stripped from this token's start) */
    bool open;   /* Strip: still at the token's start; BPEDecoder, CTC: a token is held */
};
struct decoder_run {
    const struct decoder *decoder;
    struct regex_match *match;
    struct decoder_state *states; /* one a step */
    struct text scratch, out;     /* out: valid UTF-8, for the caller to take */
};
lorac_status decoder_run_init(struct decoder_run *run, const struct decoder *d, lorac_error *err);
void decoder_run_free(struct decoder_run *run);
lorac_status decoder_push(struct decoder_run *run, const char *token, size_t length, lorac_error *err);
/* Gives out what is held back; the run is then as new. */
lorac_status decoder_finish(struct decoder_run *run, lorac_error *err);

/* For the kinds: passes a whole token, or a part, to the step after. */
lorac_status decoder_give(struct decoder_run *run, size_t step, const char *text, size_t length, lorac_error *err);
lorac_status decoder_give_piece(struct decoder_run *run, size_t step, struct decoder_piece piece, lorac_error *err);

#endif
