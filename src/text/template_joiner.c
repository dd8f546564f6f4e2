/* template_joiner.c — joiner and cycler: functions of a template that remember how often they were asked. */
#include "text/template_impl.h"

static bool remember(struct render *r, const struct function *f, struct value first, struct value second,
                     struct value *result)
{
    struct dict *state = dict_new(r, 2);
    struct bound *bound = host_take(&r->host, sizeof *bound);
    if (!state || !bound || !dict_set(r, state, v_int(0), first) || !dict_set(r, state, v_int(1), second)) return false;
    *bound = (struct bound){f, {.kind = V_DICT, .dict = state}};
    return *result = (struct value){.kind = V_FUNCTION, .bound = bound}, true;
}

/* ---- joiner ------------------------------------------------------------------------------ */

/* Nothing the first time, then the separator. */
static bool joiner_next(struct render *r, struct call *c, struct value *result)
{
    struct pair *separator = &c->self.dict->at[0], *used = &c->self.dict->at[1];
    *result = truth(used->value) ? separator->value : v_str(STR(""));
    used->value = v_bool(true);
    return true;
}

bool global_joiner(struct render *r, struct call *c, struct value *result)
{
    static const struct function next = {"joiner", joiner_next, 0, ""};
    return remember(r, &next, c->arg[0].kind == V_ABSENT ? v_str(STR(", ")) : c->arg[0], v_bool(false), result);
}

/* ---- cycler ------------------------------------------------------------------------------ */

static bool cycler_called(struct render *r, struct call *c, struct value *result)
{
    return host_fail(&r->host, LORAC_FORMAT, "'Cycler' object is not callable");
}

static bool cycler_current(struct render *r, struct call *c, struct value *result)
{
    const struct pair *state = c->self.dict->at;
    return *result = state[0].value.items->at[state[1].value.integer], true;
}

static bool cycler_next(struct render *r, struct call *c, struct value *result)
{
    struct pair *state = c->self.dict->at;
    cycler_current(r, c, result);
    state[1].value.integer = (state[1].value.integer + 1) % (int64_t)state[0].value.items->count;
    return true;
}

static bool cycler_reset(struct render *r, struct call *c, struct value *result)
{
    c->self.dict->at[1].value = v_int(0);
    return *result = v_none(), true;
}

bool global_cycler(struct render *r, struct call *c, struct value *result)
{
    static const struct function called = {"cycler", cycler_called, 0, NULL};
    if (!c->count || c->keyword_count) return host_fail(&r->host, LORAC_FORMAT, "cycler() takes at least one item");
    struct items *items = items_new(r, c->count);
    if (!items) return false;
    for (size_t i = 0; i < c->count; i++) items->at[i] = c->arguments[i];
    return remember(r, &called, v_items(V_TUPLE, items), v_int(0), result);
}

bool find_cycler_attribute(struct render *r, struct value f, struct str name, struct value *result, bool *found)
{
    static const struct function methods[] = {{"next", cycler_next, 0, ""}, {"reset", cycler_reset, 0, ""}};
    struct call c = {.self = f.bound->self};
    *found = f.bound->function->body == cycler_called;
    if (!*found) return true;
    if (str_is(name, "current")) return cycler_current(r, &c, result);
    const struct function *method = find_function(methods, 2, name);
    *found = method;
    struct bound *bound = method ? host_take(&r->host, sizeof *bound) : NULL;
    if (!bound) return !method;
    *bound = (struct bound){method, f.bound->self};
    return *result = (struct value){.kind = V_FUNCTION, .bound = bound}, true;
}
