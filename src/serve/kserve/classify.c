/* Triton's classification extension: the best values of an output as texts. */
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "serve/kserve/kserve.h"

typedef struct ranked {
    double value;
    int64_t index;
} ranked;

static double value_at(const sw_serve_tensor *t, int64_t i) {
    switch (t->dtype) {
#define CASE(name, type)                                                                                               \
    case name:                                                                                                         \
        return (double)((const type *)t->data)[i];
        CASE(SW_F32, float)
        CASE(SW_F64, double)
        CASE(SW_I8, int8_t)
        CASE(SW_I16, int16_t)
        CASE(SW_I32, int32_t)
        CASE(SW_I64, int64_t)
        CASE(SW_U8, uint8_t)
        CASE(SW_U16, uint16_t)
        CASE(SW_U32, uint32_t)
        CASE(SW_U64, uint64_t)
        CASE(SW_BOOL, uint8_t)
#undef CASE
    case SW_F16:
        return (double)sw_f16_to_f32(((const uint16_t *)t->data)[i]);
    default: /* SW_BF16 */
        return (double)sw_bf16_to_f32(((const uint16_t *)t->data)[i]);
    }
}

/* By falling value, equal ones by index; what is no number comes last. */
static bool comes_before(const ranked *a, const ranked *b) {
    bool a_number = a->value == a->value, b_number = b->value == b->value;
    if (a_number != b_number) return a_number;
    return a->value != b->value && a_number ? a->value > b->value : a->index < b->index;
}

/* Keeps the best `n` seen: a heap with the worst of them on top. */
static void sift_down(ranked *heap, int64_t n, int64_t i) {
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && comes_before(&heap[child], &heap[child + 1])) child++;
        if (!comes_before(&heap[i], &heap[child])) return;
        ranked swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
    }
}

static void pick(const sw_serve_tensor *t, int64_t from, int64_t count, int64_t n, ranked *best) {
    for (int64_t i = 0; i < n; i++) best[i] = (ranked){value_at(t, from + i), i};
    for (int64_t i = n / 2 - 1; i >= 0; i--) sift_down(best, n, i);
    for (int64_t i = n; i < count; i++) {
        ranked next = {value_at(t, from + i), i};
        if (!comes_before(&next, &best[0])) continue;
        best[0] = next;
        sift_down(best, n, 0);
    }
    for (int64_t left = n - 1; left > 0; left--) { /* heap sort: the worst goes to the end */
        ranked worst = best[0];
        best[0] = best[left];
        best[left] = worst;
        sift_down(best, left, 0);
    }
}

static void put_text(sw_buf *buf, sw_kserve_request *k, const sw_serve_tensor *t, const ranked *r) {
    const char *label = sw_serve_model_label(k->request.model, t->name, r->index);
    bool is_float = t->dtype == SW_F32 || t->dtype == SW_F64 || t->dtype == SW_F16 || t->dtype == SW_BF16;
    char text[512];
    int n = snprintf(text, sizeof text, "%.*f:%lld%s%s", is_float ? 6 : 0, r->value, (long long)r->index,
                     label ? ":" : "", label ? label : "");
    uint32_t length = n < (int)sizeof text ? (uint32_t)n : (uint32_t)sizeof text - 1;
    sw_buf_append(buf, &length, sizeof length);
    sw_buf_append(buf, text, length);
}

static sw_serve_code classify(sw_kserve_request *k, const sw_serve_tensor *t, int64_t classes, sw_serve_tensor *texts,
                              sw_serve_error *error) {
    bool batched = sw_serve_model_info(k->request.model)->max_batch_size > 0 && t->rank > 0;
    size_t size = sw_serve_dtype_size(t->dtype);
    if (!size)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "class result not available for output '%s' due to unsupported type '%s'", t->name,
                             sw_serve_dtype_name(t->dtype));
    int64_t total = (int64_t)(t->bytes / size), batch = batched ? t->dims[0] : 1, each = batch > 0 ? total / batch : 0;
    int64_t n = classes < each ? classes : each;
    if (n > SW_KSERVE_MAX_CLASSES) n = SW_KSERVE_MAX_CLASSES;
    ranked *best = n ? sw_alloc(NULL, sizeof *best * (size_t)n) : NULL;
    sw_buf buf = sw_buf_make(NULL, 0);
    if (n && !best) return sw_kserve_no_memory(error);
    for (int64_t b = 0; b < batch && n; b++) {
        pick(t, b * each, each, n, best);
        for (int64_t i = 0; i < n; i++) put_text(&buf, k, t, &best[i]);
    }
    sw_free(NULL, best);
    void *data = buf.status == SW_OK ? sw_kserve_take(k, buf.size + 1) : NULL;
    if (data && buf.size) memcpy(data, buf.data, buf.size);
    *texts = (sw_serve_tensor){.name = t->name, .dtype = SW_SERVE_BYTES, .data = data, .bytes = buf.size};
    sw_buf_free(&buf);
    if (batched) texts->dims[texts->rank++] = batch;
    texts->dims[texts->rank++] = n;
    return data ? SW_SERVE_OK : sw_kserve_no_memory(error);
}

sw_serve_code sw_kserve_classify_all(sw_kserve_request *k, sw_serve_error *error) {
    const sw_serve_request *r = &k->request;
    bool any = false;
    for (int i = 0; i < r->n_results; i++) any |= sw_kserve_output_of(k, i).classes > 0;
    if (!any) return SW_SERVE_OK;
    sw_serve_tensor *results = sw_kserve_take(k, sizeof *results * (size_t)r->n_results);
    if (!results) return sw_kserve_no_memory(error);
    for (int i = 0; i < r->n_results; i++) {
        int64_t classes = sw_kserve_output_of(k, i).classes;
        results[i] = r->results[i];
        sw_serve_code code = classes ? classify(k, &r->results[i], classes, &results[i], error) : SW_SERVE_OK;
        if (code != SW_SERVE_OK) return code;
    }
    k->request.results = results;
    return SW_SERVE_OK;
}
