/* Ensembles: steps that run as soon as their tensors are there, side by side where they can. A step's results stay where the
 * step's request keeps them, and later steps and the answer are views of them. */
#include <string.h>

#include "serve/ensemble.h"
#include "serve/steps.h"

enum { MOST_STEPS = 256, MOST_DEPTH = 8 };

/* -- Making ---------------------------------------------------------------------------------------------------------- */

static int tensor_at(struct sw__ensemble *e, const char *name, bool add) {
    for (int i = 0; i < e->n_tensors; i++)
        if (strcmp(e->tensors[i], name) == 0) return i;
    if (!add) return -1;
    e->tensors[e->n_tensors] = name;
    return e->n_tensors++;
}

static bool make_step(sw_arena *arena, struct sw__ensemble *e, const sw__ensemble_step *from, sw__member *to) {
    *to =
        (sw__member){.model = from->model, .version = from->version, .n_in = from->n_inputs, .n_out = from->n_outputs};
    to->in = SW_ARENA_ARRAY(arena, const char *, to->n_in + 1);
    to->out = SW_ARENA_ARRAY(arena, const char *, to->n_out + 1);
    to->from = SW_ARENA_ARRAY(arena, int, to->n_in + 1);
    to->to = SW_ARENA_ARRAY(arena, int, to->n_out + 1);
    if (!to->in || !to->out || !to->from || !to->to) return false;
    for (int i = 0; i < to->n_in; i++) {
        to->in[i] = from->inputs[i].inner;
        to->from[i] = tensor_at(e, from->inputs[i].outer, true);
    }
    for (int i = 0; i < to->n_out; i++) {
        to->out[i] = from->outputs[i].inner;
        to->to[i] = tensor_at(e, from->outputs[i].outer, true);
    }
    return true;
}

/* Every tensor is written once, and can be: no step waits for itself. `written`: room for all tensors. */
static sw_serve_code check_order(const sw_serve_model *model, bool *written, sw_serve_error *error) {
    const struct sw__ensemble *e = model->ensemble;
    bool done[MOST_STEPS] = {false};
    for (int i = 0; i < model->info.n_inputs; i++) written[i] = true;
    for (bool more = true; more;) {
        more = false;
        for (int s = 0; s < e->n_steps; s++) {
            bool ready = !done[s];
            for (int i = 0; ready && i < e->steps[s].n_in; i++) ready = written[e->steps[s].from[i]];
            if (!ready) continue;
            done[s] = more = true;
            for (int i = 0; i < e->steps[s].n_out; i++) {
                int t = e->steps[s].to[i];
                if (written[t])
                    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s': tensor '%s' is written twice",
                                         model->info.name, e->tensors[t]);
                written[t] = true;
            }
        }
    }
    for (int s = 0; s < e->n_steps; s++)
        for (int i = 0; !done[s] && i < e->steps[s].n_in; i++)
            if (!written[e->steps[s].from[i]])
                return sw_serve_fail(
                    error, SW_SERVE_INVALID_ARG,
                    "ensemble '%s': tensor '%s', which step '%s' reads, is no input and no step before writes it",
                    model->info.name, e->tensors[e->steps[s].from[i]], e->steps[s].model);
    return SW_SERVE_OK;
}

static sw_serve_code check_outputs(sw_serve_model *model, const bool *written, sw_serve_error *error) {
    struct sw__ensemble *e = model->ensemble;
    for (int i = 0; i < model->info.n_outputs; i++) {
        const char *name = model->info.outputs[i].name;
        e->outputs[i] = tensor_at(e, name, false);
        if (e->outputs[i] < 0 || !written[e->outputs[i]])
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s': no step writes output '%s'",
                                 model->info.name, name);
    }
    for (int i = 0; i < model->info.n_inputs; i++) {
        bool used = false;
        for (int s = 0; s < e->n_steps; s++)
            for (int k = 0; k < e->steps[s].n_in; k++) used |= e->steps[s].from[k] == i;
        if (!used)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s': no step reads input '%s'",
                                 model->info.name, model->info.inputs[i].name);
    }
    return SW_SERVE_OK;
}

sw_serve_code sw__ensemble_create(sw_serve_model *model, sw_serve_error *error) {
    const sw__config *c = &model->config;
    sw_arena *arena = model->arena;
    int most = c->n_inputs;
    if (c->n_steps > MOST_STEPS)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s' has more than %d steps", c->name, MOST_STEPS);
    for (int i = 0; i < c->n_steps; i++) {
        most += c->steps[i].n_inputs + c->steps[i].n_outputs;
        if (strcmp(c->steps[i].model, c->name) == 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s' is a step of itself", c->name);
    }
    struct sw__ensemble *e = model->ensemble = SW_ARENA_NEW(arena, struct sw__ensemble);
    bool *written = SW_ARENA_ARRAY(arena, bool, most + 1);
    if (!e || !written) return sw__serve_no_memory(error);
    e->tensors = SW_ARENA_ARRAY(arena, const char *, most + 1);
    e->steps = SW_ARENA_ARRAY(arena, sw__member, c->n_steps);
    e->outputs = SW_ARENA_ARRAY(arena, int, c->n_outputs + 1);
    if (!e->tensors || !e->steps || !e->outputs) return sw__serve_no_memory(error);
    for (int i = 0; i < c->n_inputs; i++) (void)tensor_at(e, c->inputs[i].name, true);
    for (; e->n_steps < c->n_steps; e->n_steps++)
        if (!make_step(arena, e, &c->steps[e->n_steps], &e->steps[e->n_steps])) return sw__serve_no_memory(error);
    sw_serve_code code = check_order(model, written, error);
    if (code == SW_SERVE_OK) code = check_outputs(model, written, error);
    return code == SW_SERVE_OK ? sw__ensemble_make_own(model, error) : code;
}

void sw__ensemble_destroy(struct sw__ensemble *e) {
    for (int s = 0; e && e->steps && s < e->n_steps; s++) sw_serve_drop(e->steps[s].own);
}

const char *sw__ensemble_member(const struct sw__ensemble *ensemble, int i) {
    for (int s = 0; s < ensemble->n_steps; s++)
        if (!ensemble->steps[s].own && i-- == 0) return ensemble->steps[s].model;
    return NULL;
}

/* -- Running --------------------------------------------------------------------------------------------------------- */

typedef struct step_run {
    struct sw__ensemble_run *run;
    sw_serve_request request;
    sw_serve_tensor *inputs; /* n_in of the step */
    sw_demand demand;
    bool begun;
} step_run;

/* Of one request, kept by it for the next. All but `request` under lock while it runs. */
struct sw__ensemble_run {
    const sw_serve_model *of; /* what it was made for */
    sw_arena *arena;
    pthread_mutex_t lock;
    sw_serve_request *request;
    sw_serve_tensor *tensors;
    bool *there;
    step_run *steps;
    int n_steps, n_running;
    sw_serve_error error;
    sw_serve_tensor *out;
};

void sw__ensemble_run_free(struct sw__ensemble_run *run) {
    if (!run) return;
    for (int i = 0; i < run->n_steps; i++) sw_serve_request_free(&run->steps[i].request);
    pthread_mutex_destroy(&run->lock);
    sw_arena_destroy(run->arena);
}

static struct sw__ensemble_run *make_run(const sw_serve_model *model) {
    const struct sw__ensemble *e = model->ensemble;
    sw_arena *arena = sw_arena_create(NULL, 0);
    struct sw__ensemble_run *run = arena ? SW_ARENA_NEW(arena, struct sw__ensemble_run) : NULL;
    bool good = run != NULL;
    if (good) {
        run->tensors = SW_ARENA_ARRAY(arena, sw_serve_tensor, e->n_tensors + 1);
        run->there = SW_ARENA_ARRAY(arena, bool, e->n_tensors + 1);
        run->steps = SW_ARENA_ARRAY(arena, step_run, e->n_steps);
        run->out = SW_ARENA_ARRAY(arena, sw_serve_tensor, model->info.n_outputs + 1);
        good = run->tensors && run->there && run->steps && run->out;
    }
    for (int i = 0; good && i < e->n_steps; i++) {
        run->steps[i].run = run;
        good = (run->steps[i].inputs = SW_ARENA_ARRAY(arena, sw_serve_tensor, e->steps[i].n_in + 1)) != NULL;
    }
    if (!good) {
        sw_arena_destroy(arena);
        return NULL;
    }
    pthread_mutex_init(&run->lock, NULL);
    run->of = model;
    run->arena = arena;
    run->n_steps = e->n_steps;
    return run;
}

static void step_done(sw_serve_request *request);

static bool find_model(sw_serve *core, const sw__member *what, sw_serve_request *r) {
    if (!what->own)
        return sw_serve_find(core, what->model, what->version, &(sw_serve_hint){0}, &r->model, &r->error) ==
               SW_SERVE_OK;
    sw_serve_keep(what->own);
    r->model = what->own;
    return true;
}

/* Crops of no boxes, say: nothing is to be computed, and requests of clients must not be so. */
static bool has_no_rows(const sw_serve_request *r) {
    if (!r->model->info.max_batch_size) return false;
    for (int i = 0; i < r->n_inputs; i++)
        if (r->inputs[i].rank && !r->inputs[i].dims[0]) return true;
    return false;
}

/* Results without rows, in the types and shapes of the metadata, as far as those are known. */
static bool give_no_rows(sw_serve_request *r) {
    const sw_serve_info *info = &r->model->info;
    sw_serve_tensor *none = sw_calloc(NULL, (size_t)info->n_outputs + 1, sizeof *none);
    for (int i = 0; none && i < info->n_outputs; i++) {
        const sw_serve_port *port = &info->outputs[i];
        none[i] = (sw_serve_tensor){.dtype = port->dtype, .rank = port->rank, .data = ""};
        for (int k = 1; k < port->rank; k++) none[i].dims[k] = port->dims[k] > 0 ? port->dims[k] : 0;
    }
    if (none)
        sw__serve_hand_over(r, none, NULL);
    else
        (void)sw__serve_no_memory(&r->error);
    sw_free(NULL, none);
    return none != NULL;
}

/* Submits a step whose tensors are there. What goes wrong comes back through step_done, too. */
static void begin_step(struct sw__ensemble_run *run, int s) {
    sw_serve_request *outer = run->request;
    sw_serve_model *model = outer->model;
    const sw__member *what = &model->ensemble->steps[s];
    step_run *now = &run->steps[s];
    sw_serve_request *r = &now->request;
    int n = 0;
    for (int i = 0; i < what->n_in; i++) {
        const sw_serve_tensor *t = &run->tensors[what->from[i]];
        if (!t->name) continue; /* an optional input that was left out */
        now->inputs[n] = *t;
        now->inputs[n++].name = what->in[i];
    }
    *r = (sw_serve_request){.id = outer->id,
                            .priority = outer->priority,
                            .timeout_us = outer->timeout_us,
                            .deadline_ns = outer->deadline_ns,
                            .n_inputs = n,
                            .inputs = now->inputs,
                            .n_wanted = what->n_out,
                            .wanted = what->out,
                            .off_thread = outer->off_thread,
                            .at_once = what->at_once,
                            .done = step_done,
                            .user = now,
                            .held = r->held};
    int depth = ((sw__held *)outer->held)->depth + 1;
    sw__held *held = sw__serve_hold(r, 0);
    if (!held)
        (void)sw__serve_no_memory(&r->error);
    else if ((held->depth = depth) > MOST_DEPTH)
        (void)sw_serve_fail(&r->error, SW_SERVE_INVALID_ARG,
                            "ensembles within ensembles are deeper than %d: is '%s' within itself?", MOST_DEPTH,
                            what->model);
    else if (find_model(model->core, what, r)) {
        if (what->demands) r->demand = sw__step_demand(what->demands->own, r->model, &now->demand);
        if (!has_no_rows(r)) {
            sw__serve_submit(model->core, r, true);
            return;
        }
        (void)give_no_rows(r);
    }
    step_done(r);
}

/* What results of steps lie in. */
typedef struct lent {
    void *memory;
    void (*release)(void *memory);
} lent;

static void finish(struct sw__ensemble_run *run) {
    sw_serve_request *request = run->request;
    sw_serve_model *model = request->model;
    char id[SW__ID_TEXT];
    request->times.computed = sw__serve_now(model->core);
    request->error = run->error;
    if (((sw__held *)request->held)->cancelled) {
        (void)sw_serve_fail(&request->error, SW_SERVE_CANCELLED, "%sRequest cancelled", sw__serve_id_text(request, id));
    } else if (run->error.code == SW_SERVE_OK) {
        request->times.started = request->times.computing = request->times.queued;
        for (int i = 0; i < model->info.n_outputs; i++) run->out[i] = run->tensors[model->ensemble->outputs[i]];
        sw__serve_hand_over(request, run->out, NULL);
        pthread_mutex_lock(&model->tally->lock);
        sw__stats_execution(&model->tally->stats, (uint64_t)((sw__held *)request->held)->rows, 0,
                            (uint64_t)(request->times.computed - request->times.queued), 0);
        pthread_mutex_unlock(&model->tally->lock);
    }
    lent memory[MOST_STEPS];
    int n = 0;
    for (int i = 0; i < run->n_steps; i++) {
        sw__held *held = run->steps[i].request.held;
        if (!held || !held->memory) continue;
        memory[n++] = (lent){held->memory, held->release};
        held->memory = NULL;
    }
    sw__serve_finish(request); /* with it the run may belong to somebody else */
    for (int i = 0; i < n; i++) memory[i].release(memory[i].memory);
}

/* Begins what can be begun. `ended`: a step has. */
static void advance(struct sw__ensemble_run *run, bool ended) {
    const struct sw__ensemble *e = run->of->ensemble;
    int ready[MOST_STEPS], n = 0;
    pthread_mutex_lock(&run->lock);
    bool stop = run->error.code != SW_SERVE_OK || ((sw__held *)run->request->held)->cancelled;
    for (int s = 0; s < e->n_steps && !stop; s++) {
        bool can = !run->steps[s].begun;
        for (int i = 0; can && i < e->steps[s].n_in; i++) can = run->there[e->steps[s].from[i]];
        if (!can) continue;
        run->steps[s].begun = true;
        ready[n++] = s;
    }
    run->n_running += n - ended;
    bool last = run->n_running == 0;
    pthread_mutex_unlock(&run->lock);
    if (last) finish(run);
    for (int i = 0; i < n; i++) begin_step(run, ready[i]); /* the run lives while one of them has not ended */
}

/* Whether all steps that read what this one gives can begin now. Under lock. */
static bool readers_are_ready(const struct sw__ensemble_run *run, const sw__member *what) {
    const struct sw__ensemble *e = run->of->ensemble;
    for (int s = 0; s < e->n_steps; s++) {
        const sw__member *reader = &e->steps[s];
        bool reads = false, ready = true;
        for (int i = 0; i < reader->n_in; i++) {
            bool given = false;
            for (int k = 0; k < what->n_out; k++) given |= what->to[k] == reader->from[i];
            reads |= given;
            ready &= given || run->there[reader->from[i]];
        }
        if (reads && !ready) return false;
    }
    return true;
}

static void step_done(sw_serve_request *r) {
    step_run *now = r->user;
    struct sw__ensemble_run *run = now->run;
    const sw__member *what = &run->of->ensemble->steps[now - run->steps];
    pthread_mutex_lock(&run->lock);
    /* Results that lie in the model's memory are read before this returns, or copied. */
    if (r->error.code == SW_SERVE_OK && r->at_once && !readers_are_ready(run, what)) sw__serve_keep_results(r);
    if (r->error.code != SW_SERVE_OK && run->error.code == SW_SERVE_OK)
        (void)sw_serve_fail(&run->error, r->error.code, "in ensemble '%.100s', %.390s", run->of->info.name,
                            r->error.text);
    for (int i = 0; r->error.code == SW_SERVE_OK && i < what->n_out; i++) {
        run->tensors[what->to[i]] = r->results[i];
        run->there[what->to[i]] = true;
    }
    pthread_mutex_unlock(&run->lock);
    sw_serve_drop(r->model);
    advance(run, true);
}

void sw__ensemble_submit(sw_serve_model *model, sw_serve_request *request) {
    sw__held *held = request->held;
    if (held->run && held->run->of != model) {
        sw__ensemble_run_free(held->run);
        held->run = NULL;
    }
    if (!held->run) held->run = make_run(model);
    struct sw__ensemble_run *run = held->run;
    if (!run) {
        (void)sw__serve_no_memory(&request->error);
        sw__serve_finish(request);
        return;
    }
    run->request = request;
    run->error = (sw_serve_error){0};
    run->n_running = 0;
    memset(run->there, 0, (size_t)model->ensemble->n_tensors * sizeof *run->there);
    for (int i = 0; i < run->n_steps; i++) run->steps[i].begun = false;
    for (int i = 0; i < model->info.n_inputs; i++) {
        run->tensors[i] = held->inputs[i] ? *held->inputs[i] : (sw_serve_tensor){0};
        run->there[i] = true;
    }
    sw__queue_mark_running(model, request);
    advance(run, false);
}
