/* What stands behind the FlatBuffer: a zip archive with the model's metadata. Ultralytics writes a dict, as JSON
 * (metadata.json) or as Python's repr (temp_meta.txt, before 8.3.97); TensorFlow's task library a list of labels. */
#include <string.h>
#include <zlib.h>

#include "base/pyliteral.h"
#include "base/zip.h"
#include "import/tflite/model.h"

enum { MAX_TEXT = 4 << 20 };

/* The bytes of an entry, unpacked, with a zero behind; NULL when they are broken. */
static char *unpack(sw_tfl *m, const sw_zip_entry *entry) {
    if (entry->stored)
        return entry->size < MAX_TEXT ? sw_arena_strndup(m->scratch, (const char *)entry->data, entry->size) : NULL;
    char *text = sw_arena_alloc(m->scratch, MAX_TEXT, 1);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)entry->data, .avail_in = (uInt)entry->size};
    if (!text || entry->size > MAX_TEXT || inflateInit2(&z, -MAX_WBITS) != Z_OK) return NULL;
    z.next_out = (Bytef *)text;
    z.avail_out = MAX_TEXT - 1;
    int result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return result == Z_STREAM_END ? text : NULL;
}

/* ---- A dict, in JSON or Python ------------------------------------------------------------------------------------- */

/* Every pair of the dict becomes metadata; false when it is broken or no dict. */
static bool read_dict(sw_tfl *m, const char *text, sw_buf *value) {
    sw_py dict;
    if (sw_py_parse(m->scratch, text, &dict) != SW_OK || dict.type != SW_PY_DICT) return false;
    for (size_t i = 0; i < dict.n; i++) {
        const sw_py *key = &dict.items[2 * i], *item = &dict.items[2 * i + 1];
        if (key->type != SW_PY_STRING) return false;
        sw_buf_clear(value);
        if (item->type == SW_PY_STRING)
            sw_buf_append_text(value, item->s);
        else
            sw_py_write(value, item);
        if (value->status != SW_OK || sw_graph_set_meta(m->graph, key->s, sw_buf_text(value)) != SW_OK)
            return sw__tfl_nomem(m);
    }
    return true;
}

static bool add_dict(sw_tfl *m, const char *text) {
    sw_buf value = sw_buf_make(m->graph->allocator, 2 * MAX_TEXT);
    bool good = read_dict(m, text, &value);
    sw_buf_free(&value);
    /* Ultralytics divides boxes and points by the picture's sides in this format, and only here. */
    if (good && sw_graph_meta(m->graph, "stride") && sw_graph_meta(m->graph, "task") &&
        sw_graph_set_meta(m->graph, SW_META_COORDINATES, "normalized") != SW_OK)
        sw__tfl_nomem(m);
    return good;
}

/* ---- A list of labels ---------------------------------------------------------------------------------------------- */

static bool add_labels(sw_tfl *m, const char *text) {
    sw_buf names = sw_buf_make(m->graph->allocator, MAX_TEXT);
    int id = 0;
    for (const char *p = text; *p; id++) {
        size_t length = strcspn(p, "\r\n");
        sw_buf_printf(&names, "%s%d: ", id ? ", " : "{", id);
        char *label = sw_arena_strndup(m->scratch, p, length);
        if (!label) {
            sw__tfl_nomem(m);
            break;
        }
        sw_buf_append_repr(&names, label);
        p += length;
        if (*p == '\r') p++;
        if (*p == '\n') p++;
    }
    sw_buf_append_text(&names, "}");
    bool good = id > 0 && names.status == SW_OK;
    if (good && m->status == SW_OK && sw_graph_set_meta(m->graph, "names", sw_buf_text(&names)) != SW_OK)
        sw__tfl_nomem(m);
    sw_buf_free(&names);
    return good;
}

static bool add_entry(sw_tfl *m, const sw_zip_entry *entry, bool only) {
    bool dict = strcmp(entry->name, "metadata.json") == 0 || strcmp(entry->name, "temp_meta.txt") == 0;
    bool labels = strstr(entry->name, "label") != NULL;
    if (!dict && !labels && !only) return true;
    char *text = unpack(m, entry);
    return text && (labels && !dict ? add_labels(m, text) : add_dict(m, text));
}

sw_status sw__tfl_metadata(sw_tfl *m) {
    sw_fb_table root = sw_fb_root(&m->fb);
    size_t length;
    const char *description = sw_fb_text(&root, SW_TFL_MODEL_DESCRIPTION, &length);
    if (description && *description) m->graph->producer = sw_arena_strdup(m->graph->arena, description);
    if (!m->graph->producer) sw__tfl_nomem(m);
    if (m->status != SW_OK || m->fb.status != SW_OK) return m->status ? m->status : m->fb.status;
    /* Most files have no archive; so its absence is silent, and so is one that is broken: the model is not. */
    sw_zip zip;
    sw_status status = sw_zip_read(m->bytes, m->size, m->label, m->scratch, NULL, &zip);
    if (status == SW_E_NOMEM) return sw_fail(m->diag, status, m->label, NULL, "out of memory");
    for (size_t i = 0; status == SW_OK && i < zip.n; i++)
        if (!add_entry(m, &zip.entries[i], zip.n == 1) && m->status == SW_OK)
            sw_warn(m->diag, m->label, "the metadata '%.60s' cannot be read and is ignored", zip.entries[i].name);
    return m->status;
}
