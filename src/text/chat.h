/* chat.h — a conversation as JSON to the text that a model was taught with, many times over. */
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include "text/template.h"
#include "text/tokenizer.h"

/* A tokenizer's chat templates, each parsed when it is first needed. Zero-initialise with .tokenizer set. */
struct chat_templates {
    const struct lorac_tokenizer *tokenizer;
    struct chat_template *plain, *tools;
};
void chat_close(struct chat_templates *t);

/* The template for a chat with such tools (which may be NULL). */
lorac_status chat_template_for(struct chat_templates *t, const json_t *tools, const struct chat_template **found,
                               lorac_error *err);
/* `chat` is a list of messages or an object with "messages". The text is appended to *out; what the template marks as
 * generated goes to `spans` (struct text_span), which may be NULL. */
lorac_status chat_render(struct chat_templates *t, json_t *chat, bool add_generation_prompt, struct text *out,
                         struct list *spans, lorac_error *err);

#endif
