/* template_methods.c — methods of dict, list, tuple, range and loop, and where all methods are found.
 *
 * What would change a list or dict is refused, as the reference's sandbox refuses it. */
#include "text/template_impl.h"

#include <string.h>

/* ---- dict, list, loop -------------------------------------------------------------------- */

static bool dict_get_method(struct render *r, struct call *c, struct value *result)
{
    bool found;
    if (!is_hashable(c->arg[0]))
        return host_fail(&r->host, LORAC_FORMAT, "unhashable type: '%s'", type_name(c->arg[0]));
    if (!dict_get(r, c->self.dict, c->arg[0], result, &found)) return false;
    if (!found) *result = c->arg[1].kind == V_ABSENT ? v_none() : c->arg[1];
    return true;
}

static bool view(struct render *r, struct call *c, const char *type, bool keys, bool values, struct value *result)
{
    const struct dict *d = c->self.dict;
    struct items *items = items_new(r, d->count);
    if (!items) return false;
    items->type = type;
    for (size_t i = 0; i < d->count; i++) {
        struct items *pair = keys && values ? items_new(r, 2) : NULL;
        if (keys && values && !pair) return false;
        if (pair) {
            pair->at[0] = d->at[i].key;
            pair->at[1] = d->at[i].value;
        }
        items->at[i] = pair ? v_items(V_TUPLE, pair) : keys ? d->at[i].key : d->at[i].value;
    }
    return *result = v_items(V_VIEW, items), true;
}

static bool dict_items_method(struct render *r, struct call *c, struct value *result)
{
    return view(r, c, "dict_items", true, true, result);
}
static bool dict_keys(struct render *r, struct call *c, struct value *result)
{
    return view(r, c, "dict_keys", true, false, result);
}
static bool dict_values(struct render *r, struct call *c, struct value *result)
{
    return view(r, c, "dict_values", false, true, result);
}

static bool copy_self(struct render *r, struct call *c, struct value *result)
{
    return *result = c->self, true;
}

static bool list_count(struct render *r, struct call *c, struct value *result)
{
    int64_t count = 0;
    struct items *items;
    if (!iterate(r, c->self, &items)) return false;
    for (size_t i = 0; i < items->count; i++) {
        bool same;
        if (!equal(r, items->at[i], c->arg[0], &same)) return false;
        count += same;
    }
    return *result = v_int(count), true;
}

static bool list_index(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    if (!iterate(r, c->self, &items)) return false;
    for (size_t i = 0; i < items->count; i++) {
        bool same;
        if (!equal(r, items->at[i], c->arg[0], &same)) return false;
        if (same) return *result = v_int((int64_t)i), true;
    }
    return host_fail(&r->host, LORAC_FORMAT, "the value is not in the list");
}

static bool loop_cycle(struct render *r, struct call *c, struct value *result)
{
    if (!c->count || c->keyword_count) return host_fail(&r->host, LORAC_FORMAT, "no items for cycling given");
    return *result = c->arguments[c->self.loop->index % c->count], true;
}

static bool loop_changed(struct render *r, struct call *c, struct value *result)
{
    struct items *now = items_new(r, c->count);
    bool same = false;
    struct value *before = &c->self.loop->changed;
    if (!now) return false;
    if (c->count) memcpy(now->at, c->arguments, c->count * sizeof *now->at);
    if (before->kind == V_TUPLE && !equal(r, *before, v_items(V_TUPLE, now), &same)) return false;
    *before = v_items(V_TUPLE, now);
    return *result = v_bool(!same), true;
}

/* ---- tables ------------------------------------------------------------------------------ */

static const struct function dict_methods[] = {
    {"get", dict_get_method, 1, "/key default"},
    {"items", dict_items_method, 0, ""},
    {"keys", dict_keys, 0, ""},
    {"values", dict_values, 0, ""},
    {"copy", copy_self, 0, ""},
};
static const struct function list_methods[] = {
    {"index", list_index, 1, "/value"},
    {"count", list_count, 1, "/value"},
    {"copy", copy_self, 0, ""},
};
static const struct function loop_methods[] = {
    {"cycle", loop_cycle, 0, NULL},
    {"changed", loop_changed, 0, NULL},
};

/* Methods that Python has, but this interpreter or the reference's sandbox does not give. */
static const char *const refused[V_FUNCTION + 1] = {
    [V_STR] = " encode ",
    [V_DICT] = " clear fromkeys pop popitem setdefault update ",
    [V_LIST] = " append clear extend insert pop remove reverse sort ",
};

static bool is_refused(struct value object, struct str name)
{
    const char *list = refused[object.kind];
    if (!list || !name.length || memchr(name.at, ' ', name.length)) return false;
    const char *hit = memmem(list, strlen(list), name.at, name.length);
    for (; hit; hit = memmem(hit + 1, strlen(hit + 1), name.at, name.length))
        if (hit[-1] == ' ' && hit[name.length] == ' ') return true;
    return false;
}

bool find_method(struct render *r, struct value object, struct str name, struct value *result, bool *found)
{
    static const struct {
        enum value_kind kind;
        const struct function *table;
        size_t count;
    } types[] = {
        {V_DICT, dict_methods, sizeof dict_methods / sizeof *dict_methods},
        {V_LIST, list_methods, sizeof list_methods / sizeof *list_methods},
        {V_TUPLE, list_methods, 2},
        {V_RANGE, list_methods, 2},
        {V_LOOP, loop_methods, sizeof loop_methods / sizeof *loop_methods},
    };
    const struct function *f = object.kind == V_STR ? find_str_method(name) : NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].kind == object.kind) f = find_function(types[i].table, types[i].count, name);
    *found = f;
    if (!f && is_refused(object, name)) {
        *found = true;
        return v_undefined(r, result, "the method '%.*s' of '%s' cannot be used in a template", STR_ARG(name),
                           type_name(object));
    }
    if (!f) return true;
    struct bound *bound = host_take(&r->host, sizeof *bound);
    if (!bound) return false;
    *bound = (struct bound){f, object};
    return *result = (struct value){.kind = V_FUNCTION, .bound = bound}, true;
}
