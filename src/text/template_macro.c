/* template_macro.c — macros and their calls, call blocks, and generation blocks, which the reference calls as macros.
 */
#include "text/template_impl.h"

#include <string.h>

static bool define_macro(struct render *r, const struct node *n, struct value *result)
{
    struct macro *m = host_take(&r->host, sizeof *m);
    if (!m) return false;
    m->node = n;
    m->scope = r->scope;
    return *result = (struct value){.kind = V_MACRO, .macro = m}, true;
}

static struct keyword *take_keyword(struct call *c, struct str name)
{
    for (size_t i = 0; i < c->keyword_count; i++)
        if (str_equal(c->keywords[i].name, name)) return &c->keywords[i];
    return NULL;
}

/* A parameter gets the next argument or its keyword, or stays undefined for now. */
static bool bind_parameter(struct render *r, struct call *c, const struct node *p, size_t place)
{
    struct value v;
    struct keyword *k = place < c->count ? NULL : take_keyword(c, p->text);
    if (place < c->count)
        v = c->arguments[place];
    else if (k)
        v = k->value;
    else if (!v_undefined(r, &v, "parameter '%.*s' was not provided", STR_ARG(p->text)))
        return false;
    if (k) *k = c->keywords[--c->keyword_count];
    return bind(r, p->symbol, v);
}

/* What is left over goes into varargs and kwargs where the body names them, and is an error otherwise. */
static bool bind_rest(struct render *r, struct macro *m, struct call *c, size_t taken)
{
    struct value v;
    const struct node *n = m->node;
    struct keyword *caller = take_keyword(c, STR("caller"));
    if (n->uses & USES_CALLER) {
        if (caller)
            v = caller->value;
        else if (!v_undefined(r, &v, "No caller defined"))
            return false;
        if (caller) *caller = c->keywords[--c->keyword_count];
        if (!bind(r, SYMBOL_CALLER, v)) return false;
    }
    if (n->uses & USES_KWARGS) {
        struct dict *d = dict_new(r, c->keyword_count);
        for (size_t i = 0; d && i < c->keyword_count; i++)
            if (!dict_set(r, d, v_str(c->keywords[i].name), c->keywords[i].value)) return false;
        if (!d || !bind(r, SYMBOL_KWARGS, (struct value){.kind = V_DICT, .dict = d})) return false;
    } else if (c->keyword_count) {
        return host_fail(&r->host, LORAC_FORMAT, "macro '%.*s' takes no keyword argument '%.*s'", STR_ARG(n->text),
                         STR_ARG(c->keywords[0].name));
    }
    size_t extra = c->count > taken ? c->count - taken : 0;
    if (n->uses & USES_VARARGS) {
        struct items *items = items_new(r, extra);
        if (!items || !bind(r, SYMBOL_VARARGS, v_items(V_TUPLE, items))) return false;
        if (extra) memcpy(items->at, c->arguments + taken, extra * sizeof *items->at);
    } else if (extra) {
        return host_fail(&r->host, LORAC_FORMAT, "macro '%.*s' takes not more than %zu argument(s)", STR_ARG(n->text),
                         taken);
    }
    return true;
}

/* Defaults may use what is bound by now. */
static bool bind_defaults(struct render *r, struct macro *m, uint64_t missing)
{
    struct value v;
    for (const struct node *p = m->node->parameters; p; p = p->next, missing >>= 1)
        if (missing & 1 && p->a && (!eval(r, p->a, &v) || !bind(r, p->symbol, v))) return false;
    return true;
}

static bool bind_arguments(struct render *r, struct macro *m, struct call *c)
{
    size_t place = 0;
    uint64_t missing = 0; /* bits: there are at most CALL_ARGUMENTS parameters */
    for (const struct node *p = m->node->parameters; p; p = p->next, place++) {
        if (place >= c->count && !take_keyword(c, p->text)) missing |= (uint64_t)1 << place;
        if (!bind_parameter(r, c, p, place)) return false;
    }
    return bind_rest(r, m, c, place) && bind_defaults(r, m, missing);
}

bool call_macro(struct render *r, struct macro *m, struct call *c, struct value *result)
{
    struct scope *outer = r->scope;
    unsigned line = r->host.line;
    if (!work(r, 1) || !(r->scope = scope_new(r, m->scope))) return r->scope = outer, false;
    bool ok = bind_arguments(r, m, c) && capture(r, r->scope, m->node, result);
    r->scope = outer;
    if (ok) r->host.line = line;
    return ok;
}

bool exec_macro(struct render *r, const struct node *n)
{
    struct value v;
    return define_macro(r, n, &v) && bind(r, n->symbol, v);
}

bool exec_call_block(struct render *r, const struct node *n)
{
    struct value callee, caller, result;
    struct call c = {0};
    if (!define_macro(r, n->b, &caller) || !eval(r, n->a->a, &callee) || !eval_call(r, n->a->list, &c)) return false;
    struct keyword *keywords = host_array(&r->host, c.keyword_count + 1, sizeof *keywords);
    if (!keywords) return false;
    if (c.keyword_count) memcpy(keywords, c.keywords, c.keyword_count * sizeof *keywords);
    keywords[c.keyword_count++] = (struct keyword){STR("caller"), caller};
    c.keywords = keywords;
    return call_value(r, callee, &c, &result) && print_result(r, result);
}

/* What an assistant says. The reference cannot say where a text that is captured will stand, and takes it to begin
 * where the outermost capture does. */
bool exec_generation(struct render *r, const struct node *n)
{
    struct macro body = {.node = n, .scope = r->scope};
    struct call c = {0};
    struct value v;
    size_t from = r->captures ? r->captured_at : r->out->length;
    if (!call_macro(r, &body, &c, &v)) return false;
    struct text_span *span = r->spans ? list_add(r->spans) : NULL;
    if (r->spans && !span) return host_fail(&r->host, LORAC_OUT_OF_MEMORY, "no memory for its generation blocks");
    if (span) {
        span->from = str_characters(printed(r, from));
        span->to = span->from + str_characters(v.text);
    }
    return print_out(r, v.text);
}
