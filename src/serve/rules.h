/* Rules of routing: which model and version gets a request to "@route", and which traffic is copied to another model. A
 * document in JSON (docs/routing.md); read as a whole or refused with a sentence that names the rule. Private to serve/. */
#ifndef SLIPWAY_SERVE_RULES_H
#define SLIPWAY_SERVE_RULES_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "serve/core.h"

enum { SW__MAX_RULES = 256, SW__MAX_CONDITIONS = 32, SW__MAX_TARGETS = 16, SW__MAX_RULES_BYTES = 1 << 20 };

typedef enum sw__condition_kind {
    SW__ON_PATH,
    SW__ON_HEADER,
    SW__ON_PARAMETER,
    SW__ON_CONTENT_TYPE,
    SW__ON_WIDTH,
    SW__ON_HEIGHT,
    SW__ON_PIXELS
} sw__condition_kind;

typedef struct sw__condition {
    sw__condition_kind kind;
    const char *name, *pattern; /* name: of a header (lower case) or parameter; pattern: * stands for any text */
    double least, most;         /* of sizes */
} sw__condition;

typedef struct sw__target {
    const char *model;
    int64_t version; /* -1: by the model's route_weights, else the highest */
    double weight;
} sw__target;

typedef struct sw__rule {
    const char *name;
    int n_conditions, n_targets;
    const sw__condition *conditions;
    const sw__target *targets;
    double total;             /* of the weights */
    atomic_ullong *taken;     /* requests, by target */
} sw__rule;

/* What one arm of a comparison counts. */
typedef struct sw__arm {
    uint64_t count, failed, ns;
} sw__arm;

/* Traffic that is copied. */
typedef struct sw__shadow {
    const char *name, *model, *to_model;
    int64_t version, to_version; /* -1: any */
    double share, tolerance;
    pthread_mutex_t *lock; /* of: */
    double debt;           /* what is owed of the share */
    sw__arm primary, copy;
    uint64_t dropped, compared, incomparable, different;
    double max_abs, max_rel, sum_abs, agreement; /* sum_abs: of each comparison's max; agreement: sum */
    uint64_t agreements;
} sw__shadow;

typedef struct sw__rules {
    atomic_int refs;
    sw_arena *arena;
    const char *text; /* the document */
    size_t size;
    int n_rules, n_shadows;
    sw__rule *rules;
    sw__shadow *shadows;
    bool by_size; /* some rule looks at the picture's */
} sw__rules;

/* One reference. `where` names the document in messages; SW_E_INPUT, SW_E_LIMIT, SW_E_NOMEM with a sentence. */
SW_MUST_USE sw_status sw__rules_read(const char *text, size_t size, const char *where, const sw_diag *diag,
                                     sw__rules **rules);
void sw__rules_drop(sw__rules *rules); /* takes NULL */
/* The first rule that takes the request; NULL: none. */
const sw__rule *sw__rules_match(const sw__rules *rules, const sw_serve_hint *hint);
/* Whether text is what a pattern says; * stands for any text, also none. `fold`: letters in either case. */
bool sw__rules_glob(const char *pattern, const char *text, bool fold);

#endif
