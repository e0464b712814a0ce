/* Built-in steps of an ensemble. Which network they are for is seen from the ensemble: slipway_letterbox and
 * slipway_crop prepare for the model that reads what they write, slipway_yolo reads what a model writes. Other
 * parameters are the ensemble's:
 *
 *     parameters { key: "slipway_yolo.conf" value { string_value: "0.4" } } */
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "serve/ensemble.h"
#include "serve/steps.h"

enum { MOST_INSTANCES = 8 };

static int tensor_of(const char **ports, const int *tensors, int n, const char *port) {
    for (int i = 0; i < n; i++)
        if (!strcmp(ports[i], port)) return tensors[i];
    return -1;
}

/* The step of the network that a step is for; NULL: none is seen. */
static const sw__member *network_of(const struct sw__ensemble *e, const sw__member *step) {
    bool reads = !strcmp(step->model, "slipway_yolo");
    int tensor =
        reads ? tensor_of(step->in, step->from, step->n_in, "RAW")
              : tensor_of(step->out, step->to, step->n_out, !strcmp(step->model, "slipway_crop") ? "CROPS" : "TENSOR");
    for (int s = 0; s < e->n_steps && tensor >= 0; s++) {
        const sw__member *other = &e->steps[s];
        const int *tensors = reads ? other->to : other->from, n = reads ? other->n_out : other->n_in;
        for (int i = 0; i < n && other != step; i++)
            if (tensors[i] == tensor && !sw__step_named(other->model)) return other;
    }
    return NULL;
}

static void write_parameter(sw_json_writer *w, const char *key, const char *value) {
    if (!value) return;
    sw_json_key(w, key), sw_json_object(w);
    sw_json_key(w, "string_value"), sw_json_string(w, value);
    sw_json_object_end(w);
}

/* The configuration of a step. */
static void write_config(const sw_serve_model *ensemble, const sw__member *step, const sw_serve_backend *backend,
                         sw_arena *arena, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 0);
    int cpus = sw_cpu_allowed();
    sw_json_object(&w);
    sw_json_key(&w, "backend"), sw_json_string(&w, backend->name);
    sw_json_key(&w, "instance_group"), sw_json_array(&w), sw_json_object(&w);
    sw_json_key(&w, "count"), sw_json_int(&w, cpus < MOST_INSTANCES ? cpus : MOST_INSTANCES);
    sw_json_key(&w, "kind"), sw_json_string(&w, "KIND_CPU");
    sw_json_object_end(&w), sw_json_array_end(&w);
    sw_json_key(&w, "parameters"), sw_json_object(&w);
    const sw__member *network = network_of(ensemble->ensemble, step);
    for (const char *const *key = sw__step_parameters(backend); *key; key++) {
        const char *name = sw_arena_printf(arena, "%s.%s", backend->name, *key);
        const char *value = name ? sw__config_parameter(&ensemble->config, name) : NULL;
        if (!value && network && !strcmp(*key, "model")) value = network->model;
        if (!value && network && network->version > 0 && !strcmp(*key, "version"))
            value = sw_arena_printf(arena, "%lld", (long long)network->version);
        write_parameter(&w, *key, value);
    }
    sw_json_object_end(&w);
    sw_json_object_end(&w);
}

static bool has_port(const sw_serve_port *ports, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(ports[i].name, name)) return true;
    return false;
}

static sw_serve_code check_ports(const sw_serve_model *ensemble, const sw__member *step, sw_serve_error *error) {
    const sw_serve_info *info = &step->own->info;
    for (int i = 0; i < step->n_in + step->n_out; i++) {
        bool input = i < step->n_in;
        const char *name = input ? step->in[i] : step->out[i - step->n_in];
        if (!has_port(input ? info->inputs : info->outputs, input ? info->n_inputs : info->n_outputs, name))
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s': %s has no %s '%.100s'",
                                 ensemble->info.name, step->model, input ? "input" : "output", name);
    }
    for (int i = 0; i < info->n_inputs; i++)
        if (!info->inputs[i].optional && tensor_of(step->in, step->from, step->n_in, info->inputs[i].name) < 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "ensemble '%s': input '%s' of %s is not in its input_map",
                                 ensemble->info.name, info->inputs[i].name, step->model);
    return SW_SERVE_OK;
}

static sw_serve_code make_own(sw_serve_model *ensemble, sw__member *step, const sw_serve_backend *backend,
                              sw_serve_error *error) {
    sw_buf config = sw_buf_make(NULL, 0);
    write_config(ensemble, step, backend, ensemble->arena, &config);
    int before = 0;
    for (const sw__member *other = ensemble->ensemble->steps; other < step; other++)
        before += other->own && other->own->backend == backend;
    const char *name = before ? sw_arena_printf(ensemble->arena, "%s.%s.%d", ensemble->info.name, backend->name, before)
                              : sw_arena_printf(ensemble->arena, "%s.%s", ensemble->info.name, backend->name);
    sw__model_source source = {.name = name,
                               .version = 1,
                               .config = sw_buf_text(&config),
                               .config_size = config.size,
                               .config_is_json = true,
                               .config_where = backend->name,
                               .own = true};
    sw_serve_error why;
    sw_serve_code code = source.config && name ? sw__serve_model_create(ensemble->core, &source, &step->own, &why)
                                               : sw__serve_no_memory(&why);
    sw_buf_free(&config);
    if (code != SW_SERVE_OK)
        return sw_serve_fail(error, code, "ensemble '%.100s': %.380s", ensemble->info.name, why.text);
    return check_ports(ensemble, step, error);
}

/* Parameters for steps that are not there, or that these do not have, are mistakes. */
static sw_serve_code check_parameters(const sw_serve_model *ensemble, sw_serve_error *error) {
    const struct sw__ensemble *e = ensemble->ensemble;
    for (const sw__node *node = sw__message_get(ensemble->config.message, "parameters"); node;
         node = sw__node_next(node)) {
        const char *key = sw__message_text(node->message, "key"), *dot = strchr(key, '.');
        bool known = strncmp(key, "slipway_", 8) != 0 || !dot;
        for (int s = 0; s < e->n_steps && !known; s++) {
            const sw__member *step = &e->steps[s];
            if (!step->own || strncmp(step->model, key, (size_t)(dot - key)) != 0 || step->model[dot - key]) continue;
            for (const char *const *p = sw__step_parameters(step->own->backend); *p && !known; p++)
                known = !strcmp(*p, dot + 1);
        }
        if (!known)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "ensemble '%s': parameter '%.100s' belongs to no built-in step of it",
                                 ensemble->info.name, key);
    }
    return SW_SERVE_OK;
}

/* Whether all that a step gives is read by light steps of this ensemble, and is no output of it. */
static bool feeds_light(const struct sw__ensemble *e, int n_outputs, const sw__member *step) {
    int readers = 0;
    for (int i = 0; i < step->n_out; i++) {
        for (int k = 0; k < n_outputs; k++)
            if (e->outputs[k] == step->to[i]) return false;
        for (int s = 0; s < e->n_steps; s++)
            for (int k = 0; k < e->steps[s].n_in; k++) {
                if (e->steps[s].from[k] != step->to[i]) continue;
                if (!e->steps[s].own || !e->steps[s].own->backend->light) return false;
                readers++;
            }
    }
    return readers > 0;
}

/* The slipway_yolo that alone reads what a network gives, at once, after built-in steps prepared for it (which may wait, as
 * asking for a demand may); NULL: none. */
static const sw__member *demanding(const struct sw__ensemble *e, const sw__member *network) {
    const sw__member *reader = NULL;
    if (!network->at_once || network->own) return NULL;
    for (int i = 0; i < network->n_in; i++) {
        bool prepared = false;
        for (int s = 0; s < e->n_steps && !prepared; s++)
            for (int k = 0; e->steps[s].own && k < e->steps[s].n_out; k++)
                prepared |= e->steps[s].to[k] == network->from[i];
        if (!prepared) return NULL;
    }
    for (int s = 0; s < e->n_steps; s++)
        for (int i = 0; i < e->steps[s].n_in; i++)
            for (int k = 0; k < network->n_out; k++) {
                if (e->steps[s].from[i] != network->to[k]) continue;
                if ((reader && reader != &e->steps[s]) || strcmp(e->steps[s].model, "slipway_yolo") != 0) return NULL;
                reader = &e->steps[s];
            }
    return reader;
}

sw_serve_model *sw__ensemble_own(const struct sw__ensemble *e, int i) {
    for (int s = 0; s < e->n_steps; s++)
        if (e->steps[s].own && i-- == 0) return e->steps[s].own;
    return NULL;
}

sw_serve_code sw__ensemble_make_own(sw_serve_model *model, sw_serve_error *error) {
    struct sw__ensemble *e = model->ensemble;
    for (int s = 0; s < e->n_steps; s++) {
        const sw_serve_backend *backend = sw__step_named(e->steps[s].model);
        sw__found found;
        if (!backend || sw__repository_find(model->core, backend->name, model->arena, &found)) continue;
        sw_serve_code code = make_own(model, &e->steps[s], backend, error);
        if (code != SW_SERVE_OK) return code;
    }
    for (int s = 0; s < e->n_steps; s++) {
        e->steps[s].at_once = feeds_light(e, model->info.n_outputs, &e->steps[s]);
        e->steps[s].demands = demanding(e, &e->steps[s]);
    }
    return check_parameters(model, error);
}
