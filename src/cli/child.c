/* Slipway's engine in a child: plans and models. */
#include "cli/child.h"

#include <string.h>

#include "base/os.h"
#include "engine/gpu.h"
#include "engine/session.h"
#include "slipway/build.h"

typedef struct engine {
    sw_plan *plan;
    sw_session *session;
    sw_tensor *in, *out;
    bool transfers; /* count as part of a run on a GPU */
} engine;

static sw_status copy_ports(sw_engine_model *m, const sw_plan *plan, bool output) {
    int n = output ? sw_plan_outputs(plan) : sw_plan_inputs(plan);
    sw_named *ports = SW_ARENA_ARRAY(m->arena, sw_named, n + 1);
    if (!ports) return SW_E_NOMEM;
    for (int i = 0; i < n; i++) {
        const sw_port *port = output ? sw_plan_output(plan, i) : sw_plan_input(plan, i);
        ports[i] = (sw_named){port->name, port->type};
    }
    *(output ? &m->outputs : &m->inputs) = ports;
    *(output ? &m->n_outputs : &m->n_inputs) = n;
    return SW_OK;
}

sw_dtype sw_backend_precision(const char *text, const char *device) {
    bool gpu = device && strcmp(device, "cpu") != 0;
    if (text && !strcmp(text, "bf16")) return SW_BF16;
    if (text && !strcmp(text, "fp16") && !gpu) return SW_F16;
    return gpu && text && (!strcmp(text, "fp32") || !strcmp(text, "tf32")) ? SW_F32 : SW_DTYPE_NONE;
}

static sw_status open_plan(sw_engine_model *m, engine *e, const sw_diag *diag) {
    const char *precision = sw_engine_wanted(m, "precision"), *device = sw_engine_wanted(m, "device");
    sw_build_options build = {.precision = sw_backend_precision(precision, device),
                              .tf32 = precision && !strcmp(precision, "tf32"),
                              .device = device};
    SW_TRY(sw_plan_build_with(m->path, &build, diag, &e->plan));
    sw_session_options options = {.threads = m->threads, .device = device};
    SW_TRY(sw_session_create(e->plan, &options, diag, &e->session));
    const char *transfers = sw_engine_wanted(m, "transfers");
    e->transfers = transfers && strcmp(transfers, "0") != 0;
    sw_engine_used(m, "threads", "%d", m->threads);
    sw_engine_used(m, "device", "%s", device ? device : "cpu");
    SW_TRY(copy_ports(m, e->plan, false));
    SW_TRY(copy_ports(m, e->plan, true));
    e->in = SW_ARENA_ARRAY(m->arena, sw_tensor, m->n_inputs + 1);
    e->out = SW_ARENA_ARRAY(m->arena, sw_tensor, m->n_outputs + 1);
    return e->in && e->out ? SW_OK : SW_E_NOMEM;
}

static sw_status engine_open(sw_engine_model *m, const sw_diag *diag) {
    engine *e = SW_ARENA_NEW(m->arena, engine);
    if (!e) return SW_E_NOMEM;
    m->version = SLIPWAY_VERSION;
    if (!m->path[0]) return SW_OK;
    SW_TRY(open_plan(m, e, diag));
    m->state = e;
    return SW_OK;
}

static sw_status engine_bind(sw_engine_model *m, const sw_named *inputs, const sw_diag *diag) {
    engine *e = m->state;
    for (int i = 0; i < m->n_inputs; i++) e->in[i] = inputs[i].type;
    return SW_OK;
}

static sw_status engine_run(sw_engine_model *m, const sw_diag *diag) {
    engine *e = m->state;
    return sw_session_run(e->session, e->in, e->out);
}

/* On a GPU between events around the graph, when all steps are there and copies do not count. */
static sw_status engine_time(sw_engine_model *m, const sw_diag *diag, int64_t *ns) {
    engine *e = m->state;
    sw_gpu_program *program = NULL;
    sw_gpu *gpu = e->transfers ? NULL : sw_session_gpu(e->session, &program);
    double ms;
    int64_t begin = sw_clock_ns();
    if (gpu && !sw_gpu_uses_cpu(program)) {
        SW_TRY(sw_gpu_time(gpu, program, 1, diag, &ms));
        *ns = (int64_t)(ms * 1e6);
        return SW_OK;
    }
    SW_TRY(engine_run(m, diag));
    *ns = sw_clock_ns() - begin;
    return SW_OK;
}

static sw_status engine_outputs(sw_engine_model *m, sw_named *outputs, const sw_diag *diag) {
    engine *e = m->state;
    for (int i = 0; i < m->n_outputs; i++) outputs[i].type = e->out[i];
    return SW_OK;
}

const sw_engine sw_engine_slipway = {"slipway", engine_open, engine_bind, engine_run, engine_outputs, engine_time};
