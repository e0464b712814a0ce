/* The .xml by expat: layers with their attributes and ports, edges, labels. Everything is copied into the arena; counts,
 * depth and texts have limits, and there is no document type (so no entities). */
#include <expat.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "import/openvino/model.h"

typedef enum where { OUTSIDE, IN_NET, IN_LAYER, IN_PORTS_IN, IN_PORTS_OUT, IN_INFO } where;

typedef struct reader {
    sw_ovin_import *im;
    XML_Parser parser;
    int depth, info_depth;
    where at;
    sw_status status;
    bool is_net;
} reader;

static void stop(reader *r, sw_status status) {
    if (r->status == SW_OK) r->status = status;
    XML_StopParser(r->parser, XML_FALSE);
}

static void fail(reader *r, sw_status status, const char *what) {
    if (r->status == SW_OK)
        sw_fail(r->im->diag, status, r->im->label, NULL, "line %lu: %s",
                (unsigned long)XML_GetCurrentLineNumber(r->parser), what);
    stop(r, status);
}

static const char *find(const XML_Char **attrs, const char *name) {
    for (; attrs[0]; attrs += 2)
        if (!strcmp(attrs[0], name)) return attrs[1];
    return NULL;
}

static bool number(reader *r, const XML_Char **attrs, const char *name, int64_t *value) {
    const char *text = find(attrs, name);
    if (text && sw_str_to_i64(text, strlen(text), value)) return true;
    fail(r, SW_E_MODEL, "an id is missing, or is no number");
    return false;
}

/* A copy in the arena; a sticky failure when it is too long or there is no memory. */
static const char *copy(reader *r, const char *text) {
    if (text && strlen(text) > SW_OVIN_MAX_TEXT) {
        fail(r, SW_E_LIMIT, "an attribute is longer than 1 MiB");
        return "";
    }
    const char *copied = sw_arena_strdup(r->im->arena, text ? text : "");
    if (!copied) fail(r, SW_E_NOMEM, "out of memory");
    return copied ? copied : "";
}

static void begin_layer(reader *r, const XML_Char **attrs) {
    sw_ovin_import *im = r->im;
    int64_t id;
    if (!number(r, attrs, "id", &id)) return;
    if (sw_grow(im->graph->allocator, (void **)&im->layers, &im->cap_layers, im->n_layers + 1, sizeof *im->layers,
                SW_OVIN_MAX_LAYERS) != SW_OK) {
        fail(r, SW_E_LIMIT, "too many layers, or out of memory");
        return;
    }
    sw_ovin_layer *layer = &im->layers[im->n_layers++];
    *layer = (sw_ovin_layer){.id = id, .line = (int)XML_GetCurrentLineNumber(r->parser)};
    layer->name = copy(r, find(attrs, "name"));
    layer->type = copy(r, find(attrs, "type"));
    layer->version = copy(r, find(attrs, "version"));
}

static void take_data(reader *r, const XML_Char **attrs) {
    sw_ovin_layer *layer = &r->im->layers[r->im->n_layers - 1];
    for (; attrs[0] && r->status == SW_OK; attrs += 2) {
        sw_ovin_attr *attr = SW_ARENA_NEW(r->im->arena, sw_ovin_attr);
        if (!attr) {
            fail(r, SW_E_NOMEM, "out of memory");
            return;
        }
        *attr = (sw_ovin_attr){.name = copy(r, attrs[0]), .value = copy(r, attrs[1]), .next = layer->data};
        layer->data = attr;
    }
}

/* Room for one more port; lists double in the arena. */
static bool grow_ports(reader *r, int n, int *cap, int64_t **ids, const char ***names) {
    if (n < *cap) return true;
    int more = *cap ? 2 * *cap : 4;
    int64_t *fresh = SW_ARENA_ARRAY(r->im->arena, int64_t, more);
    const char **fresh_names = names ? SW_ARENA_ARRAY(r->im->arena, const char *, more) : NULL;
    if (n >= SW_OVIN_MAX_PORTS || !fresh || (names && !fresh_names)) {
        fail(r, SW_E_LIMIT, "too many ports, or out of memory");
        return false;
    }
    if (n) memcpy(fresh, *ids, (size_t)n * sizeof *fresh);
    if (n && names) memcpy(fresh_names, *names, (size_t)n * sizeof *fresh_names);
    *ids = fresh;
    if (names) *names = fresh_names;
    *cap = more;
    return true;
}

/* names="a,b\,c": the first, with its commas. */
static const char *first_name(reader *r, const char *names) {
    if (!names || !*names) return NULL;
    char *copied = (char *)(uintptr_t)copy(r, names), *to = copied;
    if (!*copied) return NULL;
    for (const char *from = copied; *from && *from != ','; from++) {
        if (*from == '\\' && from[1] == ',') from++;
        *to++ = *from;
    }
    *to = 0;
    return copied;
}

static void take_port(reader *r, const XML_Char **attrs) {
    sw_ovin_layer *layer = &r->im->layers[r->im->n_layers - 1];
    int64_t id;
    if (!number(r, attrs, "id", &id)) return;
    if (++r->im->n_slots > SW_OVIN_MAX_SLOTS) {
        fail(r, SW_E_LIMIT, "too many ports");
    } else if (r->at == IN_PORTS_IN) {
        if (grow_ports(r, layer->n_in, &layer->in_cap, &layer->in_ids, NULL)) layer->in_ids[layer->n_in++] = id;
    } else if (grow_ports(r, layer->n_out, &layer->out_cap, &layer->out_ids, &layer->out_names)) {
        layer->out_names[layer->n_out] = first_name(r, find(attrs, "names"));
        layer->out_ids[layer->n_out++] = id;
    }
}

static void take_edge(reader *r, const XML_Char **attrs) {
    sw_ovin_import *im = r->im;
    sw_ovin_edge edge;
    if (!number(r, attrs, "from-layer", &edge.from) || !number(r, attrs, "from-port", &edge.from_port) ||
        !number(r, attrs, "to-layer", &edge.to) || !number(r, attrs, "to-port", &edge.to_port))
        return;
    if (sw_grow(im->graph->allocator, (void **)&im->edges, &im->cap_edges, im->n_edges + 1, sizeof *im->edges,
                SW_OVIN_MAX_EDGES) != SW_OK)
        fail(r, SW_E_LIMIT, "too many edges, or out of memory");
    else
        im->edges[im->n_edges++] = edge;
}

/* model_info: class names as one text, and what kind of model it is. metadata.yaml says more, where there is one. */
static void take_info(reader *r, const char *name, const XML_Char **attrs) {
    const char *value = find(attrs, "value");
    if (!value || strcmp(name, "labels") != 0 || strlen(value) > SW_OVIN_MAX_TEXT) return;
    sw_buf names = sw_buf_make(r->im->graph->allocator, 4 * SW_OVIN_MAX_TEXT);
    int n = 0;
    sw_buf_append_byte(&names, '{');
    for (const char *at = value + strspn(value, " "); *at; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        sw_buf_printf(&names, "%s%d: '", n ? ", " : "", n);
        for (size_t i = 0; i < length; i++) {
            if (at[i] == '\'' || at[i] == '\\') sw_buf_append_byte(&names, '\\');
            sw_buf_append_byte(&names, at[i] == '_' ? ' ' : (uint8_t)at[i]);
        }
        sw_buf_append_byte(&names, '\'');
        n++;
        at += length;
    }
    sw_buf_append_byte(&names, '}');
    sw_status status =
        names.status == SW_OK ? sw_graph_set_meta(r->im->graph, "names", sw_buf_text(&names)) : names.status;
    sw_buf_free(&names);
    if (status != SW_OK) fail(r, status, "out of memory, or too many labels");
}

static void begin_net(reader *r, const char *name, const XML_Char **attrs) {
    const char *version = find(attrs, "version");
    if (strcmp(name, "net") != 0) {
        fail(r, SW_E_MODEL, "this is no OpenVINO model: its first element is not <net>");
        return;
    }
    if (!version || (strcmp(version, "10") != 0 && strcmp(version, "11") != 0))
        fail(r, SW_E_UNSUPPORTED, "IR versions 10 and 11 are supported; older ones by OpenVINO 2021");
    r->is_net = true;
    r->at = IN_NET;
    r->im->graph->name = sw_arena_strdup(r->im->graph->arena, find(attrs, "name") ? find(attrs, "name") : "");
    if (!r->im->graph->name) fail(r, SW_E_NOMEM, "out of memory");
}

static void XMLCALL begin(void *ctx, const XML_Char *name, const XML_Char **attrs) {
    reader *r = ctx;
    if (++r->depth > SW_OVIN_MAX_DEPTH) {
        fail(r, SW_E_LIMIT, "elements are nested too deep");
        return;
    }
    if (r->at == OUTSIDE)
        begin_net(r, name, attrs);
    else if (r->at == IN_NET && r->depth == 3 && !strcmp(name, "layer")) {
        r->at = IN_LAYER;
        begin_layer(r, attrs);
    } else if (r->at == IN_NET && r->depth == 3 && !strcmp(name, "edge"))
        take_edge(r, attrs);
    else if (r->at == IN_NET && r->depth == 2 && !strcmp(name, "rt_info"))
        r->at = IN_INFO;
    else if (r->at == IN_INFO && r->depth == 4)
        take_info(r, name, attrs);
    else if (r->at == IN_LAYER && r->depth == 4 && !strcmp(name, "data"))
        take_data(r, attrs);
    else if (r->at == IN_LAYER && r->depth == 4 && (!strcmp(name, "input") || !strcmp(name, "output")))
        r->at = *name == 'i' ? IN_PORTS_IN : IN_PORTS_OUT;
    else if (r->at == IN_LAYER && r->depth == 4 && (!strcmp(name, "body") || !strcmp(name, "then_body")))
        fail(r, SW_E_UNSUPPORTED, "loops and branches (TensorIterator, Loop, If) are not supported");
    else if ((r->at == IN_PORTS_IN || r->at == IN_PORTS_OUT) && r->depth == 5 && !strcmp(name, "port"))
        take_port(r, attrs);
}

static void XMLCALL end(void *ctx, const XML_Char *name) {
    reader *r = ctx;
    if (r->depth == 3 && r->at == IN_LAYER) r->at = IN_NET;
    if (r->depth == 4 && (r->at == IN_PORTS_IN || r->at == IN_PORTS_OUT)) r->at = IN_LAYER;
    if (r->depth == 2 && r->at == IN_INFO) r->at = IN_NET;
    r->depth--;
}

static void XMLCALL refuse_doctype(void *ctx, const XML_Char *name, const XML_Char *system, const XML_Char *public_id,
                                   int internal) {
    fail(ctx, SW_E_MODEL, "document types are not allowed in models");
}

sw_status sw__ovin_read_xml(sw_ovin_import *im, const void *xml, size_t size) {
    reader r = {.im = im, .parser = XML_ParserCreate(NULL)};
    if (!r.parser) return sw__ovin_nomem(im);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, begin, end);
    XML_SetStartDoctypeDeclHandler(r.parser, refuse_doctype);
    enum { PIECE = 1 << 20 };
    bool good = true;
    for (size_t at = 0; good && (at < size || !size); at += PIECE) {
        size_t some = size - at < PIECE ? size - at : PIECE;
        good = XML_Parse(r.parser, (const char *)xml + at, (int)some, at + some == size) == XML_STATUS_OK;
        if (!size) break;
    }
    if (!good && r.status == SW_OK)
        fail(&r, XML_GetErrorCode(r.parser) == XML_ERROR_NO_MEMORY ? SW_E_NOMEM : SW_E_MODEL,
             XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    return r.status;
}
