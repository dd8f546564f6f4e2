/* template_markup.c — filters that chat templates hardly need: sizes, attributes of markup, and where the longer ones
 * are found. */
#include "text/template_impl.h"

#include <math.h>
#include <string.h>

static bool filter_filesizeformat(struct render *r, struct call *c, struct value *result)
{
    static const char *const decimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}, *const binary[] = {
                                                                                               "KiB", "MiB", "GiB",
                                                                                               "TiB", "PiB", "EiB",
                                                                                               "ZiB", "YiB"};
    double bytes = real_of(c->self), base = truth(c->arg[0]) ? 1024 : 1000, unit = base;
    bool number =
        is_number(c->self) || (c->self.kind == V_STR && parse_float(r->host.arena.memory, c->self.text, &bytes));
    if (!number) return wants(r, c, "a number", c->self);
    if (bytes < -0x1p63) return host_fail(&r->host, LORAC_UNSUPPORTED, "an integer exceeds 64 bits");
    struct text t = builder(r);
    size_t i = 0;
    if (bytes == 1)
        text_puts(&t, "1 Byte");
    else if (bytes < base)
        text_printf(&t, "%lld Bytes", (long long)bytes);
    else {
        while (i < 7 && !(bytes < unit * base)) unit *= base, i++;
        format_spec(r, &t, v_float(base * bytes / (unit * base)), STR(".1f"));
        text_puts(&t, " ");
        text_puts(&t, truth(c->arg[0]) ? binary[i] : decimal[i]);
    }
    return builder_end(r, &t, result);
}

static bool add_attribute(struct render *r, struct text *t, struct str key, struct value v)
{
    struct value name, escaped;
    for (size_t i = 0; i < key.length; i++)
        if (strchr(" \t\n\r\f/>=", key.at[i]) && key.at[i])
            return host_fail(&r->host, LORAC_FORMAT, "Invalid character in attribute name: '%.*s'", STR_ARG(key));
    if (!escape_html(r, v_str(key), &name) || !escape_html(r, v, &escaped)) return false;
    text_add(t, name.text.at, name.text.length);
    text_puts(t, "=\"");
    text_add(t, escaped.text.at, escaped.text.length);
    text_puts(t, "\"");
    return true;
}

static bool add_attributes(struct render *r, struct call *c, struct text *t)
{
    const struct dict *d = c->self.dict;
    bool space = c->arg[0].kind == V_ABSENT || truth(c->arg[0]);
    for (size_t i = 0; i < d->count; i++) {
        if (d->at[i].value.kind == V_NONE || d->at[i].value.kind == V_UNDEFINED) continue;
        if (d->at[i].key.kind != V_STR) return wants(r, c, "strings as keys", d->at[i].key);
        if (space) text_puts(t, " ");
        space = true;
        if (!add_attribute(r, t, d->at[i].key.text, d->at[i].value)) return false;
    }
    return true;
}

/* {"a": 1} gives ' a="1"'. */
static bool filter_xmlattr(struct render *r, struct call *c, struct value *result)
{
    if (c->self.kind != V_DICT) return wants(r, c, "a mapping", c->self);
    struct text t = builder(r);
    add_attributes(r, c, &t);
    return builder_end(r, &t, result);
}

static bool refuse(struct render *r, struct call *c, struct value *result)
{
    return host_fail(&r->host, LORAC_UNSUPPORTED, "the filter '%s' gives another text each time", c->function->name);
}

static const struct function filters[] = {
    {"filesizeformat", filter_filesizeformat, 0, "binary"},
    {"xmlattr", filter_xmlattr, 0, "autospace"},
    {"pprint", filter_pprint, 0, ""},
    {"striptags", filter_striptags, 0, ""},
    {"urlize", filter_urlize, 0, "trim_url_limit nofollow target rel extra_schemes"},
    {"wordwrap", filter_wordwrap, 0, "width break_long_words wrapstring break_on_hyphens"},
    {"random", refuse, 0, NULL},
};

const struct function *find_markup_filter(struct str name)
{
    return find_function(filters, sizeof filters / sizeof *filters, name);
}
