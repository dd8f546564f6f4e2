/* template_pprint.c — |pprint: values as Python's pprint lays them out in 80 columns. What fits stands in one line, as
 * repr() has it; of what does not, each item has its own, and texts are cut between words. Dicts are in the order of
 * their keys. */
#include "text/template_impl.h"

#include <string.h>

enum { COLUMNS = 80 };

/* A tuple that groupby made prints itself. */
static bool has_items(struct value v)
{
    return v.kind == V_DICT || v.kind == V_LIST || (v.kind == V_TUPLE && !v.items->type);
}

/* ---- order ------------------------------------------------------------------------------- */

/* Keys that Python cannot compare are in the order of their types' names. */
static int type_rank(struct value key)
{
    return key.kind == V_NONE ? 0 : is_number(key) ? 1 : key.kind == V_STR ? 2 : 3;
}

static bool key_before(struct render *r, struct value a, struct value b, bool *result)
{
    if (type_rank(a) == type_rank(b)) return less(r, a, b, result);
    return *result = type_rank(a) < type_rank(b), true;
}

static bool in_order(struct render *r, struct value v, struct value *result);

static bool dict_in_order(struct render *r, const struct dict *d, struct value *result)
{
    struct dict *copy = dict_new(r, d->count);
    const struct pair **order = host_array(&r->host, d->count, sizeof *order);
    if (!copy || !order || !sort_pairs(r, d, order, key_before)) return false;
    for (; copy->count < d->count; copy->count++) {
        struct pair *to = &copy->at[copy->count];
        to->key = order[copy->count]->key;
        if (!in_order(r, order[copy->count]->value, &to->value)) return false;
    }
    return *result = (struct value){.kind = V_DICT, .dict = copy}, true;
}

static bool items_in_order(struct render *r, struct value v, struct value *result)
{
    struct items *copy = items_new(r, v.items->count);
    if (!copy) return false;
    for (size_t i = 0; i < copy->count; i++)
        if (!in_order(r, v.items->at[i], &copy->at[i])) return false;
    return *result = v_items(v.kind, copy), true;
}

/* The value with every dict in it, as deep as there are dicts, lists and tuples, in order. */
static bool in_order(struct render *r, struct value v, struct value *result)
{
    if (!has_items(v)) return *result = v, true;
    if (!work(r, 1) || too_deep(r)) return false;
    r->depth++;
    bool ok = v.kind == V_DICT ? dict_in_order(r, v.dict, result) : items_in_order(r, v, result);
    r->depth--;
    return ok;
}

/* ---- layout ------------------------------------------------------------------------------ */

static bool new_line(struct render *r, struct text *t, int64_t indent)
{
    text_puts(t, "\n");
    if (indent > (int64_t)OUTPUT_LIMIT || t->length > OUTPUT_LIMIT)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    for (int64_t i = 0; i < indent; i++) text_puts(t, " ");
    return work_bytes(r, (size_t)indent);
}

/* Adds repr(v) if that has at most `room` characters; *width: how many it has. */
static bool add_if_narrow(struct render *r, struct text *t, struct value v, int64_t room, int64_t *width)
{
    struct text repr = builder(r);
    bool ok = print_repr(r, &repr, v) && work_bytes(r, repr.length);
    *width = (int64_t)str_characters((struct str){repr.data, repr.length});
    if (ok && *width <= room) text_add(t, repr.data, repr.length);
    t->failed |= repr.failed;
    text_free(&repr);
    return ok;
}

/* The pieces of a text that is too wide. */
struct pieces {
    struct render *r;
    struct text text;
    size_t count;
    int64_t indent, allowance; /* allowance: columns that the last piece leaves free */
};

static bool add_piece(struct pieces *p, struct str s)
{
    return (!p->count++ || new_line(p->r, &p->text, p->indent)) && print_repr(p->r, &p->text, v_str(s));
}

static bool piece_fits(struct pieces *p, struct str s, bool last, bool *fits)
{
    int64_t width;
    if (!add_if_narrow(p->r, &p->text, v_str(s), -1, &width)) return false;
    return *fits = width <= COLUMNS - p->indent - (last ? p->allowance : 0), true;
}

/* Where a word and the space after it end. */
static size_t word_end(struct str s, size_t at)
{
    size_t next = at;
    while (next < s.length && !is_space(str_next(s, &next))) at = next;
    for (next = at; next < s.length && is_space(str_next(s, &next));) at = next;
    return at;
}

/* A line, cut after as many words as fit; `last`: of the whole text. */
static bool add_line(struct pieces *p, struct str line, bool last)
{
    bool fits;
    size_t from = 0, at = 0;
    if (!piece_fits(p, line, last, &fits)) return false;
    if (fits) return add_piece(p, line);
    for (size_t end; at < line.length; at = end) {
        end = word_end(line, at);
        if (!piece_fits(p, str_slice(line, from, end), last && end == line.length, &fits)) return false;
        if (fits || at == from) continue;
        if (!add_piece(p, str_slice(line, from, at))) return false;
        from = at;
    }
    return add_piece(p, str_slice(line, from, at));
}

static bool lay_out_text(struct render *r, struct text *t, struct str s, int64_t indent, int64_t allowance, bool top)
{
    struct pieces p = {r, builder(r), 0, indent + top, allowance + top};
    bool ok = true;
    for (size_t at = 0, next; ok && at < s.length; at = next) {
        str_line(s, at, &next);
        ok = add_line(&p, str_slice(s, at, next), next == s.length);
    }
    bool brackets = top && p.count > 1;
    if (brackets) text_puts(t, "(");
    text_add(t, p.text.data, p.text.length);
    if (brackets) text_puts(t, ")");
    t->failed |= p.text.failed;
    text_free(&p.text);
    return ok;
}

static bool lay_out(struct render *r, struct text *t, struct value v, int64_t indent, int64_t allowance, bool top);

static bool lay_out_items(struct render *r, struct text *t, const struct items *items, const char *open,
                          const char *close, int64_t indent, int64_t allowance)
{
    text_puts(t, open);
    for (size_t i = 0; i < items->count; i++) {
        bool last = i + 1 == items->count;
        if (!lay_out(r, t, items->at[i], indent + 1, last ? allowance + (int64_t)strlen(close) : 1, false))
            return false;
        if (!last) text_puts(t, ",");
        if (!last && !new_line(r, t, indent + 1)) return false;
    }
    text_puts(t, close);
    return true;
}

static bool lay_out_dict(struct render *r, struct text *t, const struct dict *d, int64_t indent, int64_t allowance)
{
    text_puts(t, "{");
    for (size_t i = 0; i < d->count; i++) {
        bool last = i + 1 == d->count;
        int64_t width;
        if (!add_if_narrow(r, t, d->at[i].key, INT64_MAX, &width)) return false;
        text_puts(t, ": ");
        if (!lay_out(r, t, d->at[i].value, indent + width + 3, last ? allowance + 1 : 1, false)) return false;
        if (!last) text_puts(t, ",");
        if (!last && !new_line(r, t, indent + 1)) return false;
    }
    text_puts(t, "}");
    return true;
}

/* `indent`: the column that v begins in; `allowance`: columns after it that stay free; `top`: v is in nothing else. */
static bool lay_out(struct render *r, struct text *t, struct value v, int64_t indent, int64_t allowance, bool top)
{
    bool divisible = has_items(v) || (v.kind == V_STR && !v.safe && v.text.length);
    int64_t room = COLUMNS - indent - allowance, width;
    if (!add_if_narrow(r, t, v, divisible ? room : INT64_MAX, &width)) return false;
    if (!divisible || width <= room) return true;
    if (v.kind == V_STR) return lay_out_text(r, t, v.text, indent, allowance, top);
    if (v.kind == V_DICT) return lay_out_dict(r, t, v.dict, indent, allowance);
    if (v.kind == V_LIST) return lay_out_items(r, t, v.items, "[", "]", indent, allowance);
    return lay_out_items(r, t, v.items, "(", v.items->count == 1 ? ",)" : ")", indent, allowance);
}

bool filter_pprint(struct render *r, struct call *c, struct value *result)
{
    struct value v;
    if (!in_order(r, c->self, &v)) return false;
    struct text t = builder(r);
    lay_out(r, &t, v, 0, 0, true);
    return builder_end(r, &t, result);
}
