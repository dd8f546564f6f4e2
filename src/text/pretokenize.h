/* pretokenize.h — cutting text into the words that a model sees one at a time.
 *
 * A pre-tokenizer is a list of steps; each cuts every piece that the one before left at the matches of a regular
 * expression, and what leaves the last one goes to the caller. Nothing is copied but pieces that a step changes. */
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include "base/json.h"
#include "text/bytelevel.h"
#include "text/metaspace.h"
#include "text/regex.h"

/* Of the cuts, what becomes of a match and of what lies between two. */
enum split_behaviour {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS /* neighbouring matches stay together */
};

struct split_step {
    struct regex *regex; /* NULL: the piece stays whole */
    char *pattern;       /* what it was compiled from */
    enum split_behaviour behaviour;
    bool invert;                /* what lies between the matches counts as match */
    bool prefix_space;          /* a piece that does not begin with a space gets one */
    bool spell;                 /* the piece's bytes become characters of the byte alphabet */
    struct metaspace metaspace; /* in place of all above */
    bool scripts;               /* in place of all above: cut where the script changes */
};

struct pretokenizer {
    struct list steps; /* struct split_step */
    bool byte_level;   /* words are bytes that the model spells in the byte alphabet */
    bool spelled;      /* the steps after a ByteLevel saw spelled bytes, which are read back at the end */
    struct byte_alphabet alphabet;
};

void pretokenizer_init(struct pretokenizer *p, struct memory *m);
void pretokenizer_free(struct pretokenizer *p);
/* With `literal`, the pattern is a plain string; NULL: none. */
lorac_status pretokenizer_add(struct pretokenizer *p, const char *pattern, size_t length, bool literal,
                              struct split_step step, const char *file, lorac_error *err);
/* Adds what a tokenizer.json's "pre_tokenizer" says; a kind that lorac does not know is refused by name. */
lorac_status pretokenizer_read(struct pretokenizer *p, const json_t *part, const char *file, lorac_error *err);

/* Words that are bytes become text, spelled in the byte alphabet. */
lorac_status pretokenizer_stay_spelled(struct pretokenizer *p, const char *file, lorac_error *err);

typedef lorac_status (*word_fn)(void *context, const char *word, size_t length, lorac_error *err);
/* Calls `word` for each word of text (valid UTF-8), in order. Words that are bytes may be cut inside a character.
 * `first`: the text is not a later piece of a whole. */
lorac_status pretokenize(const struct pretokenizer *p, struct regex_match *match, bool first, const char *text,
                         size_t length, word_fn word, void *context, lorac_error *err);

/* The expressions that families of models share. */
extern const char pattern_gpt2[], pattern_llama3[], pattern_qwen2[];

#endif
