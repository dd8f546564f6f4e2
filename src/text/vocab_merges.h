/* vocab_merges.h — the merges of a vocabulary whose file lists none: all ways to cut its tokens in two tokens. */
#ifndef TEXT_VOCAB_MERGES_H
#define TEXT_VOCAB_MERGES_H

#include "text/tokenizer.h"

enum piece_type { /* numbered as in SentencePiece's files and GGUF */
                  PIECE_NORMAL = 1,
                  PIECE_UNKNOWN,
                  PIECE_CONTROL,
                  PIECE_USER_DEFINED,
                  PIECE_UNUSED,
                  PIECE_BYTE
};

enum merge_order {                           /* which pairs merge first */
                   MERGE_BY_ID,              /* of what they become; the shorter left side first */
                   MERGE_BY_SCORE,           /* the highest, then by id; normal pieces alone merge */
                   MERGE_BY_SCORE_LONG_LEFT, /* the highest; the longer left side, then the longer right side, then by
                                                id */
                   MERGE_BY_ID_LONG_LEFT,
                   MERGE_BY_RANKS /* by id, then by the ids of left and right */
};

/* Fills t->bpe. Scores are t->scores; `types` are the pieces', by id, NULL: all are normal. Added
 * tokens take no part. */
lorac_status vocab_merges(struct lorac_tokenizer *t, enum merge_order order, const uint8_t *types, lorac_error *err);

#endif
