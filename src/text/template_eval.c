/* template_eval.c — the values of expressions, and calls. */
#include "text/template_impl.h"

#include <string.h>

/* ---- names ------------------------------------------------------------------------------- */

bool bind(struct render *r, int symbol, struct value v)
{
    struct binding *b = r->scope->first;
    while (b && b->symbol != symbol) b = b->next;
    if (!b) {
        if (!(b = host_take(&r->host, sizeof *b))) return false;
        *b = (struct binding){.symbol = symbol, .next = r->scope->first};
        r->scope->first = b;
    }
    b->value = v;
    return true;
}

static bool undefined_name(struct render *r, int symbol, struct value *result)
{
    return v_undefined(r, result, "'%.*s' is undefined", STR_ARG(r->template->symbols[symbol]));
}

/* The innermost binding, else the variable of the rendering, else a global, else undefined. */
bool lookup(struct render *r, int symbol, struct value *result)
{
    size_t passed = 0;
    for (const struct scope *s = r->scope; s; s = s->parent)
        for (const struct binding *b = s->first; b; b = b->next, passed++)
            if (b->symbol == symbol) {
                *result = b->value;
                return b->value.kind == V_ABSENT ? undefined_name(r, symbol, result) : work(r, passed / 8);
            }
    *result = r->globals[symbol];
    return result->kind != V_ABSENT || undefined_name(r, symbol, result);
}

/* ---- calls ------------------------------------------------------------------------------- */

static bool add_argument(struct render *r, struct call *c, struct value v)
{
    if (c->count == CALL_ARGUMENTS)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "more than %d arguments", CALL_ARGUMENTS);
    c->arguments[c->count++] = v;
    return true;
}

static bool add_keyword(struct render *r, struct call *c, struct str name, struct value v)
{
    for (size_t i = 0; i < c->keyword_count; i++)
        if (str_equal(c->keywords[i].name, name))
            return host_fail(&r->host, LORAC_FORMAT, "the argument '%.*s' is given twice", STR_ARG(name));
    if (c->keyword_count == CALL_ARGUMENTS)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "more than %d arguments", CALL_ARGUMENTS);
    c->keywords[c->keyword_count++] = (struct keyword){name, v};
    return true;
}

static bool spread(struct render *r, struct call *c, enum operator op, struct value v)
{
    struct items *items;
    if (op == OP_POW) {
        if (v.kind != V_DICT)
            return host_fail(&r->host, LORAC_FORMAT, "what follows ** must be a dict, not %s", type_name(v));
        for (size_t i = 0; i < v.dict->count; i++) {
            if (v.dict->at[i].key.kind != V_STR)
                return host_fail(&r->host, LORAC_FORMAT, "names of arguments must be strings");
            if (!add_keyword(r, c, v.dict->at[i].key.text, v.dict->at[i].value)) return false;
        }
        return true;
    }
    if (!iterate(r, v, &items)) return false;
    for (size_t i = 0; i < items->count; i++)
        if (!add_argument(r, c, items->at[i])) return false;
    return true;
}

bool eval_call(struct render *r, const struct node *list, struct call *c)
{
    if (!list) return true;
    size_t plain = 0, named = 0;
    for (const struct node *n = list; n; n = n->next) {
        plain += n->op == OP_MUL ? CALL_ARGUMENTS : n->op == OP_NONE && !n->text.length;
        named += n->op == OP_POW ? CALL_ARGUMENTS : n->text.length != 0;
    }
    c->arguments = host_array(&r->host, plain, sizeof *c->arguments);
    c->keywords = host_array(&r->host, named, sizeof *c->keywords);
    if (!c->arguments || !c->keywords) return false;
    for (const struct node *n = list; n; n = n->next) {
        struct value v;
        if (!eval(r, n->a, &v)) return false;
        bool ok = n->op            ? spread(r, c, n->op, v)
                  : n->text.length ? add_keyword(r, c, n->text, v)
                                   : add_argument(r, c, v);
        if (!ok) return false;
    }
    return true;
}

/* The number of a parameter in "a b c", or -1. */
static int parameter_place(const char *parameters, struct str name)
{
    for (int i = 0; *parameters; i++) {
        size_t n = strcspn(parameters, " ");
        if (str_equal(name, (struct str){parameters, n})) return i;
        parameters += n + (parameters[n] == ' ');
    }
    return -1;
}

static int parameter_count(const char *parameters)
{
    int count = *parameters != 0;
    for (; *parameters; parameters++) count += *parameters == ' ';
    return count;
}

bool call_function(struct render *r, struct call *c, struct value *result)
{
    const struct function *f = c->function;
    if (!f->parameters) return f->body(r, c, result);
    bool unnamed = *f->parameters == '/';
    const char *parameters = f->parameters + unnamed;
    int count = parameter_count(parameters);
    if (c->count > (size_t)count)
        return host_fail(&r->host, LORAC_FORMAT, "%s takes at most %d arguments", f->name, count);
    for (size_t i = 0; i < c->count; i++) c->arg[i] = c->arguments[i];
    for (size_t i = 0; i < c->keyword_count; i++) {
        int place = unnamed ? -1 : parameter_place(parameters, c->keywords[i].name);
        if (place < 0 || c->arg[place].kind != V_ABSENT)
            return host_fail(&r->host, LORAC_FORMAT, "%s takes no argument '%.*s' here", f->name,
                             STR_ARG(c->keywords[i].name));
        c->arg[place] = c->keywords[i].value;
    }
    for (int i = 0; i < f->required; i++)
        if (c->arg[i].kind == V_ABSENT)
            return host_fail(&r->host, LORAC_FORMAT, "%s needs %d arguments", f->name, f->required);
    return f->body(r, c, result);
}

bool wants(struct render *r, const struct call *c, const char *what, struct value found)
{
    return host_fail(&r->host, LORAC_FORMAT, "%s takes %s, not %s", c->function->name, what, type_name(found));
}

/* The methods of a safe string give safe strings. */
static bool mark_safe(struct render *r, struct value *v)
{
    if (v->kind == V_STR) v->safe = true;
    if (v->kind != V_LIST && v->kind != V_TUPLE) return true;
    for (size_t i = 0; i < v->items->count; i++) v->items->at[i].safe |= v->items->at[i].kind == V_STR;
    return work(r, v->items->count / 8);
}

bool call_value(struct render *r, struct value callee, struct call *c, struct value *result)
{
    if (callee.kind == V_FUNCTION) {
        c->function = callee.bound->function;
        c->self = callee.bound->self;
        return call_function(r, c, result) && (c->self.kind != V_STR || !c->self.safe || mark_safe(r, result));
    }
    if (callee.kind == V_MACRO) return call_macro(r, callee.macro, c, result);
    if (callee.kind == V_LOOP) return call_loop(r, callee.loop, c, result);
    if (callee.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(callee.text));
    return host_fail(&r->host, LORAC_FORMAT, "'%s' object is not callable", type_name(callee));
}

static bool eval_call_node(struct render *r, const struct node *n, struct value *result)
{
    struct value callee;
    struct call c = {0};
    if (!eval(r, n->a, &callee) || !eval_call(r, n->list, &c)) return false;
    r->host.line = n->line;
    return call_value(r, callee, &c, result);
}

/* Filters and tests: what they work on is c.self. */
static bool eval_applied(struct render *r, const struct node *n, struct value *result)
{
    struct call c = {.function = n->function};
    if (!eval(r, n->a, &c.self) || !eval_call(r, n->list, &c)) return false;
    r->host.line = n->line;
    if (c.function) return call_function(r, &c, result);
    return host_fail(&r->host, LORAC_UNSUPPORTED, "lorac does not know the %s '%.*s'",
                     n->kind == N_FILTER ? "filter" : "test", STR_ARG(n->text));
}

/* ---- expressions ------------------------------------------------------------------------- */

static bool eval_items(struct render *r, const struct node *n, struct value *result)
{
    size_t count = 0;
    for (const struct node *i = n->list; i; i = i->next) count++;
    struct items *items = items_new(r, count);
    if (!items) return false;
    count = 0;
    for (const struct node *i = n->list; i; i = i->next)
        if (!eval(r, i, &items->at[count++])) return false;
    return *result = v_items(n->kind == N_LIST ? V_LIST : V_TUPLE, items), true;
}

static bool eval_dict(struct render *r, const struct node *n, struct value *result)
{
    struct dict *d = dict_new(r, 4);
    if (!d) return false;
    for (const struct node *pair = n->list; pair; pair = pair->next) {
        struct value key, v;
        if (!eval(r, pair->a, &key) || !eval(r, pair->b, &v)) return false;
        r->host.line = pair->line;
        if (!dict_set(r, d, key, v)) return false;
    }
    return *result = (struct value){.kind = V_DICT, .dict = d}, true;
}

static bool eval_slice(struct render *r, const struct node *n, struct value *result)
{
    const struct node *parts[3] = {n->b, n->c, n->d};
    struct value object, limits[3] = {0};
    if (!eval(r, n->a, &object)) return false;
    for (int i = 0; i < 3; i++)
        if (parts[i] && !eval(r, parts[i], &limits[i])) return false;
    r->host.line = n->line;
    /* A wrong slice of a constant that is printed is Undefined. */
    bool sliceable = object.kind == V_STR || (object.kind >= V_LIST && object.kind <= V_RANGE);
    if (!sliceable && object.kind != V_UNDEFINED && r->folding)
        return v_undefined(r, result, "%s object has no such element", type_name(object));
    return get_slice(r, object, limits, result);
}

/* a < b < c is (a < b) and (b < c), each evaluated once. */
static bool eval_compare(struct render *r, const struct node *n, struct value *result)
{
    struct value left, right;
    bool holds = true;
    if (!eval(r, n->a, &left)) return false;
    for (const struct node *o = n->list; o && holds; o = o->next, left = right) {
        if (!eval(r, o->a, &right)) return false;
        r->host.line = o->line;
        if (!compare(r, o->op, left, right, &holds)) return false;
    }
    return *result = v_bool(holds), true;
}

static bool eval_pair(struct render *r, const struct node *n, struct value *a, struct value *b)
{
    bool ok = eval(r, n->a, a) && eval(r, n->b, b);
    r->host.line = n->line;
    return ok;
}

static bool eval_concat(struct render *r, const struct node *n, struct value *result)
{
    struct value a, b;
    struct str left, right;
    *result = v_str((struct str){0});
    return eval_pair(r, n, &a, &b) && to_str(r, a, &left) && to_str(r, b, &right) &&
           str_join2(r, left, right, &result->text);
}

static bool eval_if_else(struct render *r, const struct node *n, struct value *result)
{
    struct value condition;
    if (!eval(r, n->b, &condition)) return false;
    if (truth(condition)) return eval(r, n->a, result);
    if (n->c) return eval(r, n->c, result);
    return v_undefined(
        r, result, "the inline if-expression on line %u evaluated to false and no else section was defined.", n->line);
}

static bool eval_logic(struct render *r, const struct node *n, struct value *result)
{
    if (!eval(r, n->a, result)) return false;
    return truth(*result) == (n->kind == N_OR) || eval(r, n->b, result);
}

static bool eval_attribute(struct render *r, const struct node *n, struct value *result)
{
    struct value a;
    if (!eval(r, n->a, &a)) return false;
    r->host.line = n->line;
    return get_attribute(r, a, n->text, result);
}

static bool eval_inside(struct render *r, const struct node *n, struct value *result)
{
    struct value a, b;
    switch (n->kind) {
    case N_CONST:
        return *result = n->constant, true;
    case N_NAME:
        return lookup(r, n->symbol, result);
    case N_INPUT:
        return *result = r->input, true;
    case N_TUPLE:
    case N_LIST:
        return eval_items(r, n, result);
    case N_DICT:
        return eval_dict(r, n, result);
    case N_ATTRIBUTE:
        return eval_attribute(r, n, result);
    case N_ITEM:
        return eval_pair(r, n, &a, &b) && get_item(r, a, b, result);
    case N_SLICE:
        return eval_slice(r, n, result);
    case N_CALL:
        return eval_call_node(r, n, result);
    case N_FILTER:
    case N_TEST:
        return eval_applied(r, n, result);
    case N_NOT:
        return eval(r, n->a, &a) && (*result = v_bool(!truth(a)), true);
    case N_NEGATE:
    case N_PLUS:
        return eval(r, n->a, &a) && negate(r, a, n->kind == N_NEGATE, result);
    case N_AND:
    case N_OR:
        return eval_logic(r, n, result);
    case N_IF_ELSE:
        return eval_if_else(r, n, result);
    case N_COMPARE:
        return eval_compare(r, n, result);
    case N_BINARY:
        return eval_pair(r, n, &a, &b) && operate(r, n->op, a, b, result);
    case N_CONCAT:
        return eval_concat(r, n, result);
    default:
        return host_fail(&r->host, LORAC_FORMAT, "a statement where an expression belongs");
    }
}

bool eval(struct render *r, const struct node *n, struct value *result)
{
    r->host.line = n->line;
    if (!work(r, 1)) return false;
    if (r->depth >= EVAL_DEPTH)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "evaluation nests deeper than %d levels", EVAL_DEPTH);
    r->depth++;
    bool ok = eval_inside(r, n, result);
    r->depth--;
    return ok;
}
