/* Which version gets a request that names none: the highest, or by weights; which model gets one to "@route": by rules.
 * Weights:
 *
 *     parameters { key: "route_weights" value { string_value: "1=90 2=10" } }
 *
 * Requests with the same header `slipway-sticky`, or parameter `sticky`, get the same version.
 * Versions without a weight get nothing; weights of versions that are not ready are shared out among the others. */
#include <string.h>

#include "base/str.h"
#include "serve/internal.h"

enum { VERSION_TEXT = 24 };

/* The end of the number at `text`. */
static const char *number_end(const char *text) {
    return text + strspn(text, "0123456789.");
}

sw_serve_code sw__route_read(sw_serve_model *model, sw_serve_error *error) {
    const char *at = sw__config_parameter(&model->config, "route_weights");
    model->weight = at ? 0 : -1;
    if (at) atomic_store_explicit(&model->core->routed, true, memory_order_relaxed);
    while (at && *at) {
        int64_t version;
        double weight;
        const char *equals = number_end(at), *end = *equals == '=' ? number_end(equals + 1) : equals;
        if (*equals != '=' || equals - at > VERSION_TEXT || !sw_str_to_i64(at, (size_t)(equals - at), &version) ||
            !sw_str_to_f64(equals + 1, (size_t)(end - equals - 1), &weight) || weight > 1e9 ||
            (*end && *end != ' ' && *end != ','))
            return sw_serve_fail(
                error, SW_SERVE_INVALID_ARG,
                "model '%s': parameter route_weights is wrong at \"%.40s\"; write version=weight, as in \"1=90 2=10\"",
                model->info.name, at);
        if (version == model->info.version) model->weight = weight;
        at = end + strspn(end, " ,");
    }
    return SW_SERVE_OK;
}

const char *sw__route_key(const sw_serve_hint *hint) {
    const char *key = hint->sticky;
    if (!key && hint->header) key = hint->header(hint->ctx, "slipway-sticky");
    if (!key && hint->parameter) key = hint->parameter(hint->ctx, "sticky");
    return key;
}

/* A number in [0, 1): of a key always the same; of turns evenly spread, so that shares are kept over short stretches, too
 * (multiples of the golden ratio). */
static double point_of(const char *sticky, uint64_t turn) {
    uint64_t hash = turn * 0x9e3779b97f4a7c15u;
    if (sticky) {
        hash = 0xcbf29ce484222325u;
        for (; *sticky; sticky++) hash = (hash ^ (uint8_t)*sticky) * 0x100000001b3u; /* FNV-1a, then mixed */
        hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15u;
    }
    return (double)(hash >> 11) * 0x1p-53;
}

sw_serve_model *sw__route_choose(const sw__entry *entry, const sw_serve_hint *hint, const char *sticky, uint64_t turn) {
    sw_serve_model *highest = NULL;
    double total = 0;
    for (int i = 0; i < entry->n_versions; i++) {
        sw_serve_model *model = entry->versions[i].model;
        if (!model) continue;
        highest = model;
        if (model->weight > 0) total += model->weight;
    }
    if (!hint || !highest || highest->weight < 0 || total <= 0) return highest;
    double point = point_of(sticky, turn) * total;
    for (int i = 0; i < entry->n_versions; i++) {
        sw_serve_model *model = entry->versions[i].model;
        if (!model || model->weight <= 0) continue;
        if (point < model->weight) return model;
        point -= model->weight;
        highest = model; /* the last with a weight, should rounding leave a rest */
    }
    return highest;
}

/* -- Rules ----------------------------------------------------------------------------------------------------------- */

sw__rules *sw__route_rules(sw_serve *core) {
    if (!atomic_load_explicit(&core->rules_set, memory_order_relaxed)) return NULL;
    pthread_mutex_lock(&core->rules_lock);
    sw__rules *rules = core->rules;
    if (rules) atomic_fetch_add(&rules->refs, 1);
    pthread_mutex_unlock(&core->rules_lock);
    return rules;
}

static int choose_target(sw_serve *core, const sw__rule *rule, const sw_serve_hint *hint) {
    int last = 0;
    if (rule->n_targets == 1) return 0;
    pthread_mutex_lock(&core->lock);
    uint64_t turn = core->turn++;
    pthread_mutex_unlock(&core->lock);
    double point = point_of(sw__route_key(hint), turn) * rule->total;
    for (int i = 0; i < rule->n_targets; i++) {
        if (rule->targets[i].weight <= 0) continue;
        if (point < rule->targets[i].weight) return i;
        point -= rule->targets[i].weight;
        last = i; /* should rounding leave a rest */
    }
    return last;
}

sw_serve_code sw__route_find(sw_serve *core, const sw_serve_hint *hint, sw_serve_model **model, sw_serve_error *error) {
    static const sw_serve_hint nothing;
    *model = NULL;
    if (!hint) hint = &nothing;
    sw__rules *rules = sw__route_rules(core);
    const sw__rule *rule = sw__rules_match(rules, hint);
    sw_serve_code code;
    if (!rule) {
        const char *why = rules && rules->n_rules
                              ? "no rule of routing takes this request; a last one without \"when\" would"
                              : "there are no rules of routing; give them by --routes or PUT /v2/routes";
        code = sw_serve_fail(error, SW_SERVE_NOT_FOUND, "%s", why);
    } else {
        int i = choose_target(core, rule, hint);
        code = sw_serve_find(core, rule->targets[i].model, rule->targets[i].version, hint, model, error);
        if (code == SW_SERVE_OK) atomic_fetch_add_explicit(&rule->taken[i], 1, memory_order_relaxed);
    }
    sw__rules_drop(rules);
    return code;
}

sw_serve_code sw_serve_set_routes(sw_serve *core, const char *text, size_t size, const char *where,
                                  sw_serve_error *error) {
    sw__rules *rules = NULL;
    sw__sink sink = {error, NULL};
    sw_diag diag = sw__serve_sink(&sink);
    sw_status status = sw__rules_read(text, size, where, &diag, &rules);
    if (status != SW_OK) return error->code = status == SW_E_NOMEM ? SW_SERVE_UNAVAILABLE : SW_SERVE_INVALID_ARG;
    bool by_size = rules->by_size, shadowed = rules->n_shadows > 0; /* it may be replaced at once */
    pthread_mutex_lock(&core->rules_lock);
    sw__rules *old = core->rules;
    core->rules = rules;
    atomic_store(&core->rules_by_size, by_size);
    atomic_store(&core->shadowed, shadowed);
    atomic_store(&core->rules_set, true);
    pthread_mutex_unlock(&core->rules_lock);
    sw__rules_drop(old);
    return SW_SERVE_OK;
}

void sw_serve_routes(sw_serve *core, sw_buf *buf) {
    sw__rules *rules = sw__route_rules(core);
    if (rules)
        sw_buf_append(buf, rules->text, rules->size);
    else
        sw_buf_append_text(buf, "{\"rules\":[],\"shadows\":[]}");
    sw__rules_drop(rules);
}

bool sw_serve_routes_by_size(sw_serve *core) {
    return atomic_load_explicit(&core->rules_by_size, memory_order_relaxed);
}

bool sw_serve_routes_by_header(sw_serve *core) {
    return atomic_load_explicit(&core->rules_set, memory_order_relaxed) ||
           atomic_load_explicit(&core->routed, memory_order_relaxed);
}
