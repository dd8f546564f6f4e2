/* template_select.c — the filters that apply others to each item: map, select, reject and those by attribute. */
#include "text/template_impl.h"

static struct str argument_text(struct value v)
{
    return v.kind == V_STR ? v.text : (struct str){"", 0};
}

static struct value keyword(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->keyword_count; i++)
        if (str_is(c->keywords[i].name, name)) return c->keywords[i].value;
    return (struct value){0};
}

/* The filter or test that the argument at `place` names, with the arguments after it. */
static bool inner_call(struct render *r, const struct call *c, size_t place, bool filter, struct call *inner)
{
    struct value name = c->arguments[place];
    if (name.kind == V_STR) inner->function = filter ? find_filter(name.text) : find_test(name.text);
    if (!inner->function)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "lorac does not know the %s '%.*s'", filter ? "filter" : "test",
                         STR_ARG(argument_text(name)));
    inner->arguments = c->arguments + place + 1;
    inner->count = c->count - place - 1;
    inner->keywords = c->keywords;
    inner->keyword_count = c->keyword_count;
    return true;
}

static bool map_attribute(struct render *r, const struct call *c, struct value item, struct value *result)
{
    return get_path(r, item, keyword(c, "attribute"), keyword(c, "default"), result);
}

static bool map_item(struct render *r, const struct call *c, struct value item, struct value *result)
{
    struct call inner = {0};
    if (!c->count) return map_attribute(r, c, item, result);
    inner.self = item;
    return inner_call(r, c, 0, true, &inner) && call_function(r, &inner, result);
}

/* map('filter', ...) or map(attribute=..., default=...) */
static bool filter_map(struct render *r, struct call *c, struct value *result)
{
    struct items *items, *mapped;
    if (!c->count && keyword(c, "attribute").kind == V_ABSENT)
        return host_fail(&r->host, LORAC_FORMAT, "map requires a filter argument");
    if (!c->count && c->keyword_count > 1u + (keyword(c, "default").kind != V_ABSENT))
        return host_fail(&r->host, LORAC_FORMAT, "map takes no such keyword argument");
    if (c->self.kind != V_NONE && !iterate(r, c->self, &items)) return false;
    if (!(mapped = items_new(r, c->self.kind == V_NONE ? 0 : items->count))) return false;
    for (size_t i = 0; i < mapped->count; i++)
        if (!map_item(r, c, items->at[i], &mapped->at[i])) return false;
    return *result = v_items(V_ITERATOR, mapped), true;
}

/* select('test', ...), selectattr('attribute', 'test', ...): without a test, truth decides. */
static bool choose(struct render *r, struct call *c, size_t skip, bool wanted, struct value *result)
{
    struct items *items, *kept;
    if (c->count < skip) return host_fail(&r->host, LORAC_FORMAT, "%s needs an attribute's name", c->function->name);
    if (!truth(c->self))
        items = items_new(r, 0);
    else if (!iterate(r, c->self, &items))
        return false;
    if (!items || !(kept = items_new(r, items->count))) return false;
    kept->count = 0;
    for (size_t i = 0; i < items->count; i++) {
        struct call inner = {.self = items->at[i]};
        struct value passes;
        if (skip && !get_path(r, inner.self, c->arguments[0], v_absent(), &inner.self)) return false;
        passes = inner.self;
        if (c->count > skip && (!inner_call(r, c, skip, false, &inner) || !call_function(r, &inner, &passes)))
            return false;
        if (truth(passes) == wanted) kept->at[kept->count++] = items->at[i];
    }
    return *result = v_items(V_ITERATOR, kept), true;
}

static bool filter_select(struct render *r, struct call *c, struct value *result)
{
    return choose(r, c, 0, true, result);
}
static bool filter_reject(struct render *r, struct call *c, struct value *result)
{
    return choose(r, c, 0, false, result);
}
static bool filter_selectattr(struct render *r, struct call *c, struct value *result)
{
    return choose(r, c, 1, true, result);
}
static bool filter_rejectattr(struct render *r, struct call *c, struct value *result)
{
    return choose(r, c, 1, false, result);
}

static const struct function filters[] = {
    {"map", filter_map, 0, NULL},
    {"select", filter_select, 0, NULL},
    {"reject", filter_reject, 0, NULL},
    {"selectattr", filter_selectattr, 0, NULL},
    {"rejectattr", filter_rejectattr, 0, NULL},
};

const struct function *find_select_filter(struct str name)
{
    const struct function *f = find_function(filters, sizeof filters / sizeof *filters, name);
    return f ? f : find_markup_filter(name);
}
