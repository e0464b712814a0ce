/* Whether the ports of an ensemble's steps are those of its models; known once these are there. */
#include <string.h>

#include "serve/ensemble.h"

static const sw_serve_port *port_named(const sw_serve_port *ports, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(ports[i].name, name) == 0) return &ports[i];
    return NULL;
}

/* Types of the ensemble's tensors, by their number; SW_DTYPE_NONE: not known. */
static sw_serve_code check_outputs(const sw_serve_model *ensemble, const sw__member *step, const sw_serve_info *info,
                                   int *types, sw_serve_error *error) {
    for (int i = 0; i < step->n_out; i++) {
        const sw_serve_port *port = port_named(info->outputs, info->n_outputs, step->out[i]);
        if (!port)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "in ensemble '%.100s', model '%.100s' has no output '%.100s'", ensemble->info.name,
                                 info->name, step->out[i]);
        types[step->to[i]] = port->loose ? SW_DTYPE_NONE : port->dtype;
    }
    return SW_SERVE_OK;
}

static sw_serve_code check_inputs(const sw_serve_model *ensemble, const sw__member *step, const sw_serve_info *info,
                                  const int *types, sw_serve_error *error) {
    const struct sw__ensemble *e = ensemble->ensemble;
    for (int i = 0; i < step->n_in; i++) {
        const sw_serve_port *port = port_named(info->inputs, info->n_inputs, step->in[i]);
        int type = types[step->from[i]];
        if (!port)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "in ensemble '%.100s', model '%.100s' has no input '%.100s'", ensemble->info.name,
                                 info->name, step->in[i]);
        if (type != SW_DTYPE_NONE && !port->loose && port->dtype != SW_DTYPE_NONE && port->dtype != type)
            return sw_serve_fail(
                error, SW_SERVE_INVALID_ARG,
                "in ensemble '%.100s', tensor '%.100s' is %s, but input '%.100s' of model '%.100s' is %s",
                ensemble->info.name, e->tensors[step->from[i]], sw_serve_dtype_name(type), port->name, info->name,
                sw_serve_dtype_name(port->dtype));
    }
    return SW_SERVE_OK;
}

sw_serve_code sw__ensemble_check(const sw_serve_model *ensemble, const sw_serve_info *const *infos,
                                 sw_serve_error *error) {
    const struct sw__ensemble *e = ensemble->ensemble;
    int *types = sw_calloc(NULL, (size_t)e->n_tensors + 1, sizeof *types);
    sw_serve_code code = types ? SW_SERVE_OK : sw__serve_no_memory(error);
    for (int i = 0; i < ensemble->info.n_inputs && types; i++) types[i] = ensemble->info.inputs[i].dtype;
    for (int s = 0; s < e->n_steps && code == SW_SERVE_OK; s++)
        code = check_outputs(ensemble, &e->steps[s], infos[s], types, error);
    for (int s = 0; s < e->n_steps && code == SW_SERVE_OK; s++)
        code = check_inputs(ensemble, &e->steps[s], infos[s], types, error);
    sw_free(NULL, types);
    return code;
}
