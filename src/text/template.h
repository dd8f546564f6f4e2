/* template.h — chat templates: an interpreter of the part of Jinja2 that models' templates are written in,
 * with the environment that transformers gives them (trim_blocks, lstrip_blocks, raise_exception,
 * strftime_now, tojson without HTML escaping, generation blocks, break and continue).
 *
 * Nothing in a template is trusted: parse depth, steps and output are capped; an error names the line. */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/json.h"

struct chat_template;

/* `name` is what errors call the template. */
lorac_status template_parse(struct memory *m, const char *source, size_t length, const char *name,
                            struct chat_template **t, lorac_error *err);
void template_free(struct chat_template *t);
bool template_marks(const struct chat_template *t); /* it has generation blocks */
struct text_span {
    size_t from, to; /* bytes */
};
/* `variables` is a JSON object: messages, tools, add_generation_prompt, bos_token, eos_token ... The text is
 * appended to *out, and what its {% generation %} blocks printed to `spans` (struct text_span), which may be NULL. A
 * template may be rendered from several threads at once. */
lorac_status template_render(const struct chat_template *t, json_t *variables, struct text *out, struct list *spans,
                             lorac_error *err);
/* The same with a bound on its time. Steps are the bound that counts, being the same everywhere; template_render allows
 * far more time than they take. */
lorac_status template_render_within(const struct chat_template *t, double seconds, json_t *variables, struct text *out,
                                    struct list *spans, lorac_error *err);

#endif
