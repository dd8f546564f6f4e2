/* template_exec.c — statements, loops, and template_render.
 *
 * Everything printed goes to the end of the caller's text; what a macro or a block prints is taken back from
 * there and becomes a string. A failure takes all of it back. */
#include "text/template_impl.h"

#include <string.h>

bool print_out(struct render *r, struct str s)
{
    if (r->out->length - r->out_start + s.length > OUTPUT_LIMIT)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "the output exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    text_add(r->out, s.at, s.length);
    return work_bytes(r, s.length) &&
           (!r->out->failed || host_fail(&r->host, LORAC_OUT_OF_MEMORY, "no memory for the output"));
}

bool print_result(struct render *r, struct value v)
{
    struct str s;
    return to_str(r, v, &s) && print_out(r, s);
}

/* From here on what is printed becomes a string. */
static size_t capture_begin(struct render *r)
{
    if (!r->captures++) r->captured_at = r->out->length;
    return r->out->length;
}

/* What was printed since `from`, taken out of the output. */
static bool capture_end(struct render *r, size_t from, struct value *result)
{
    size_t length = r->out->length - from;
    r->captures--;
    if (!work_bytes(r, length) || !v_copy(r, length ? r->out->data + from : NULL, length, result)) return false;
    r->out->length = from;
    if (r->out->data) r->out->data[from] = 0;
    return true;
}

struct scope *scope_new(struct render *r, struct scope *parent)
{
    struct scope *s = host_take(&r->host, sizeof *s);
    if (s) s->parent = parent;
    return s;
}

/* Names that the scope owns are undefined in it until they are assigned. */
static bool hide(struct render *r, const struct hidden *hidden)
{
    for (size_t i = 0; i < hidden->count; i++)
        if (!bind(r, hidden->symbols[i], (struct value){0})) return false;
    return true;
}

/* Runs `body` in a scope of its own. */
static enum flow exec_inside(struct render *r, struct scope *scope, const struct node *body,
                             const struct hidden *hidden)
{
    struct scope *outer = r->scope;
    if (!scope) return FLOW_FAILED;
    r->scope = scope;
    enum flow flow = hide(r, hidden) ? exec(r, body) : FLOW_FAILED;
    r->scope = outer;
    return flow;
}

/* Runs the node's list with what it prints as a string. break and continue do not leave such a block. */
bool capture(struct render *r, struct scope *scope, const struct node *n, struct value *result)
{
    size_t from = capture_begin(r);
    enum flow flow = exec_inside(r, scope, n->list, &n->hidden);
    if (flow == FLOW_FAILED) return false;
    if (flow != FLOW_ON) return host_fail(&r->host, LORAC_FORMAT, "break or continue outside of a loop");
    return capture_end(r, from, result);
}

/* ---- assignment -------------------------------------------------------------------------- */

static bool assign_attribute(struct render *r, const struct node *target, struct value v)
{
    struct value space;
    if (!lookup(r, target->symbol, &space)) return false;
    if (space.kind != V_NAMESPACE)
        return host_fail(&r->host, LORAC_FORMAT, "cannot assign attribute on non-namespace object");
    if (target->text.at[0] == '_')
        return host_fail(&r->host, LORAC_FORMAT, "a namespace's attributes must not begin with an underscore");
    return dict_set(r, space.dict, v_str(target->text), v);
}

bool assign(struct render *r, const struct node *target, struct value v)
{
    if (target->kind == N_NAME) return bind(r, target->symbol, v);
    if (target->kind == N_NS_TARGET) return assign_attribute(r, target, v);
    struct items *items;
    if (!iterate(r, v, &items)) return false;
    size_t count = 0;
    for (const struct node *n = target->list; n; n = n->next) count++;
    if (count != items->count)
        return host_fail(&r->host, LORAC_FORMAT, "%zu values cannot be assigned to %zu names", items->count, count);
    count = 0;
    for (const struct node *n = target->list; n; n = n->next)
        if (!assign(r, n, items->at[count++])) return false;
    return true;
}

static bool exec_set(struct render *r, const struct node *n)
{
    struct value v;
    if (!eval(r, n->b, &v)) return false;
    r->host.line = n->line;
    return assign(r, n->a, v);
}

/* What a block prints, put through its filters, which see the names that it set. */
static bool capture_filtered(struct render *r, const struct node *n, const struct node *filters, struct value *v)
{
    struct scope *scope = scope_new(r, r->scope), *outer = r->scope;
    struct value outer_input = r->input;
    if (!capture(r, scope, n, v)) return false;
    r->input = *v;
    r->scope = scope;
    bool ok = !filters || eval(r, filters, v);
    r->scope = outer;
    r->input = outer_input;
    return ok;
}

static bool exec_set_block(struct render *r, const struct node *n)
{
    struct value v;
    return capture_filtered(r, n, n->b, &v) && assign(r, n->a, v);
}

static bool exec_filter_block(struct render *r, const struct node *n)
{
    struct value v;
    if (!capture_filtered(r, n, n->a, &v)) return false;
    if (v.kind == V_STR) return print_out(r, v.text);
    return host_fail(&r->host, LORAC_FORMAT, "expected str instance, %s found", type_name(v));
}

/* ---- if, for, with ----------------------------------------------------------------------- */

static enum flow exec_if(struct render *r, const struct node *n)
{
    for (const struct node *branch = n->list; branch; branch = branch->next) {
        struct value condition = v_bool(true);
        if (branch->a && !eval(r, branch->a, &condition)) return FLOW_FAILED;
        if (truth(condition)) return exec(r, branch->list);
    }
    return FLOW_ON;
}

static enum flow exec_with(struct render *r, const struct node *n)
{
    struct scope *outer = r->scope, *inner = scope_new(r, outer);
    if (!inner) return FLOW_FAILED;
    for (const struct node *set = n->parameters; set; set = set->next) {
        struct value v;
        if (!eval(r, set->b, &v)) return FLOW_FAILED;
        r->scope = inner;
        bool ok = assign(r, set->a, v);
        r->scope = outer;
        if (!ok) return FLOW_FAILED;
    }
    return exec_inside(r, inner, n->list, &n->hidden);
}

/* The items that pass the loop's condition. */
static bool loop_filter(struct render *r, const struct node *n, struct items **items)
{
    struct items *all = *items, *kept = items_new(r, all->count);
    struct scope *outer = r->scope;
    bool ok = kept;
    if (ok) kept->count = 0;
    for (size_t i = 0; ok && i < all->count; i++) {
        struct value passes = {0};
        r->scope = scope_new(r, outer);
        ok = r->scope && assign(r, n->a, all->at[i]) && eval(r, n->c, &passes);
        if (ok && truth(passes)) kept->at[kept->count++] = all->at[i];
    }
    r->scope = outer;
    *items = kept;
    return ok;
}

/* The loop's body for each item, each time in a fresh scope. *ended: one of them ran to its end. */
static enum flow loop_items(struct render *r, const struct node *n, struct loop *l, bool *ended)
{
    for (; l->index < l->items->count; l->index++) {
        struct scope *outer = r->scope;
        struct value self = {.kind = V_LOOP, .loop = l};
        if (!work(r, 1) || !(r->scope = scope_new(r, outer))) return r->scope = outer, FLOW_FAILED;
        enum flow flow = FLOW_FAILED;
        if (bind(r, SYMBOL_LOOP, self) && assign(r, n->a, l->items->at[l->index]) && hide(r, &n->hidden))
            flow = exec(r, n->list);
        r->scope = outer;
        if (flow == FLOW_FAILED) return flow;
        *ended |= flow == FLOW_ON;
        if (flow == FLOW_BREAK) break;
    }
    return FLOW_ON;
}

static enum flow loop_over(struct render *r, const struct node *n, struct value v, int depth)
{
    struct loop *l = host_take(&r->host, sizeof *l);
    if (!l || !iterate(r, v, &l->items) || (n->c && !loop_filter(r, n, &l->items))) return FLOW_FAILED;
    l->depth = depth;
    l->scope = r->scope;
    l->node = n->op == OP_POW ? n : NULL;
    bool ended = false;
    enum flow flow = loop_items(r, n, l, &ended);
    return flow != FLOW_ON || ended ? flow : exec_inside(r, scope_new(r, r->scope), n->other, &n->hidden_other);
}

/* A recursive loop is a function in the reference: what it prints is captured. */
static enum flow exec_for(struct render *r, const struct node *n)
{
    struct value v;
    if (!eval(r, n->b, &v)) return FLOW_FAILED;
    r->host.line = n->line;
    if (n->op != OP_POW) return loop_over(r, n, v, 0);
    size_t from = capture_begin(r);
    enum flow flow = loop_over(r, n, v, 0);
    return flow == FLOW_ON && !(capture_end(r, from, &v) && print_out(r, v.text)) ? FLOW_FAILED : flow;
}

/* loop(items): the body of a recursive loop again, as a string. */
bool call_loop(struct render *r, struct loop *l, struct call *c, struct value *result)
{
    if (!l->node) return host_fail(&r->host, LORAC_FORMAT, "the loop must have the 'recursive' marker to be called");
    if (c->count != 1 || c->keyword_count) return host_fail(&r->host, LORAC_FORMAT, "loop() takes one argument");
    struct scope *outer = r->scope;
    size_t from = capture_begin(r);
    r->scope = l->scope;
    enum flow flow = loop_over(r, l->node, c->arguments[0], l->depth + 1);
    r->scope = outer;
    return flow != FLOW_FAILED && capture_end(r, from, result);
}

/* ---- statements -------------------------------------------------------------------------- */

static bool is_constant(const struct node *n)
{
    const struct node *parts[] = {n->a, n->b, n->c, n->d};
    if (n->kind == N_NAME || n->kind == N_CALL || n->kind == N_INPUT) return false;
    for (size_t i = 0; i < 4; i++)
        if (parts[i] && !is_constant(parts[i])) return false;
    for (const struct node *i = n->list; i; i = i->next)
        if (!is_constant(i)) return false;
    return true;
}

static bool exec_print(struct render *r, const struct node *n)
{
    struct value v;
    r->folding = is_constant(n->a);
    bool ok = eval(r, n->a, &v);
    r->folding = false;
    if (!ok) return false;
    r->host.line = n->line;
    return print_result(r, v);
}

static enum flow exec_node(struct render *r, const struct node *n)
{
    switch (n->kind) {
    case N_DATA:
        return print_out(r, n->text) ? FLOW_ON : FLOW_FAILED;
    case N_PRINT:
        return exec_print(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_SET:
        return exec_set(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_SET_BLOCK:
        return exec_set_block(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_FILTER_BLOCK:
        return exec_filter_block(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_MACRO:
        return exec_macro(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_CALL_BLOCK:
        return exec_call_block(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_SEQUENCE:
        return exec(r, n->list);
    case N_IF:
        return exec_if(r, n);
    case N_FOR:
        return exec_for(r, n);
    case N_WITH:
        return exec_with(r, n);
    case N_GENERATION:
        return exec_generation(r, n) ? FLOW_ON : FLOW_FAILED;
    case N_BREAK:
        return FLOW_BREAK;
    case N_CONTINUE:
        return FLOW_CONTINUE;
    default:
        return host_fail(&r->host, LORAC_FORMAT, "an expression where a statement belongs"), FLOW_FAILED;
    }
}

enum flow exec(struct render *r, const struct node *body)
{
    enum flow flow = FLOW_ON;
    if (r->depth >= EVAL_DEPTH)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "evaluation nests deeper than %d levels", EVAL_DEPTH),
               FLOW_FAILED;
    r->depth++;
    for (const struct node *n = body; n && flow == FLOW_ON; n = n->next) {
        r->host.line = n->line;
        flow = work(r, 1) ? exec_node(r, n) : FLOW_FAILED;
    }
    r->depth--;
    return flow;
}

/* ---- the template ------------------------------------------------------------------------ */

/* A value for each name that the template mentions: the caller's, else the interpreter's own. */
static bool load_globals(struct render *r, const json_t *variables)
{
    const struct chat_template *t = r->template;
    if (!(r->globals = host_array(&r->host, t->symbol_count, sizeof *r->globals))) return false;
    for (size_t i = 0; i < t->symbol_count; i++) {
        char name[256] = "";
        if (t->symbols[i].length < sizeof name) memcpy(name, t->symbols[i].at, t->symbols[i].length);
        const json_t *json = *name ? json_object_get(variables, name) : NULL;
        const struct function *f = json ? NULL : find_global(t->symbols[i]);
        if (json && !from_json(r, json, 0, &r->globals[i])) return false;
        if (!f) continue;
        struct bound *bound = host_take(&r->host, sizeof *bound);
        if (!bound) return false;
        bound->function = f;
        r->globals[i] = (struct value){.kind = V_FUNCTION, .bound = bound};
    }
    return true;
}

static bool render_body(struct render *r, const json_t *variables)
{
    if (!load_globals(r, variables) || !(r->scope = scope_new(r, NULL)) || !hide(r, &r->template->hidden)) return false;
    enum flow flow = exec(r, r->template->body);
    if (flow == FLOW_BREAK || flow == FLOW_CONTINUE)
        return host_fail(&r->host, LORAC_FORMAT, "break or continue outside of a loop");
    return flow == FLOW_ON;
}

/* Spans count characters while the template runs: what was captured may have been changed before it was printed. */
static void spans_to_bytes(struct render *r, size_t first)
{
    struct str all = printed(r, r->out->length);
    struct text_span *spans = r->spans->items;
    for (size_t i = first; i < r->spans->count; i++)
        spans[i] = (struct text_span){str_offset(all, spans[i].from), str_offset(all, spans[i].to)};
}

lorac_status template_render(const struct chat_template *t, json_t *variables, struct text *out, struct list *spans,
                             lorac_error *err)
{
    return template_render_within(t, TIME_LIMIT, variables, out, spans, err);
}

lorac_status template_render_within(const struct chat_template *t, double seconds, json_t *variables, struct text *out,
                                    struct list *spans, lorac_error *err)
{
    struct render r = {.host = {.arena = {.memory = t->memory}, .name = t->name, .line = 1, .err = err},
                       .template = t,
                       .clock_at = CLOCK_STEPS,
                       .deadline = os_seconds() + seconds,
                       .out = out,
                       .spans = spans,
                       .out_start = out->length};
    size_t first = spans ? spans->count : 0;
    bool ok = json_is_object(variables)
                  ? render_body(&r, variables)
                  : host_fail(&r.host, LORAC_INVALID_ARGUMENT, "the variables are no JSON object");
    if (ok && spans) spans_to_bytes(&r, first);
    arena_free(&r.host.arena);
    if (ok) return LORAC_OK;
    if (spans) spans->count = first;
    out->length = r.out_start;
    if (out->data) out->data[out->length] = 0;
    return r.host.status;
}
