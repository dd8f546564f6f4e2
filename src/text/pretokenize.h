/* pretokenize.h — cutting text into the words that byte-pair encoding sees one at a time.
 *
 * A pre-tokenizer is a list of steps, each a regular expression whose matches cut the piece; a word that left
 * the last step goes to the caller. Nothing is copied but pieces that a step puts a space before. */
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include "text/metaspace.h"
#include "text/regex.h"

enum split_behaviour { SPLIT_ISOLATED, SPLIT_REMOVED };

struct split_step {
    struct regex *regex; /* NULL: the piece stays whole */
    enum split_behaviour behaviour;
    bool invert;                /* what lies between the matches counts as match */
    bool prefix_space;          /* a piece that does not begin with a space gets one */
    struct metaspace metaspace; /* in place of all above */
};

struct pretokenizer {
    struct list steps; /* struct split_step */
};

lorac_status pretokenizer_add(struct pretokenizer *p, const char *pattern, size_t length, bool literal,
                              struct split_step step, const char *file, lorac_error *err);
void pretokenizer_free(struct pretokenizer *p);

typedef lorac_status (*word_fn)(void *context, const char *word, size_t length, lorac_error *err);
/* Calls `word` for each word of text (valid UTF-8), in order. `first`: the text is not a later piece of a whole. */
lorac_status pretokenize(const struct pretokenizer *p, struct regex_match *match, bool first, const char *text,
                         size_t length, word_fn word, void *context, lorac_error *err);

/* The expressions that families of models share. */
extern const char pattern_gpt2[], pattern_llama3[], pattern_qwen2[];

#endif
