/* template_check.c — filters and tests that nobody knows. The reference refuses a template for one, wherever it stands,
 * but for the branches of an `if`: there it is an error when it is reached. */
#include "text/template_impl.h"

static bool check_list(struct parser *p, const struct node *n, bool soft);

/* Whether the reference computes it while it compiles, so that `right` is never looked at. */
static bool is_settled(const struct node *n)
{
    if (n->kind != N_AND && n->kind != N_OR) return false;
    return n->a->kind == N_CONST && truth(n->a->constant) == (n->kind == N_OR);
}

/* What a statement holds that runs apart from it: soft parts first, then hard ones. */
static bool check_parts(struct parser *p, const struct node *n, bool soft)
{
    switch (n->kind) {
    case N_FOR:
        return check_list(p, n->b, soft) && check_list(p, n->c, false) && check_list(p, n->list, false) &&
               check_list(p, n->other, false);
    case N_WITH:
        return check_list(p, n->parameters, soft) && check_list(p, n->list, false);
    case N_CALL_BLOCK:
        return check_list(p, n->a, soft) && check_list(p, n->b, false);
    case N_SET_BLOCK:
    case N_FILTER_BLOCK:
    case N_MACRO:
    case N_GENERATION:
        soft = false;
        break;
    case N_IF:
    case N_IF_ELSE:
        soft = true;
        break;
    default:
        break;
    }
    const struct node *parts[] = {n->a, is_settled(n) ? NULL : n->b, n->c, n->d, n->parameters, n->list};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!check_list(p, parts[i], soft)) return false;
    return true;
}

static bool check_list(struct parser *p, const struct node *n, bool soft)
{
    for (; n; n = n->next) {
        bool applied = n->kind == N_FILTER || n->kind == N_TEST;
        p->host.line = n->line;
        if (applied && !n->function && !soft)
            return host_fail(&p->host, LORAC_UNSUPPORTED, "lorac does not know the %s '%.*s'",
                             n->kind == N_FILTER ? "filter" : "test", STR_ARG(n->text));
        if (!check_parts(p, n, soft)) return false;
    }
    return true;
}

bool check_applied(struct parser *p, const struct node *body)
{
    return check_list(p, body, false);
}
