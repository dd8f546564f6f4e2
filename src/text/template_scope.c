/* template_scope.c — which names a scope hides.
 *
 * The reference decides before it runs where a name lives. A scope (a loop's body, a macro, a block that is captured)
 * that assigns a name before it reads it, outside of an `if`, owns it from its beginning: blocks inside that read it
 * earlier find it undefined, though the rendering has a variable of that name. Each scope gets the list of such names;
 * all other names are found when they are read. */
#include "text/template_impl.h"

#include <string.h>

enum { UNKNOWN, FOUND, OWNED };

struct level {
    struct parser *p;
    struct level *parent;
    uint8_t *names; /* by symbol */
    size_t count;
    int branches; /* how many `if`s are open */
};

static bool is_known(const struct level *l, int symbol)
{
    for (; l; l = l->parent)
        if (l->names[symbol]) return true;
    return false;
}

static void read_name(struct level *l, int symbol)
{
    if (!is_known(l, symbol)) l->names[symbol] = FOUND;
}

static void store_name(struct level *l, int symbol)
{
    if (!l->names[symbol]) l->names[symbol] = l->branches || is_known(l->parent, symbol) ? FOUND : OWNED;
}

/* Names in an expression; of a target those that it stores. */
static void visit_expression(struct level *l, const struct node *n, bool stores)
{
    if (!n) return;
    const struct node *parts[] = {n->a, n->b, n->c, n->d};
    if (n->kind == N_NAME && stores) store_name(l, n->symbol);
    if ((n->kind == N_NAME && !stores) || n->kind == N_NS_TARGET) read_name(l, n->symbol);
    for (size_t i = 0; i < 4; i++) visit_expression(l, parts[i], stores);
    for (const struct node *i = n->list; i; i = i->next) visit_expression(l, i, stores);
}

static void visit_body(struct level *l, const struct node *body);

/* What a statement does to the scope that it stands in. */
static void visit_statement(struct level *l, const struct node *n)
{
    switch (n->kind) {
    case N_PRINT:
    case N_FILTER_BLOCK: /* its filters */
    case N_CALL_BLOCK:   /* its call */
        visit_expression(l, n->a, false);
        break;
    case N_SEQUENCE:
        visit_body(l, n->list);
        break;
    case N_SET:
        visit_expression(l, n->b, false);
        visit_expression(l, n->a, true);
        break;
    case N_SET_BLOCK:
        visit_expression(l, n->a, true);
        break;
    case N_FOR:
        visit_expression(l, n->b, false);
        break;
    case N_MACRO:
        store_name(l, n->symbol);
        break;
    case N_WITH:
        for (const struct node *set = n->parameters; set; set = set->next) visit_expression(l, set->b, false);
        break;
    case N_IF:
        for (const struct node *branch = n->list; branch; branch = branch->next) visit_expression(l, branch->a, false);
        l->branches++;
        for (const struct node *branch = n->list; branch; branch = branch->next) visit_body(l, branch->list);
        l->branches--;
        break;
    default:
        break;
    }
}

static void visit_body(struct level *l, const struct node *body)
{
    for (const struct node *n = body; n; n = n->next) visit_statement(l, n);
}

static bool keep_owned(struct level *l, struct hidden *hidden)
{
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) count += l->names[i] == OWNED;
    if (!(hidden->symbols = host_array(&l->p->host, count, sizeof *hidden->symbols))) return false;
    for (size_t i = 0; i < l->count; i++)
        if (l->names[i] == OWNED) hidden->symbols[hidden->count++] = (int)i;
    return true;
}

static bool resolve_inner(struct level *l, struct node *body);

/* A scope: the names that `owner` gives it, its statements, then the scopes inside it. */
static bool resolve_scope(struct parser *p, struct level *parent, struct node *owner, struct node *body,
                          struct hidden *hidden)
{
    struct level l = {.p = p, .parent = parent, .count = p->symbols.count};
    l.names = mem_alloc(p->host.arena.memory, l.count);
    if (!l.names) return host_fail(&p->host, LORAC_OUT_OF_MEMORY, "no memory for its names");
    memset(l.names, UNKNOWN, l.count);
    if (owner) l.branches = 1; /* what is stored now is given */
    for (int i = 0; owner && i < SYMBOLS_FIXED; i++)
        if ((owner->kind == N_FOR) == (i == SYMBOL_LOOP)) l.names[i] = FOUND;
    if (owner && owner->kind == N_FOR) visit_expression(&l, owner->a, true);
    for (const struct node *n = owner ? owner->parameters : NULL; n; n = n->next) {
        if (n->kind == N_SET) visit_expression(&l, n->a, true);
        if (n->kind == N_PARAMETER) store_name(&l, n->symbol);
    }
    for (const struct node *n = owner ? owner->parameters : NULL; n; n = n->next)
        if (n->kind == N_PARAMETER) visit_expression(&l, n->a, false);
    l.branches = 0;
    visit_body(&l, body);
    bool ok = keep_owned(&l, hidden) && resolve_inner(&l, body);
    mem_free(p->host.arena.memory, l.names);
    return ok;
}

static bool resolve_node(struct level *l, struct node *n)
{
    bool ok = true;
    switch (n->kind) {
    case N_FOR:
        return resolve_scope(l->p, l, n, n->list, &n->hidden) &&
               resolve_scope(l->p, l, NULL, n->other, &n->hidden_other);
    case N_CALL_BLOCK:
        return resolve_scope(l->p, l, n->b, n->b->list, &n->b->hidden);
    case N_MACRO:
    case N_WITH:
    case N_GENERATION:
        return resolve_scope(l->p, l, n, n->list, &n->hidden);
    case N_SET_BLOCK:
    case N_FILTER_BLOCK:
        return resolve_scope(l->p, l, NULL, n->list, &n->hidden);
    case N_SEQUENCE:
        return resolve_inner(l, n->list);
    case N_IF:
        for (struct node *branch = n->list; ok && branch; branch = branch->next) ok = resolve_inner(l, branch->list);
        return ok;
    default:
        return true;
    }
}

static bool resolve_inner(struct level *l, struct node *body)
{
    for (struct node *n = body; n; n = n->next)
        if (!resolve_node(l, n)) return false;
    return true;
}

bool resolve_names(struct parser *p, struct node *body, struct hidden *hidden)
{
    return resolve_scope(p, NULL, NULL, body, hidden);
}
