/* template_global.c — the functions that every template finds: range, namespace, dict, raise_exception,
 * strftime_now; joiner and cycler are in template_joiner.c.
 */
#include "text/template_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct function *find_function(const struct function *table, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(name, table[i].name)) return &table[i];
    return NULL;
}

/* The number of items; false if there are too many. */
static bool range_count(struct range *range)
{
    uint64_t width = 0, step = range->step > 0 ? (uint64_t)range->step : 0 - (uint64_t)range->step;
    if (range->step > 0 && range->start < range->stop) width = (uint64_t)range->stop - (uint64_t)range->start;
    if (range->step < 0 && range->start > range->stop) width = (uint64_t)range->start - (uint64_t)range->stop;
    uint64_t count = width ? (width - 1) / step + 1 : 0;
    range->count = (size_t)count;
    return count <= RANGE_LIMIT;
}

static bool global_range(struct render *r, struct call *c, struct value *result)
{
    struct range *range = host_take(&r->host, sizeof *range);
    if (!range) return false;
    int64_t limit[3] = {0, 0, 1};
    for (int i = 0; i < 3; i++) {
        if (c->arg[i].kind == V_ABSENT) continue;
        if (!is_integer(c->arg[i]))
            return host_fail(&r->host, LORAC_FORMAT, "range() takes integers, not %s", type_name(c->arg[i]));
        limit[i] = integer_of(c->arg[i]);
    }
    bool one = c->arg[1].kind == V_ABSENT;
    *range = (struct range){one ? 0 : limit[0], one ? limit[0] : limit[1], limit[2], 0};
    if (!range->step) return host_fail(&r->host, LORAC_FORMAT, "range() arg 3 must not be zero");
    if (!range_count(range))
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a range of more than %d items", RANGE_LIMIT);
    return *result = (struct value){.kind = V_RANGE, .range = range}, true;
}

/* A mapping, or pairs, into `d`. */
static bool take_pairs(struct render *r, struct dict *d, struct value v)
{
    struct items *items, *pair;
    if (v.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(v.text));
    if (v.kind == V_DICT) {
        for (size_t i = 0; i < v.dict->count; i++)
            if (!dict_set(r, d, v.dict->at[i].key, v.dict->at[i].value)) return false;
        return true;
    }
    if (!iterate(r, v, &items)) return false;
    for (size_t i = 0; i < items->count; i++) {
        if (!iterate(r, items->at[i], &pair)) return false;
        if (pair->count != 2)
            return host_fail(&r->host, LORAC_FORMAT, "dict() takes pairs, not %zu values", pair->count);
        if (!dict_set(r, d, pair->at[0], pair->at[1])) return false;
    }
    return true;
}

static bool global_dict(struct render *r, struct call *c, struct value *result)
{
    struct dict *d = dict_new(r, 4);
    if (!d) return false;
    if (c->count > 1)
        return host_fail(&r->host, LORAC_FORMAT, "%s() takes at most one plain argument", c->function->name);
    if (c->count && !take_pairs(r, d, c->arguments[0])) return false;
    for (size_t i = 0; i < c->keyword_count; i++)
        if (!dict_set(r, d, v_str(c->keywords[i].name), c->keywords[i].value)) return false;
    return *result = (struct value){.kind = V_DICT, .dict = d}, true;
}

/* dict.fromkeys */
static bool dict_fromkeys(struct render *r, struct call *c, struct value *result)
{
    struct items *keys;
    struct dict *d = dict_new(r, 4);
    if (!d || !iterate(r, c->arg[0], &keys)) return false;
    for (size_t i = 0; i < keys->count; i++)
        if (!dict_set(r, d, keys->at[i], c->arg[1].kind == V_ABSENT ? v_none() : c->arg[1])) return false;
    return *result = (struct value){.kind = V_DICT, .dict = d}, true;
}

bool find_function_method(struct render *r, struct value f, struct str name, struct value *result, bool *found)
{
    static const struct function fromkeys = {"fromkeys", dict_fromkeys, 1, "/iterable value"};
    if (f.bound->function->body != global_dict) return find_cycler_attribute(r, f, name, result, found);
    *found = str_is(name, "fromkeys");
    if (!*found) return true;
    struct bound *bound = host_take(&r->host, sizeof *bound);
    if (!bound) return false;
    bound->function = &fromkeys;
    return *result = (struct value){.kind = V_FUNCTION, .bound = bound}, true;
}

/* The template itself, for its blocks: chat templates have none. */
static bool global_self(struct render *r, struct call *c, struct value *result)
{
    return host_fail(&r->host, LORAC_FORMAT, "'TemplateReference' object is not callable");
}

static bool global_namespace(struct render *r, struct call *c, struct value *result)
{
    if (!global_dict(r, c, result)) return false;
    for (size_t i = 0; i < result->dict->count; i++) {
        struct value key = result->dict->at[i].key;
        if (key.kind == V_STR && key.text.length && key.text.at[0] == '_')
            return host_fail(&r->host, LORAC_FORMAT, "a namespace's attributes must not begin with an underscore");
    }
    result->kind = V_NAMESPACE;
    return true;
}

static bool global_raise(struct render *r, struct call *c, struct value *result)
{
    struct str s;
    return to_str(r, c->arg[0], &s) && host_fail(&r->host, LORAC_FORMAT, "the template refuses: %.*s",
                                                 (int)(s.length < 800 ? s.length : 800), s.at);
}

/* Today: in local time, or what SOURCE_DATE_EPOCH says in UTC, so that a rendering can be repeated. */
static bool find_now(struct tm *when, long *microseconds)
{
    struct timespec now = {0};
    const char *fixed = getenv("SOURCE_DATE_EPOCH");
    int64_t seconds;
    *microseconds = 0;
    if (fixed && parse_int((struct str){fixed, strlen(fixed)}, 10, &seconds)) {
        now.tv_sec = (time_t)seconds;
        return gmtime_r(&now.tv_sec, when);
    }
    if (!timespec_get(&now, TIME_UTC)) return false;
    *microseconds = now.tv_nsec / 1000;
    return localtime_r(&now.tv_sec, when);
}

static bool global_strftime(struct render *r, struct call *c, struct value *result)
{
    struct tm when;
    long microseconds;
    if (c->arg[0].kind != V_STR)
        return host_fail(&r->host, LORAC_FORMAT, "strftime_now() takes a string, not %s", type_name(c->arg[0]));
    if (!find_now(&when, &microseconds)) return host_fail(&r->host, LORAC_IO, "the time is not known");
    struct text t = builder(r);
    if (!format_time(&t, c->arg[0].text, &when, microseconds))
        host_fail(&r->host, LORAC_UNSUPPORTED, "strftime_now() does not know a directive of '%.*s'",
                  STR_ARG(c->arg[0].text));
    return builder_end(r, &t, result);
}

static const struct function globals[] = {
    {"range", global_range, 1, "start stop step"},
    {"dict", global_dict, 0, NULL},
    {"namespace", global_namespace, 0, NULL},
    {"raise_exception", global_raise, 1, "message"},
    {"strftime_now", global_strftime, 1, "format"},
    {"self", global_self, 0, NULL},
    {"joiner", global_joiner, 0, "sep"},
    {"cycler", global_cycler, 0, NULL},
};

const struct function *find_global(struct str name)
{
    return find_function(globals, sizeof globals / sizeof *globals, name);
}
