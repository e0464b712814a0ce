/* RotaryEmbedding: pairs of elements turn by the angle of their position. */
#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"

typedef struct rotary_run {
    const sw_call *call;
    int64_t batch, heads, sequence, size, rotated;
    bool flat, interleaved;
} rotary_run;

static void rotate_vectors(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const rotary_run *r = ctx;
    const sw_tensor *x = r->call->in[0], *cosines = r->call->in[1], *sines = r->call->in[2];
    const sw_tensor *positions = sw_call_in(r->call, 3), *y = r->call->out[0];
    int64_t pairs = r->rotated / 2, row = cosines->dims[cosines->rank - 1], sine_row = sines->dims[sines->rank - 1];
    for (int64_t item = begin; item < end; item++) {
        int64_t s = r->flat ? item / r->heads % r->sequence : item % r->sequence;
        int64_t b = item / r->heads / r->sequence, first = item * r->size, place = b * r->sequence + s;
        int64_t at = positions ? sw__index_wrap(sw__index_at(positions, place), cosines->dims[0]) : place;
        for (int64_t i = 0; i < pairs; i++) {
            int64_t i1 = first + (r->interleaved ? 2 * i : i), i2 = first + (r->interleaved ? 2 * i + 1 : pairs + i);
            double cosine = sw_tensor_float_at(cosines, at * row + i),
                   sine = sw_tensor_float_at(sines, at * sine_row + i);
            double x1 = sw_tensor_float_at(x, i1), x2 = sw_tensor_float_at(x, i2);
            sw__put(y, i1, cosine * x1 - sine * x2);
            sw__put(y, i2, sine * x1 + cosine * x2);
        }
        for (int64_t i = first + r->rotated; i < first + r->size; i++) sw__put(y, i, sw_tensor_float_at(x, i));
    }
}

sw_status sw__rotary_embedding_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *positions = sw_call_in(c, 3);
    rotary_run r = {.call = c, .flat = x->rank == 3, .interleaved = sw_call_int(c, "interleaved") != 0};
    for (int i = 0; i < 3; i++)
        if (!sw__dtype_is_float(c->in[i]->dtype)) return sw__refuse_dtype(c, c->in[i]->dtype);
    if (positions) {
        SW_TRY(sw__index_check(c, positions, c->in[1]->dims[0]));
        SW_TRY(sw__index_check(c, positions, c->in[2]->dims[0]));
    }
    if (!sw_call_out(c, 0) || sw_tensor_count(x) == 0) return SW_OK;
    r.batch = x->dims[0];
    r.heads = r.flat ? sw_call_int(c, "num_heads") : x->dims[1];
    r.sequence = x->dims[r.flat ? 1 : 2];
    r.size = r.flat ? x->dims[2] / r.heads : x->dims[3];
    r.rotated = sw_call_int(c, "rotary_embedding_dim");
    if (r.rotated == 0) r.rotated = r.size;
    sw_pool_for(c->pool, r.batch * r.heads * r.sequence, 1 + 1024 / r.size, rotate_vectors, &r);
    return SW_OK;
}
